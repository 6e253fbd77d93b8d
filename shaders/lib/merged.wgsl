// Writing merged values: scaled, rounded once to OUT_DTYPE.
override OUT_DTYPE: u32 = 0u;

// `moved` times scale; the base's own bits where the change is 0, scale is 1 and the dtype stays.
fn blend4(base_bits: vec4u, change: vec4f, moved: vec4f) -> vec4u {
  let same = vec4<bool>(params.scale == 1.0 && OUT_DTYPE == BASE_DTYPE);
  return select(to_dtype(bitcast<vec4u>(settle(moved * params.scale)), OUT_DTYPE), base_bits, (change == vec4f()) & same);
}

fn store4(q: u32, bits: vec4u) {
  let v = select(vec4u(), bits, vec4u(4u * q) + vec4u(0u, 1u, 2u, 3u) < vec4u(params.n));
  if (OUT_DTYPE == 0u) {
    out[2u * q] = v.xy;
    out[2u * q + 1u] = v.zw;
  } else {
    out[q] = v.xz | (v.yw << vec2u(16u));
  }
}
