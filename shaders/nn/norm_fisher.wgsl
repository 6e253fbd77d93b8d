// norm_fisher: out[c] (+)= scale * sum_s g_s[c]^2,   g_s[c] = sum over rows r of s of dy[r,c] * x[r,c] * rstd[r]
//   0 in   x       [T * rows_per_token, C]  f32
//   1 in   rstd    [T * rows_per_token]     f32
//   2 in   dy      [T * rows_per_token, C]  f32
//   3 in   starts  [sequences + 1]          u32    sequence s owns tokens [starts[s], starts[s+1])
//   4 out  out     [C]                      f32    = , or += when accumulate is 1
//   5 uniform      T, C, sequences, rows_per_token, accumulate: u32, scale: f32, group0: u32
// A token has rows_per_token rows: 1, or the heads of a norm on queries or keys. One invocation per column; sequences
// and rows ascending. SQUARE false sums the plain gradients.
struct Params { T: u32, C: u32, sequences: u32, rows_per_token: u32, accumulate: u32, scale: f32, group0: u32 }

override SQUARE: bool = true;
override GROUP: u32 = 64u;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> rstd: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read> starts: array<u32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_id) lid: vec3u) {
  let c = (params.group0 + wid.x + wid.y * count.x) * GROUP + lid.x;
  if (c >= params.C) { return; }
  var f = 0.0;
  for (var s = 0u; s < params.sequences; s++) {
    var g = 0.0;
    let end = starts[s + 1u] * params.rows_per_token;
    for (var r = starts[s] * params.rows_per_token; r < end; r++) {
      let i = r * params.C + c;
      g += dy[i] * (x[i] * rstd[r]);
    }
    if (SQUARE) { f += g * g; } else { f += g; }
  }
  f *= params.scale;
  if (params.accumulate == 1u) { f += out[c]; }
  out[c] = f;
}
