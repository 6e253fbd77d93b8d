// vote: votes[i] = (FIRST: nothing, else votes[i]) + x[i] (COUNT 0) or sign(x[i]) (COUNT 1),   x = w * m * (theta - theta0)
//   0 in   base   [n]  as stored, BASE_DTYPE
//   1 in   tuned  [n]  as stored, TUNED_DTYPE
//   2 in   mask   [ceil(n / 32)]  u32; not read when HAS_MASK is 0
//   3 out  votes  [n]  f32   += (= when FIRST is 1)
//   4 uniform     n: u32, w: f32, zero: u32 (always 0), group0: u32
// Source: TIES, Yadav et al. 2023, arXiv:2306.01708, "elect"; weights as in mergekit (METHODS 3b).
override COUNT: u32 = 0u;
override FIRST: u32 = 0u;

struct Params { n: u32, w: f32, zero: u32, group0: u32 }
@group(0) @binding(0) var<storage, read> base: array<vec2u>;
@group(0) @binding(1) var<storage, read> tuned: array<vec2u>;
@group(0) @binding(2) var<storage, read> mask: array<u32>;
@group(0) @binding(3) var<storage, read_write> votes: array<vec4f>;
@group(0) @binding(4) var<uniform> params: Params;

fn quad(q: u32) {
  var x = move4(q, params.w);
  if (COUNT == 1u) { x = sign(x); }
  if (FIRST == 1u) { votes[q] = x; } else { votes[q] = votes[q] + x; }
}
