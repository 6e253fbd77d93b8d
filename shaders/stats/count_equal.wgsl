// count_equal: per workgroup of 2048 keys, how many equal the threshold
//   0 in   keys    [n]       f32 bits
//   1 in   cut     [8]       u32: threshold bits, ...
//   2 out  counts  [groups]  u32   =
//   3 uniform      n, group0: u32
struct Params { n: u32, group0: u32 }
@group(0) @binding(0) var<storage, read> keys: array<u32>;
@group(0) @binding(1) var<storage, read> cut: array<u32>;
@group(0) @binding(2) var<storage, read_write> counts: array<u32>;
@group(0) @binding(3) var<uniform> params: Params;

var<workgroup> sums: array<u32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {
  let group = params.group0 + id.x + id.y * count.x;
  // A threshold that is not a number equals nothing, not even itself.
  let wanted = select(0xffffffffu, cut[0], cut[0] <= 0x7f800000u);
  var equal = 0u;
  for (var i = 0u; i < 32u; i++) {
    let e = group * 2048u + i * 64u + lane;
    if (e < params.n && (keys[min(e, params.n - 1u)] & 0x7fffffffu) == wanted) { equal++; }
  }
  sums[lane] = equal;
  workgroupBarrier();
  for (var width = 32u; width > 0u; width >>= 1u) {
    if (lane < width) { sums[lane] += sums[lane + width]; }
    workgroupBarrier();
  }
  if (lane == 0u && group * 2048u < params.n) { counts[group] = sums[0]; }
}
