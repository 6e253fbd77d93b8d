// rmsnorm_register: y[n,c] = x[n,c] * rstd[n] * weight[c],   rstd[n] = 1 / sqrt(mean_c(x[n,c]^2) + eps)
//   0 in   x       [N, C]  f32   C a multiple of 4
//   1 in   weight  [C]     f32
//   2 out  y       [N, C]  f32   =
//   3 out  rstd    [N]     f32   =    read again by rmsnorm_backward
//   4 uniform      N, C: u32, eps: f32
// Form of rmsnorm for software adapters: one invocation per row, no barriers. Sums in f32 in the order of rmsnorm, by
// lanes of 64 in eights, so that they are the same.

override GROUP: u32 = 8u;

struct Params { N: u32, C: u32, eps: f32 }

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> weight: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> rstd: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {
  let n = (wid.x + wid.y * count.x) * GROUP + lane;
  if (n >= params.N) { return; }
  let quads = params.C >> 2u;
  let row = n * quads;
  var total = 0.0;
  for (var g = 0u; g < min(16u, quads); g += 2u) {
    var a = vec4f();
    var b = vec4f();
    for (var q = g; q < quads; q += 16u) {
      let u = x[row + q];
      a += u * u;
      if (q + 1u < quads) {
        let v = x[row + q + 1u];
        b += v * v;
      }
    }
    total += a.x + a.y + a.z + a.w + b.x + b.y + b.z + b.w;
  }
  let r = 1.0 / sqrt(total / f32(params.C) + params.eps);
  for (var q = 0u; q < quads; q++) { y[row + q] = x[row + q] * r * weight[q]; }
  rstd[n] = r;
}
