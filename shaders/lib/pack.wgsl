// f32 bits to the bits of the nearest bf16 (dtype 1) or f16 (dtype 2), ties to even, by integers: WGSL fixes no rounding mode.
// NaN stays a quiet NaN; f16 overflows to infinity and has subnormals. dtype 0 returns the bits.
fn to_dtype(bits: u32, dtype: u32) -> u32 {
  if (dtype == 0u) { return bits; }
  let magnitude = bits & 0x7fffffffu;
  if (dtype == 1u) {
    if (magnitude > 0x7f800000u) { return (bits >> 16u) | 0x40u; }
    return (bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u;
  }
  let sign = (bits >> 16u) & 0x8000u;
  if (magnitude > 0x7f800000u) { return sign | 0x7e00u | ((magnitude >> 13u) & 0x1ffu); }
  if (magnitude >= 0x477ff000u) { return sign | 0x7c00u; }
  if (magnitude >= 0x38800000u) { return sign | ((magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13u) & 1u)) >> 13u); }
  if (magnitude <= 0x33000000u) { return sign; }
  let shift = 126u - (magnitude >> 23u);
  let mantissa = (magnitude & 0x7fffffu) | 0x800000u;
  let whole = mantissa >> shift;
  let rest = mantissa & ((1u << shift) - 1u);
  let half = 1u << (shift - 1u);
  return sign | (whole + select(0u, 1u, rest > half || (rest == half && (whole & 1u) == 1u)));
}
