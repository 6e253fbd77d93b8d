// linear_combination: sum[i] = (FIRST: nothing, else sum[i]) + c * x[i],   x = theta (DELTA 0) or m (theta - theta0) (DELTA 1)
//   0 in   base   [n]  as stored, BASE_DTYPE; not read when DELTA is 0
//   1 in   tuned  [n]  as stored, TUNED_DTYPE
//   2 in   mask   [ceil(n / 32)]  u32; not read when HAS_MASK is 0
//   3 out  sum    [n]  f32   += (= when FIRST is 1)
//   4 uniform     n: u32, c: f32, zero: u32 (always 0), group0: u32
// One call per expert, so the number of experts is in no binding list. Each product and each sum is rounded to f32.
override DELTA: u32 = 1u;
override FIRST: u32 = 0u;

struct Params { n: u32, c: f32, zero: u32, group0: u32 }
@group(0) @binding(0) var<storage, read> base: array<vec2u>;
@group(0) @binding(1) var<storage, read> tuned: array<vec2u>;
@group(0) @binding(2) var<storage, read> mask: array<u32>;
@group(0) @binding(3) var<storage, read_write> sum: array<vec4f>;
@group(0) @binding(4) var<uniform> params: Params;

fn quad(q: u32) {
  var term: vec4f;
  if (DELTA == 1u) {
    term = select(vec4f(), move4(q, params.c), vec4<bool>(params.c != 0.0));
  } else {
    term = settle(params.c * tuned4(q));
  }
  if (FIRST == 1u) { sum[q] = term; } else { sum[q] = sum[q] + term; }
}
