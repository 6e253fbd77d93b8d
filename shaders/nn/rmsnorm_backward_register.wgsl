// rmsnorm_backward_register: dx[n,c] = rstd[n] * (t[n,c] - xhat[n,c] * mean_c(t[n,c] * xhat[n,c])),
//                            t = dy * weight,   xhat = x * rstd
//   0 in   x       [N, C]  f32   C a multiple of 4
//   1 in   weight  [C]     f32
//   2 in   rstd    [N]     f32   written by rmsnorm
//   3 in   dy      [N, C]  f32
//   4 out  dx      [N, C]  f32   += when accumulate is 1, else =
//   5 uniform      N, C, accumulate: u32
// Form of rmsnorm_backward for software adapters: one invocation per row, no barriers. Sums in f32 in the order of
// rmsnorm_backward, by lanes of 64 in eights, so that they are the same.

override GROUP: u32 = 8u;

struct Params { N: u32, C: u32, accumulate: u32 }

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> weight: array<vec4f>;
@group(0) @binding(2) var<storage, read> rstd: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> dx: array<vec4f>;
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {
  let n = (wid.x + wid.y * count.x) * GROUP + lane;
  if (n >= params.N) { return; }
  let quads = params.C >> 2u;
  let row = n * quads;
  let r = rstd[n];
  var total = 0.0;
  for (var g = 0u; g < min(16u, quads); g += 2u) {
    var a = vec4f();
    var b = vec4f();
    for (var q = g; q < quads; q += 16u) {
      a += dy[row + q] * weight[q] * x[row + q] * r;
      if (q + 1u < quads) { b += dy[row + q + 1u] * weight[q + 1u] * x[row + q + 1u] * r; }
    }
    total += a.x + a.y + a.z + a.w + b.x + b.y + b.z + b.w;
  }
  let mean = total / f32(params.C);
  for (var q = 0u; q < quads; q++) {
    let i = row + q;
    let gradient = r * (dy[i] * weight[q] - x[i] * r * mean);
    if (params.accumulate == 1u) { dx[i] += gradient; } else { dx[i] = gradient; }
  }
}
