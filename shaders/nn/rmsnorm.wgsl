// rmsnorm: y[n,c] = x[n,c] * rstd[n] * weight[c],   rstd[n] = 1 / sqrt(mean_c(x[n,c]^2) + eps)
//   0 in   x       [N, C]  f32
//   1 in   weight  [C]     f32
//   2 out  y       [N, C]  f32   =
//   3 out  rstd    [N]     f32   =    read again by rmsnorm_backward
//   4 uniform      N, C: u32, eps: f32
// Prepend lib/row_reduce. One workgroup per row. Sums in f32.
// Source: Zhang & Sennrich 2019, arXiv:1910.07467, eq. 4; same as Qwen2RMSNorm and LlamaRMSNorm.

struct Params { N: u32, C: u32, eps: f32 }

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> rstd: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {
  let n = wid.x + wid.y * count.x;
  if (n >= params.N) { return; }
  let row = n * params.C;
  var sum = 0.0;
  for (var c = lane; c < params.C; c += LANES) {
    let value = x[row + c];
    sum += value * value;
  }
  let total = row_sum(lane, sum);
  let r = 1.0 / sqrt(total / f32(params.C) + params.eps);
  for (var c = lane; c < params.C; c += LANES) { y[row + c] = x[row + c] * r * weight[c]; }
  if (lane == 0u) { rstd[n] = r; }
}
