// Two values of each side of a change, as stored: elements 2 p and 2 p + 1.
override BASE_DTYPE: u32 = 0u;
override TUNED_DTYPE: u32 = 0u;

fn base_pair(p: u32) -> vec2f {
  if (BASE_DTYPE == 0u) { return vec2f(bitcast<f32>(base[2u * p]), bitcast<f32>(base[2u * p + 1u])); }
  return unpack_pair(base[p], BASE_DTYPE);
}

fn tuned_pair(p: u32) -> vec2f {
  if (TUNED_DTYPE == 0u) { return vec2f(bitcast<f32>(tuned[2u * p]), bitcast<f32>(tuned[2u * p + 1u])); }
  return unpack_pair(tuned[p], TUNED_DTYPE);
}
