// row_distance: per row, out[row] (+)= sum over the first `columns` columns of (a - b)^2
//   0 in   a    [rows, a_stride]  f32
//   1 in   b    [rows, b_stride]  f32
//   2 out  out  [rows]  f32   += (= when FIRST is 1)
//   3 uniform   rows, columns, a_stride, b_stride, group0: u32
// A workgroup owns a row. Source: Sens-Merging, arXiv:2502.12420 (METHODS 6.2): logits of two models.
override FIRST: u32 = 0u;

struct Params { rows: u32, columns: u32, a_stride: u32, b_stride: u32, group0: u32 }
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = params.group0 + id.x + id.y * count.x;
  var sum = 0.0;
  if (row < params.rows) {
    for (var c = lane; c < params.columns; c += 64u) {
      let d = a[row * params.a_stride + c] - b[row * params.b_stride + c];
      sum += d * d;
    }
  }
  let total = row_sum(lane, sum);
  if (lane == 0u && row < params.rows) {
    if (FIRST == 1u) { out[row] = total; } else { out[row] += total; }
  }
}
