// ties: the three passes vote, agree and finish in one, for at most four experts that are on the GPU together
//   x_k = w_k m_k (theta_k - theta0);  vote = sum of x_k, or of sign(x_k) (COUNT_VOTES 1);  t = sum of p_k x_k of the elected
//   sign, divided by max(sum of their s_k, least) (DIVISOR 1), by their number (2) or not (0), or the largest of them (3);
//   out = (theta0 + lambda * t) * scale
//   0 in   base    [n]  as stored, BASE_DTYPE
//   1 in   tuned0  [n]  as stored, DTYPE_0; 2 to 4 likewise, the last ones not read when EXPERTS is below 4
//   2 in   tuned1  [n]
//   3 in   tuned2  [n]
//   4 in   tuned3  [n]
//   5 in   masks   [EXPERTS, words]  u32; row k is read only when bit k of MASKED is 1 (m = 1)
//   6 out  out     [n]  as stored, OUT_DTYPE   =   an odd last half-word is 0
//   7 uniform      n, words: u32, w0..w3, p0..p3, s0..s3, lambda, scale, least: f32, positive: u32, zero: u32 (always 0), group0: u32
// Every step is rounded to f32 in the order of vote, agree and finish, so that the bytes are theirs.
// Source: TIES, Yadav et al. 2023, arXiv:2306.01708, Algorithm 1.
override EXPERTS: u32 = 4u;
override DTYPE_0: u32 = 0u;
override DTYPE_1: u32 = 0u;
override DTYPE_2: u32 = 0u;
override DTYPE_3: u32 = 0u;
override MASKED: u32 = 0u;
override COUNT_VOTES: u32 = 0u;
override DIVISOR: u32 = 0u;

struct Params {
  n: u32, words: u32, w0: f32, w1: f32, w2: f32, w3: f32, p0: f32, p1: f32, p2: f32, p3: f32, s0: f32, s1: f32, s2: f32, s3: f32,
  lambda: f32, scale: f32, least: f32, positive: u32, zero: u32, group0: u32,
}
@group(0) @binding(0) var<storage, read> base: array<vec2u>;
@group(0) @binding(1) var<storage, read> tuned0: array<vec2u>;
@group(0) @binding(2) var<storage, read> tuned1: array<vec2u>;
@group(0) @binding(3) var<storage, read> tuned2: array<vec2u>;
@group(0) @binding(4) var<storage, read> tuned3: array<vec2u>;
@group(0) @binding(5) var<storage, read> masks: array<u32>;
@group(0) @binding(6) var<storage, read_write> out: array<vec2u>;
@group(0) @binding(7) var<uniform> params: Params;

// Where the four values from 4 q are: the second piece counts for F32 only.
fn second(q: u32, dtype: u32) -> u32 { return select(q, 2u * q + 1u, dtype == 0u); }
fn first(q: u32, dtype: u32) -> u32 { return select(q, 2u * q, dtype == 0u); }

fn theta(a: vec2u, b: vec2u, dtype: u32) -> vec4f {
  if (dtype == 0u) { return bitcast<vec4f>(vec4u(a, b)); }
  return half_values(split_halves(a), dtype);
}

fn moved(k: u32, q: u32, w: f32, theta0: vec4f, theta: vec4f) -> vec4f {
  let x = settle(w * settle(theta - theta0));
  if (((MASKED >> k) & 1u) == 0u) { return x; }
  let keep = (vec4u(masks[k * params.words + (q >> 3u)] >> (4u * (q & 7u))) & vec4u(1u, 2u, 4u, 8u)) != vec4u(0u);
  return select(vec4f(), x, keep);
}

fn ballot(x: vec4f) -> vec4f {
  if (COUNT_VOTES == 1u) { return sign(x); }
  return x;
}

fn term(x: vec4f, p: f32, agrees: vec4<bool>) -> vec4f {
  return select(vec4f(), settle(p * x), agrees);
}

fn gathered(sum: vec4f, t: vec4f) -> vec4f {
  if (DIVISOR == 3u) { return select(sum, t, abs(t) > abs(sum)); }
  return settle(sum + t);
}

fn share(s: f32, agrees: vec4<bool>) -> vec4f {
  return select(vec4f(), vec4f(select(s, 1.0, DIVISOR == 2u)), agrees);
}

fn quad(q: u32) {
  let bits = base4(q);
  let theta0 = stored_values(bits, BASE_DTYPE);
  let x0 = moved(0u, q, params.w0, theta0, theta(tuned0[first(q, DTYPE_0)], tuned0[second(q, DTYPE_0)], DTYPE_0));
  var x1 = vec4f();
  var x2 = vec4f();
  var x3 = vec4f();
  var votes = ballot(x0);
  if (EXPERTS > 1u) { x1 = moved(1u, q, params.w1, theta0, theta(tuned1[first(q, DTYPE_1)], tuned1[second(q, DTYPE_1)], DTYPE_1)); votes = settle(votes + ballot(x1)); }
  if (EXPERTS > 2u) { x2 = moved(2u, q, params.w2, theta0, theta(tuned2[first(q, DTYPE_2)], tuned2[second(q, DTYPE_2)], DTYPE_2)); votes = settle(votes + ballot(x2)); }
  if (EXPERTS > 3u) { x3 = moved(3u, q, params.w3, theta0, theta(tuned3[first(q, DTYPE_3)], tuned3[second(q, DTYPE_3)], DTYPE_3)); votes = settle(votes + ballot(x3)); }
  let agrees0 = with_sign(x0, votes);
  var sum = term(x0, params.p0, agrees0);
  var weight = share(params.s0, agrees0);
  if (EXPERTS > 1u) { let agrees = with_sign(x1, votes); sum = gathered(sum, term(x1, params.p1, agrees)); weight = settle(weight + share(params.s1, agrees)); }
  if (EXPERTS > 2u) { let agrees = with_sign(x2, votes); sum = gathered(sum, term(x2, params.p2, agrees)); weight = settle(weight + share(params.s2, agrees)); }
  if (EXPERTS > 3u) { let agrees = with_sign(x3, votes); sum = gathered(sum, term(x3, params.p3, agrees)); weight = settle(weight + share(params.s3, agrees)); }
  var t = sum;
  if (DIVISOR == 1u || DIVISOR == 2u) {
    let by = max(weight, vec4f(params.least));
    t = select(sum, settle(divide(sum, by)), by != vec4f());
  }
  let change = settle(params.lambda * t);
  store4(q, blend4(bits, change, settle(theta0 + change)));
}
