// cross_entropy_finish: nll[r] = log(s[r]) + m[r] - l[r], and 0 where weights[r] is 0
//   0 in   state    [R, 3]  f32    m, s, l of cross_entropy_update after the last panel
//   1 in   weights  [R]     f32
//   2 out  nll      [R]     f32    =    not multiplied by the weight
//   3 uniform       R, group0: u32
// One invocation per row.
struct Params { R: u32, group0: u32 }

override GROUP: u32 = 64u;

@group(0) @binding(0) var<storage, read> state: array<f32>;
@group(0) @binding(1) var<storage, read> weights: array<f32>;
@group(0) @binding(2) var<storage, read_write> nll: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = (params.group0 + wid.x + wid.y * count.x) * GROUP + lane;
  if (row >= params.R) { return; }
  var value = 0.0;
  if (weights[row] != 0.0) { value = (state[row * 3u] - state[row * 3u + 2u]) + log(state[row * 3u + 1u]); }
  nll[row] = value;
}
