// attention_delta_register: delta[h,i] = dy[i,h] . y[i,h], which is sum_j p[h,i,j] (dy[i,h] . v[j,kv(h)])
//   0 in   y      [rows, H, D]   f32   output of the attention
//   1 in   dy     [rows, H, D]   f32
//   2 out  delta  [heads, rows]  f32   =
//   3 uniform     rows, H, D, head0, heads, group0: u32
// One invocation per (row, head), no barriers; terms in the order of attention_scores_backward, by lanes of 64.

override GROUP: u32 = 16u;

struct Params { rows: u32, H: u32, D: u32, head0: u32, heads: u32, group0: u32 }

@group(0) @binding(0) var<storage, read> y: array<f32>;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> delta: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {
  let index = (params.group0 + wid.x + wid.y * count.x) * GROUP + lane;
  let local_head = index % params.heads;
  let i = index / params.heads;
  if (i >= params.rows) { return; }
  let row = (i * params.H + params.head0 + local_head) * params.D;
  var total = 0.0;
  for (var g = 0u; g < min(64u, params.D); g += 8u) {
    var group = 0.0;
    for (var l = g; l < min(g + 8u, params.D); l++) {
      var sum = 0.0;
      for (var d = l; d < params.D; d += 64u) { sum += y[row + d] * dy[row + d]; }
      group += sum;
    }
    total += group;
  }
  delta[local_head * params.rows + i] = total;
}
