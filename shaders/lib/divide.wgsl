// a / b rounded to nearest, ties to even: the built-in division may be 2.5 ulp off, and the CPU twin's is exact.
// Long division of the 24-bit mantissas. Zero, subnormal and infinite operands or quotients take the built-in one.
fn divide(a: f32, b: f32) -> f32 {
  let bits_a = bitcast<u32>(a);
  let bits_b = bitcast<u32>(b);
  let exponent_a = (bits_a >> 23u) & 255u;
  let exponent_b = (bits_b >> 23u) & 255u;
  var rest = (bits_a & 0x7fffffu) | 0x800000u;
  let by = (bits_b & 0x7fffffu) | 0x800000u;
  var exponent = i32(exponent_a) - i32(exponent_b) + 127;
  if (rest < by) { rest <<= 1u; exponent--; }
  if (exponent_a == 0u || exponent_b == 0u || exponent_a == 255u || exponent_b == 255u || exponent <= 0 || exponent >= 255) { return a / b; }
  var quotient = 0u;
  for (var i = 0u; i < 24u; i++) {
    quotient <<= 1u;
    if (rest >= by) { rest -= by; quotient |= 1u; }
    rest <<= 1u;
  }
  if (rest > by || (rest == by && (quotient & 1u) == 1u)) { quotient++; }
  return bitcast<f32>(((bits_a ^ bits_b) & 0x80000000u) | ((u32(exponent) << 23u) + (quotient - 0x800000u)));
}
