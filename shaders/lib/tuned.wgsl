// The values of one fine-tuned model.
override TUNED_DTYPE: u32 = 0u;

fn tuned4(q: u32) -> vec4f {
  if (TUNED_DTYPE == 0u) { return bitcast<vec4f>(vec4u(tuned[2u * q], tuned[2u * q + 1u])); }
  return half_values(split_halves(tuned[q]), TUNED_DTYPE);
}
