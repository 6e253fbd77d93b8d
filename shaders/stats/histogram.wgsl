// histogram: counts one digit of the keys whose higher digits equal the prefix found so far
//   DIGIT 0: bits 30..20 (2048 bins), 1: bits 19..10, 2: bits 9..0 (1024 bins each). Keys are non-negative, so bits order as values.
//   0 in   keys    [n]     f32 bits
//   1 in   cut     [8]     u32: prefix, rank left, ...
//   2 out  counts  [2048]  u32   +=    zeroed by scan_digit
//   3 uniform      n, group0: u32
// A workgroup counts 8192 keys in its own memory first; global atomics are integer adds, so their order does not matter.
override DIGIT: u32 = 0u;

struct Params { n: u32, group0: u32 }
@group(0) @binding(0) var<storage, read> keys: array<u32>;
@group(0) @binding(1) var<storage, read> cut: array<u32>;
@group(0) @binding(2) var<storage, read_write> counts: array<atomic<u32>>;
@group(0) @binding(3) var<uniform> params: Params;

var<workgroup> bins: array<atomic<u32>, 2048>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {
  let group = params.group0 + id.x + id.y * count.x;
  let prefix = cut[0];
  for (var i = 0u; i < 32u; i++) {
    let e = group * 8192u + i * 256u + lane;
    if (e >= params.n) { break; }
    let key = keys[e] & 0x7fffffffu;
    if (DIGIT == 0u) {
      atomicAdd(&bins[key >> 20u], 1u);
    } else if (DIGIT == 1u) {
      if (key >> 20u == prefix >> 20u) { atomicAdd(&bins[(key >> 10u) & 1023u], 1u); }
    } else {
      if (key >> 10u == prefix >> 10u) { atomicAdd(&bins[key & 1023u], 1u); }
    }
  }
  workgroupBarrier();
  for (var bin = lane; bin < 2048u; bin += 256u) {
    let seen = atomicLoad(&bins[bin]);
    if (seen > 0u) { atomicAdd(&counts[bin], seen); }
  }
}
