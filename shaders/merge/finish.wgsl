// finish: out = (theta0 + lambda * t) * scale (ADD 1) or t (ADD 0),   t = sum, or sum / by where by = max(weight, least) is not 0 (DIVIDE 1)
//   0 in   base    [n]  as stored, BASE_DTYPE; not read when ADD is 0
//   1 in   sum     [n]  f32
//   2 in   weight  [n]  f32; not read when DIVIDE is 0
//   3 out  out     [n]  as stored, OUT_DTYPE   =   an odd last half-word is 0
//   4 uniform      n: u32, lambda: f32, scale: f32, least: f32, zero: u32 (always 0), group0: u32
// Rounded to f32: t, lambda t, theta0 + lambda t, times scale; then once to OUT_DTYPE, nearest even. Where lambda t is 0, scale is 1
// and OUT_DTYPE is BASE_DTYPE, the base's bits are copied.
override ADD: u32 = 1u;
override DIVIDE: u32 = 0u;

struct Params { n: u32, lambda: f32, scale: f32, least: f32, zero: u32, group0: u32 }
@group(0) @binding(0) var<storage, read> base: array<vec2u>;
@group(0) @binding(1) var<storage, read> sum: array<vec4f>;
@group(0) @binding(2) var<storage, read> weight: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> out: array<vec2u>;
@group(0) @binding(4) var<uniform> params: Params;

fn quad(q: u32) {
  var t = sum[q];
  if (ADD == 0u) {
    store4(q, to_dtype(bitcast<vec4u>(t), OUT_DTYPE));
    return;
  }
  if (DIVIDE == 1u) {
    let by = max(weight[q], vec4f(params.least));
    t = select(t, settle(divide(t, by)), by != vec4f());
  }
  let bits = base4(q);
  let change = settle(params.lambda * t);
  store4(q, blend4(bits, change, settle(stored_values(bits, BASE_DTYPE) + change)));
}
