// cross_entropy_backward: logits[r,v] becomes weights[r] * (exp(logits[r,v] - m[r]) / s[r] - [row0 + v = targets[r]])
//   0 in   state    [R, 3]  f32    m, s, l of cross_entropy_update after the last panel
//   1 in   targets  [R]     u32    vocabulary ids
//   2 in   weights  [R]     f32    gradient of the loss for nll[r]; where it is 0 the result is exactly 0
//   3 out  logits   [R, N]  f32    read and replaced; vocabulary rows [row0, row0 + N)
//   4 uniform       R, N, row0, group0: u32
// Eight elements per invocation, one workgroup apart.
struct Params { R: u32, N: u32, row0: u32, group0: u32 }

override GROUP: u32 = 64u;

@group(0) @binding(0) var<storage, read> state: array<f32>;
@group(0) @binding(1) var<storage, read> targets: array<u32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> logits: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {
  let total = params.R * params.N;
  let begin = (params.group0 + wid.x + wid.y * count.x) * GROUP * 8u + lane;
  for (var step = 0u; step < 8u; step++) {
    let i = begin + step * GROUP;
    if (i >= total) { return; }
    let row = i / params.N;
    let weight = weights[row];
    var value = 0.0;
    if (weight != 0.0) {
      value = exp(logits[i] - state[row * 3u]) / state[row * 3u + 1u];
      if (params.row0 + i % params.N == targets[row]) { value -= 1.0; }
      value *= weight;
    }
    logits[i] = value;
  }
}
