// attention_mix: y[i,h,d] = sum over the keys j seen by i of p[h,i,j] * v[j,kv(h),d]
//   0 in   p      [heads, rows, stride]  f32   written by attention_scores
//   1 in   v      [rows, KV, D]   f32
//   2 in   spans  [rows, 2]       u32
//   3 out  y      [rows, H, D]    f32   =   (columns of heads head0 .. head0 + heads)
//   4 uniform     rows, H, KV, D, head0, heads, stride, window, group0: u32
// The backward pass uses it once more: with the gradient of the scores for p and k for v, y is dq.
// One thread per output; keys in ascending order.

struct Params { rows: u32, H: u32, KV: u32, D: u32, head0: u32, heads: u32, stride: u32, window: u32, group0: u32 }

@group(0) @binding(0) var<storage, read> p: array<f32>;
@group(0) @binding(1) var<storage, read> v: array<f32>;
@group(0) @binding(2) var<storage, read> spans: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {
  let index = (params.group0 + wid.x + wid.y * count.x) * 64u + lane;
  if (index >= params.rows * params.heads * params.D) { return; }
  let d = index % params.D;
  let local_head = index / params.D % params.heads;
  let i = index / (params.D * params.heads);
  let h = params.head0 + local_head;
  let kv = h / (params.H / params.KV);
  let start = spans[2u * i];
  var first = start;
  if (params.window > 0u && i - start >= params.window) { first = i - params.window + 1u; }
  let p0 = (local_head * params.rows + i) * params.stride;
  var sum = 0.0;
  for (var j = first; j <= i; j++) { sum += p[p0 + j - start] * v[(j * params.KV + kv) * params.D + d]; }
  y[(i * params.H + h) * params.D + d] = sum;
}
