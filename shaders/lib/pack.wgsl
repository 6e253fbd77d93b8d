// f32 bits to the bits of the nearest bf16 (dtype 1) or f16 (dtype 2), ties to even, by integers: WGSL fixes no rounding mode.
// NaN stays a quiet NaN; f16 overflows to infinity and has subnormals. dtype 0 returns the bits. Without branches, as values.wgsl.
fn to_dtype(bits: vec4u, dtype: u32) -> vec4u {
  if (dtype == 0u) { return bits; }
  let magnitude = bits & vec4u(0x7fffffffu);
  let nan = magnitude > vec4u(0x7f800000u);
  if (dtype == 1u) {
    let high = bits >> vec4u(16u);
    return select((bits + vec4u(0x7fffu) + (high & vec4u(1u))) >> vec4u(16u), high | vec4u(0x40u), nan);
  }
  let sign = (bits >> vec4u(16u)) & vec4u(0x8000u);
  let tenth = magnitude >> vec4u(13u);
  let normal = (magnitude - vec4u(0x38000000u) + vec4u(0xfffu) + (tenth & vec4u(1u))) >> vec4u(13u);
  // Below 2^-14 the mantissa is shifted to units of 2^-24, at 2^-25 and below all of it out.
  let shift = min(vec4u(126u) - (magnitude >> vec4u(23u)), vec4u(31u));
  let mantissa = (magnitude & vec4u(0x7fffffu)) | vec4u(0x800000u);
  let whole = mantissa >> shift;
  let rest = mantissa - (whole << shift);
  let half = vec4u(1u) << (shift - vec4u(1u));
  let up = (rest > half) | ((rest == half) & ((whole & vec4u(1u)) == vec4u(1u)));
  let subnormal = select(whole + select(vec4u(0u), vec4u(1u), up), vec4u(0u), magnitude <= vec4u(0x33000000u));
  let finite = select(select(subnormal, normal, magnitude >= vec4u(0x38800000u)), vec4u(0x7c00u), magnitude >= vec4u(0x477ff000u));
  return sign | select(finite, vec4u(0x7e00u) | (tenth & vec4u(0x1ffu)), nan);
}
