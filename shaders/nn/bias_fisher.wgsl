// bias_fisher: out[n] (+)= scale * sum_s (sum_{t in s} dy[t,n])^2
//   0 in   dy      [T, N]           f32
//   1 in   starts  [sequences + 1]  u32    sequence s owns rows [starts[s], starts[s+1])
//   2 out  out     [N]              f32    = , or += when accumulate is 1
//   3 uniform      T, N, sequences, accumulate: u32, scale: f32, group0: u32
// One invocation per column; sequences and tokens ascending. SQUARE false sums the plain gradients.
struct Params { T: u32, N: u32, sequences: u32, accumulate: u32, scale: f32, group0: u32 }

override SQUARE: bool = true;
override GROUP: u32 = 64u;

@group(0) @binding(0) var<storage, read> dy: array<f32>;
@group(0) @binding(1) var<storage, read> starts: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_id) lid: vec3u) {
  let n = (params.group0 + wid.x + wid.y * count.x) * GROUP + lid.x;
  if (n >= params.N) { return; }
  var f = 0.0;
  for (var s = 0u; s < params.sequences; s++) {
    var g = 0.0;
    let end = starts[s + 1u];
    for (var t = starts[s]; t < end; t++) { g += dy[t * params.N + n]; }
    if (SQUARE) { f += g * g; } else { f += g; }
  }
  f *= params.scale;
  if (params.accumulate == 1u) { f += out[n]; }
  out[n] = f;
}
