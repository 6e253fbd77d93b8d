// rmsnorm_backward: dx[n,c] = rstd[n] * (t[n,c] - xhat[n,c] * mean_c(t[n,c] * xhat[n,c])),
//                   t = dy * weight,   xhat = x * rstd
//   0 in   x       [N, C]  f32
//   1 in   weight  [C]     f32
//   2 in   rstd    [N]     f32   written by rmsnorm
//   3 in   dy      [N, C]  f32
//   4 out  dx      [N, C]  f32   += when accumulate is 1, else =
//   5 uniform      N, C, accumulate: u32
// Prepend lib/row_reduce. One workgroup per row. Sums in f32. The gradient of the weight is the visitor's (fisher_norm).

struct Params { N: u32, C: u32, accumulate: u32 }

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> rstd: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {
  let n = wid.x + wid.y * count.x;
  if (n >= params.N) { return; }
  let row = n * params.C;
  let r = rstd[n];
  var sum = 0.0;
  for (var c = lane; c < params.C; c += LANES) { sum += dy[row + c] * weight[c] * x[row + c] * r; }
  let total = row_sum(lane, sum);
  let mean = total / f32(params.C);
  for (var c = lane; c < params.C; c += LANES) {
    let i = row + c;
    let gradient = r * (dy[i] * weight[c] - x[i] * r * mean);
    if (params.accumulate == 1u) { dx[i] += gradient; } else { dx[i] = gradient; }
  }
}
