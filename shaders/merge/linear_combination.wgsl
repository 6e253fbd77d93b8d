// linear_combination: sum[i] = (FIRST: nothing, else sum[i]) + c * x[i],   x = theta (DELTA 0) or m (theta - theta0) (DELTA 1)
//   0 in   base   [n]  as stored, BASE_DTYPE; not read when DELTA is 0
//   1 in   tuned  [n]  as stored, TUNED_DTYPE
//   2 in   mask   [ceil(n / 32)]  u32; not read when HAS_MASK is 0
//   3 out  sum    [n]  f32   += (= when FIRST is 1)
//   4 uniform     n: u32, c: f32, zero: u32 (always 0), group0: u32
// One call per expert, so the number of experts is in no binding list. Each product and each sum is rounded to f32.
override BASE_DTYPE: u32 = 0u;
override TUNED_DTYPE: u32 = 0u;
override HAS_MASK: u32 = 1u;
override DELTA: u32 = 1u;
override FIRST: u32 = 0u;

struct Params { n: u32, c: f32, zero: u32, group0: u32 }
@group(0) @binding(0) var<storage, read> base: array<u32>;
@group(0) @binding(1) var<storage, read> tuned: array<u32>;
@group(0) @binding(2) var<storage, read> mask: array<u32>;
@group(0) @binding(3) var<storage, read_write> sum: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

fn settle(x: f32) -> f32 { return bitcast<f32>(bitcast<u32>(x) ^ params.zero); }

fn base_pair(p: u32) -> vec2f {
  if (BASE_DTYPE == 0u) { return vec2f(bitcast<f32>(base[2u * p]), bitcast<f32>(base[2u * p + 1u])); }
  return unpack_pair(base[p], BASE_DTYPE);
}

fn tuned_pair(p: u32) -> vec2f {
  if (TUNED_DTYPE == 0u) { return vec2f(bitcast<f32>(tuned[2u * p]), bitcast<f32>(tuned[2u * p + 1u])); }
  return unpack_pair(tuned[p], TUNED_DTYPE);
}

fn add(e: u32, theta0: f32, theta: f32, keep: bool) {
  var term = settle(params.c * theta);
  if (DELTA == 1u) { term = select(0.0, settle(params.c * settle(theta - theta0)), keep && params.c != 0.0); }
  if (FIRST == 1u) { sum[e] = term; } else { sum[e] = sum[e] + term; }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {
  let group = params.group0 + id.x + id.y * count.x;
  for (var i = 0u; i < 16u; i++) {
    let p = group * 1024u + i * 64u + lane;
    let e = 2u * p;
    if (e >= params.n) { break; }
    var bits = 3u;
    if (HAS_MASK == 1u) { bits = mask[e >> 5u] >> (e & 31u); }
    var origin = vec2f(0.0);
    if (DELTA == 1u) { origin = base_pair(p); }
    let to = tuned_pair(p);
    add(e, origin.x, to.x, (bits & 1u) == 1u);
    if (e + 1u < params.n) { add(e + 1u, origin.y, to.y, (bits & 2u) == 2u); }
  }
}
