// agree: where x = w * m * (theta - theta0) has the elected sign, sum[i] += part * x and weight[i] += share (COUNT 0) or 1 (COUNT 1)
//   0 in   base    [n]  as stored, BASE_DTYPE
//   1 in   tuned   [n]  as stored, TUNED_DTYPE
//   2 in   mask    [ceil(n / 32)]  u32; not read when HAS_MASK is 0
//   3 in   votes   [n]  f32; the elected sign is that of the vote, and `positive` decides a vote of 0
//   4 out  sum     [n]  f32   += (= when FIRST is 1); with LARGEST 1 the part * x of the largest size in place of their sum
//   5 out  weight  [n]  f32   += (= when FIRST is 1)
//   6 uniform      n: u32, w, part, share: f32, positive: u32, zero: u32 (always 0), group0: u32
// Source: TIES, Yadav et al. 2023, arXiv:2306.01708, "disjoint merge".
override COUNT: u32 = 0u;
override FIRST: u32 = 0u;
override LARGEST: u32 = 0u;

struct Params { n: u32, w: f32, part: f32, share: f32, positive: u32, zero: u32, group0: u32 }
@group(0) @binding(0) var<storage, read> base: array<vec2u>;
@group(0) @binding(1) var<storage, read> tuned: array<vec2u>;
@group(0) @binding(2) var<storage, read> mask: array<u32>;
@group(0) @binding(3) var<storage, read> votes: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> sum: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> weight: array<vec4f>;
@group(0) @binding(6) var<uniform> params: Params;

fn quad(q: u32) {
  let x = move4(q, params.w);
  let agrees = with_sign(x, votes[q]);
  let term = select(vec4f(), settle(params.part * x), agrees);
  let share = select(vec4f(), vec4f(select(params.share, 1.0, COUNT == 1u)), agrees);
  if (FIRST == 1u) {
    sum[q] = term;
    weight[q] = share;
  } else {
    let before = sum[q];
    sum[q] = select(select(before, term, abs(term) > abs(before)), before + term, vec4<bool>(LARGEST == 0u));
    weight[q] = weight[q] + share;
  }
}
