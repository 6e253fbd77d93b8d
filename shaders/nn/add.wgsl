// add: y += x
//   0 in   x  [count]  f32
//   1 out  y  [count]  f32   +=
//   2 uniform count: u32
// 512 elements per workgroup. The residual connection.

struct Params { count: u32 }

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first = (wid.x + wid.y * groups.x) * 512u + lane;
  for (var i = first; i < min(first + 512u, params.count); i += 64u) { y[i] += x[i]; }
}
