// touch: where |d| > least, d = theta - theta0:  sum[i] += d,  alone[i] += lambda d,  count[i] += 1
//   0 in   base   [n]  as stored, BASE_DTYPE
//   1 in   tuned  [n]  as stored, TUNED_DTYPE
//   2 out  sum    [n]  f32   += (= when FIRST is 1)
//   3 out  alone  [n]  f32   += (= when FIRST is 1)
//   4 out  count  [n]  f32   += (= when FIRST is 1)
//   5 uniform     n: u32, lambda: f32, least: f32, zero: u32 (always 0), group0: u32
// One call per expert. Source: RAM (METHODS 9).
override FIRST: u32 = 0u;

struct Params { n: u32, lambda: f32, least: f32, zero: u32, group0: u32 }
@group(0) @binding(0) var<storage, read> base: array<vec2u>;
@group(0) @binding(1) var<storage, read> tuned: array<vec2u>;
@group(0) @binding(2) var<storage, read_write> sum: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> alone: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> count: array<vec4f>;
@group(0) @binding(5) var<uniform> params: Params;

fn quad(q: u32) {
  let theta = tuned4(q);
  let d = settle(theta - stored_values(base4(q), BASE_DTYPE));
  let touched = abs(d) > vec4f(params.least);
  let change = select(vec4f(), d, touched);
  let own = select(vec4f(), settle(params.lambda * d), touched);
  let one = select(vec4f(), vec4f(1.0), touched);
  if (FIRST == 1u) {
    sum[q] = change;
    alone[q] = own;
    count[q] = one;
  } else {
    sum[q] = sum[q] + change;
    alone[q] = alone[q] + own;
    count[q] = count[q] + one;
  }
}
