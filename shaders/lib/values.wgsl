// Two stored values of one word, low half first; dtype 1 = BF16, 2 = F16 (F32 has a word of its own).
// By integers: exact, also where unpack2x16float would flush an f16 subnormal to zero.
fn half_value(half: u32, dtype: u32) -> f32 {
  if (dtype == 1u) { return bitcast<f32>(half << 16u); }
  let sign = (half & 0x8000u) << 16u;
  let rest = half & 0x7fffu;
  if (rest >= 0x7c00u) { return bitcast<f32>(sign | 0x7f800000u | ((rest & 0x3ffu) << 13u)); }
  if (rest >= 0x400u) { return bitcast<f32>(sign | ((rest << 13u) + 0x38000000u)); }
  // A subnormal is its mantissa times 2^-24, which is a normal f32.
  return bitcast<f32>(sign | bitcast<u32>(f32(rest) * 5.9604644775390625e-8));
}

fn unpack_pair(word: u32, dtype: u32) -> vec2f {
  return vec2f(half_value(word & 0xffffu, dtype), half_value(word >> 16u, dtype));
}
