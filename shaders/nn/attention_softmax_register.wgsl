// attention_softmax_register: p[h,i,j] <- softmax_j(p[h,i,j]) over the keys j that row i sees
//   0 in   spans  [rows, 2]              u32
//   1 out  p      [heads, rows, stride]  f32   = (in place) written by attention_scores_register
//   2 uniform     rows, heads, stride, window, group0: u32
// Zeros for unseen keys of the tiles of 8 that a neighbour of 8 rows sees. One invocation per (row, head), no barriers;
// maximum subtracted, and the terms are added in the order of attention_scores, by lanes of 64, so that the sums are the same.

override GROUP: u32 = 16u;

struct Params { rows: u32, heads: u32, stride: u32, window: u32, group0: u32 }

@group(0) @binding(0) var<storage, read> spans: array<u32>;
@group(0) @binding(1) var<storage, read_write> p: array<vec4f>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {
  let index = (params.group0 + wid.x + wid.y * count.x) * GROUP + lane;
  let local_head = index % params.heads;
  let i = index / params.heads;
  if (i >= params.rows) { return; }
  let last = i - spans[2u * i];
  // Of this row, and of the first of its eight.
  var first = 0u;
  var lowest = 0u;
  if (params.window > 0u) {
    first = max(last + 1u, params.window) - params.window;
    lowest = max((last & ~7u) + 1u, params.window) - params.window;
  }
  let row = (local_head * params.rows + i) * (params.stride >> 2u);
  let quad0 = (lowest & ~7u) >> 2u;
  let end = (last >> 3u) * 2u + 2u;

  var tops = vec4f(-3.0e38);
  for (var c = quad0; c < end; c++) {
    let j = vec4u(4u * c) + vec4u(0u, 1u, 2u, 3u);
    tops = max(tops, select(vec4f(-3.0e38), p[row + c], (j >= vec4u(first)) & (j <= vec4u(last))));
  }
  let top = max(max(tops.x, tops.y), max(tops.z, tops.w));
  for (var c = quad0; c < end; c++) {
    let j = vec4u(4u * c) + vec4u(0u, 1u, 2u, 3u);
    p[row + c] = select(vec4f(), exp(p[row + c] - top), (j >= vec4u(first)) & (j <= vec4u(last)));
  }
  var total = 0.0;
  for (var g = first; g < min(first + 64u, last + 1u); g += 8u) {
    var group = 0.0;
    for (var l = g; l < min(g + 8u, last + 1u); l++) {
      var sum = 0.0;
      for (var j = l; j <= last; j += 64u) { sum += p[row + (j >> 2u)][j & 3u]; }
      group += sum;
    }
    total += group;
  }
  for (var c = quad0; c < end; c++) { p[row + c] = p[row + c] / total; }
}
