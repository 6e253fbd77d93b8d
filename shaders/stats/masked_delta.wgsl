// masked_delta: out[e] = m[e] (theta[e] - theta0[e])
//   0 in   mask   [ceil(n / 32)]  u32, one bit per element, least significant first; not read when HAS_MASK is 0 (m = 1)
//   1 in   base   [n]  as stored, BASE_DTYPE
//   2 in   tuned  [n]  as stored, TUNED_DTYPE
//   3 out  delta  [n]  f32   =
//   4 uniform     n, group0: u32
override BASE_DTYPE: u32 = 0u;
override TUNED_DTYPE: u32 = 0u;
override HAS_MASK: u32 = 1u;

struct Params { n: u32, group0: u32 }
@group(0) @binding(0) var<storage, read> mask: array<u32>;
@group(0) @binding(1) var<storage, read> base: array<u32>;
@group(0) @binding(2) var<storage, read> tuned: array<u32>;
@group(0) @binding(3) var<storage, read_write> delta: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

fn base_value(e: u32) -> f32 {
  if (BASE_DTYPE == 0u) { return bitcast<f32>(base[e]); }
  let pair = unpack_pair(base[e >> 1u], BASE_DTYPE);
  return select(pair.x, pair.y, (e & 1u) == 1u);
}

fn tuned_value(e: u32) -> f32 {
  if (TUNED_DTYPE == 0u) { return bitcast<f32>(tuned[e]); }
  let pair = unpack_pair(tuned[e >> 1u], TUNED_DTYPE);
  return select(pair.x, pair.y, (e & 1u) == 1u);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {
  let group = params.group0 + id.x + id.y * count.x;
  for (var i = 0u; i < 32u; i++) {
    let e = group * 2048u + i * 64u + lane;
    if (e >= params.n) { return; }
    var keep = true;
    if (HAS_MASK == 1u) { keep = ((mask[e >> 5u] >> (e & 31u)) & 1u) == 1u; }
    delta[e] = select(0.0, tuned_value(e) - base_value(e), keep);
  }
}
