// Where x has the elected sign: that of the vote, and `positive` decides a vote of 0.
fn with_sign(x: vec4f, votes: vec4f) -> vec4<bool> {
  let up = (votes > vec4f()) | ((votes == vec4f()) & vec4<bool>(params.positive == 1u));
  return (up & (x > vec4f())) | (!up & (x < vec4f()));
}
