// weighted_mean: out = sum / weight, within [low, high]; plain where the weight is 0
//   0 in   base    [n]  not read
//   1 in   sum     [n]  f32
//   2 in   weight  [n]  f32
//   3 in   low     [n]  f32
//   4 in   high    [n]  f32
//   5 in   plain   [n]  f32
//   6 out  out     [n]  as stored, OUT_DTYPE   =   an odd last half-word is 0
//   7 uniform      n: u32, scale: f32 (always 1), zero: u32 (always 0), group0: u32
// A mean with weights of one sign lies between its values. Holding it there makes it exact where they are equal, or one alone counts.
struct Params { n: u32, scale: f32, zero: u32, group0: u32 }
@group(0) @binding(0) var<storage, read> base: array<vec2u>;
@group(0) @binding(1) var<storage, read> sum: array<vec4f>;
@group(0) @binding(2) var<storage, read> weight: array<vec4f>;
@group(0) @binding(3) var<storage, read> low: array<vec4f>;
@group(0) @binding(4) var<storage, read> high: array<vec4f>;
@group(0) @binding(5) var<storage, read> plain: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> out: array<vec2u>;
@group(0) @binding(7) var<uniform> params: Params;

fn quad(q: u32) {
  let by = weight[q];
  let some = by > vec4f();
  var mean = settle(divide(sum[q], select(vec4f(1.0), by, some)));
  mean = select(mean, low[q], mean < low[q]);
  mean = select(mean, high[q], mean > high[q]);
  store4(q, to_dtype(bitcast<vec4u>(select(plain[q], mean, some)), OUT_DTYPE));
}
