// Stored values to f32; dtype 0 = F32 (a word each), 1 = BF16, 2 = F16 (two of a word, low half first).
// By integers: exact, also where unpack2x16float would flush an f16 subnormal to zero. Without branches, which cost
// software adapters more than the arithmetic.
fn half_values(halves: vec4u, dtype: u32) -> vec4f {
  if (dtype == 1u) { return bitcast<vec4f>(halves << vec4u(16u)); }
  let sign = (halves & vec4u(0x8000u)) << vec4u(16u);
  let rest = halves & vec4u(0x7fffu);
  let normal = (rest << vec4u(13u)) + vec4u(0x38000000u);
  let special = vec4u(0x7f800000u) | ((rest & vec4u(0x3ffu)) << vec4u(13u));
  // A subnormal is its mantissa times 2^-24, which is a normal f32.
  let subnormal = bitcast<vec4u>(vec4f(rest) * 5.9604644775390625e-8);
  return bitcast<vec4f>(sign | select(select(subnormal, normal, rest >= vec4u(0x400u)), special, rest >= vec4u(0x7c00u)));
}

// The values of four f32 words or four halves.
fn stored_values(bits: vec4u, dtype: u32) -> vec4f {
  if (dtype == 0u) { return bitcast<vec4f>(bits); }
  return half_values(bits, dtype);
}

fn split_halves(words: vec2u) -> vec4u {
  return vec4u(words.x & 0xffffu, words.x >> 16u, words.y & 0xffffu, words.y >> 16u);
}

fn unpack_pair(word: u32, dtype: u32) -> vec2f {
  return half_values(split_halves(vec2u(word, 0u)), dtype).xy;
}
