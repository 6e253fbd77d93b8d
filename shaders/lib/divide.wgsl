// a / b rounded to nearest, ties to even: the built-in division may be 2.5 ulp off, and the CPU twin's is exact.
// Long division of the 24-bit mantissas, eight bits of the quotient at a time: what is shifted stays below 2^32. Zero,
// subnormal and infinite operands or quotients take the built-in one.
fn divide(a: vec4f, b: vec4f) -> vec4f {
  let bits_a = bitcast<vec4u>(a);
  let bits_b = bitcast<vec4u>(b);
  let exponent_a = (bits_a >> vec4u(23u)) & vec4u(255u);
  let exponent_b = (bits_b >> vec4u(23u)) & vec4u(255u);
  let over = (bits_a & vec4u(0x7fffffu)) | vec4u(0x800000u);
  let by = (bits_b & vec4u(0x7fffffu)) | vec4u(0x800000u);
  let below = over < by;
  let exponent = vec4i(exponent_a) - vec4i(exponent_b) + select(vec4i(127), vec4i(126), below);
  // The first of 24 bits is always 1.
  var rest = select(over, over << vec4u(1u), below) - by;
  let high = (rest << vec4u(8u)) / by;
  rest = (rest << vec4u(8u)) - high * by;
  let middle = (rest << vec4u(8u)) / by;
  rest = (rest << vec4u(8u)) - middle * by;
  let low = (rest << vec4u(7u)) / by;
  rest = ((rest << vec4u(7u)) - low * by) << vec4u(1u);
  let fraction = (high << vec4u(15u)) | (middle << vec4u(7u)) | low;
  let up = (rest > by) | ((rest == by) & ((fraction & vec4u(1u)) == vec4u(1u)));
  let exact = ((bits_a ^ bits_b) & vec4u(0x80000000u)) | ((vec4u(exponent) << vec4u(23u)) + fraction + select(vec4u(0u), vec4u(1u), up));
  let outside = (exponent_a == vec4u(0u)) | (exponent_b == vec4u(0u)) | (exponent_a == vec4u(255u)) | (exponent_b == vec4u(255u)) | (exponent <= vec4i(0)) | (exponent >= vec4i(255));
  return select(bitcast<vec4f>(exact), a / b, outside);
}
