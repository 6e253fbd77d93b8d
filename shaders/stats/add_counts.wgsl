// add_counts: counts[i] += digits[i], the digits that weigh_count found in one panel
//   0 in   digits  [2048]  u32
//   1 out  counts  [2048]  u32   +=
@group(0) @binding(0) var<storage, read> digits: array<u32>;
@group(0) @binding(1) var<storage, read_write> counts: array<u32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
  let bin = id.x * 256u + lane;
  counts[bin] += digits[bin];
}
