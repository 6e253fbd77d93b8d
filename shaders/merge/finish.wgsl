// finish: out = (theta0 + lambda * t) * scale (ADD 1) or t (ADD 0),   t = sum, or sum / weight where weight is not 0 (DIVIDE 1)
//   0 in   base    [n]  as stored, BASE_DTYPE; not read when ADD is 0
//   1 in   sum     [n]  f32
//   2 in   weight  [n]  f32; not read when DIVIDE is 0
//   3 out  out     [n]  as stored, OUT_DTYPE   =   an odd last half-word is 0
//   4 uniform      n: u32, lambda: f32, scale: f32, zero: u32 (always 0), group0: u32
// Rounded to f32: t, lambda t, theta0 + lambda t, times scale; then once to OUT_DTYPE, nearest even. Where lambda t is 0, scale is 1
// and OUT_DTYPE is BASE_DTYPE, the base's bits are copied.
override BASE_DTYPE: u32 = 0u;
override OUT_DTYPE: u32 = 0u;
override ADD: u32 = 1u;
override DIVIDE: u32 = 0u;

struct Params { n: u32, lambda: f32, scale: f32, zero: u32, group0: u32 }
@group(0) @binding(0) var<storage, read> base: array<u32>;
@group(0) @binding(1) var<storage, read> sum: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<u32>;
@group(0) @binding(4) var<uniform> params: Params;

fn settle(x: f32) -> f32 { return bitcast<f32>(bitcast<u32>(x) ^ params.zero); }

fn base_pair(p: u32) -> vec2u {
  if (BASE_DTYPE == 0u) { return vec2u(base[2u * p], base[2u * p + 1u]); }
  return vec2u(base[p] & 0xffffu, base[p] >> 16u);
}

fn merged(e: u32, base_bits: u32) -> u32 {
  var t = sum[e];
  if (ADD == 0u) { return to_dtype(bitcast<u32>(t), OUT_DTYPE); }
  if (DIVIDE == 1u) {
    let by = weight[e];
    if (by != 0.0) { t = settle(divide(t, by)); }
  }
  let change = settle(params.lambda * t);
  if (change == 0.0 && params.scale == 1.0 && OUT_DTYPE == BASE_DTYPE) { return base_bits; }
  var theta0 = bitcast<f32>(base_bits);
  if (BASE_DTYPE != 0u) { theta0 = half_value(base_bits, BASE_DTYPE); }
  return to_dtype(bitcast<u32>(settle(settle(theta0 + change) * params.scale)), OUT_DTYPE);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {
  let group = params.group0 + id.x + id.y * count.x;
  for (var i = 0u; i < 16u; i++) {
    let p = group * 1024u + i * 64u + lane;
    let e = 2u * p;
    if (e >= params.n) { break; }
    let second = e + 1u < params.n;
    var origin = vec2u(0u);
    if (ADD == 1u) { origin = base_pair(p); }
    let low = merged(e, origin.x);
    var high = 0u;
    if (second) { high = merged(e + 1u, origin.y); }
    if (OUT_DTYPE == 0u) {
      out[e] = low;
      if (second) { out[e + 1u] = high; }
    } else {
      out[p] = low | (high << 16u);
    }
  }
}
