// attention_mix: y[i,h,d] = sum over the keys j seen by i of p[h,i,j] * v[j,kv(h),d]
//   0 in   p      [heads, rows, stride]  f32   written by attention_scores
//   1 in   v      [rows, KV, D]   f32
//   2 in   spans  [rows, 2]       u32
//   3 out  y      [rows, H, D]    f32   =   (columns of heads head0 .. head0 + heads)
//   4 uniform     rows, H, KV, D, head0, heads, stride, window, group0: u32
// The backward pass uses it once more: with the gradient of the scores for p and k for v, y is dq.
// One thread per output, or per four with PACKED (D % 4 == 0); keys in ascending order.

override PACKED: bool = false;

struct Params { rows: u32, H: u32, KV: u32, D: u32, head0: u32, heads: u32, stride: u32, window: u32, group0: u32 }

@group(0) @binding(0) var<storage, read> p: array<f32>;
@group(0) @binding(1) var<storage, read> v: array<vec4f>;
@group(0) @binding(2) var<storage, read> spans: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

fn v1(i: u32) -> f32 { return v[i >> 2u][i & 3u]; }

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {
  let index = (params.group0 + wid.x + wid.y * count.x) * 64u + lane;
  let width = select(1u, 4u, PACKED);
  let per_head = params.D / width;
  if (index >= params.rows * params.heads * per_head) { return; }
  let d = index % per_head * width;
  let local_head = index / per_head % params.heads;
  let i = index / (per_head * params.heads);
  let h = params.head0 + local_head;
  let kv = h / (params.H / params.KV);
  let start = spans[2u * i];
  var first = start;
  if (params.window > 0u && i - start >= params.window) { first = i - params.window + 1u; }
  let p0 = (local_head * params.rows + i) * params.stride;
  let out = (i * params.H + h) * params.D + d;
  if (PACKED) {
    var sum = vec4f();
    for (var j = first; j <= i; j++) { sum += p[p0 + j - start] * v[((j * params.KV + kv) * params.D + d) >> 2u]; }
    y[out] = sum.x; y[out + 1u] = sum.y; y[out + 2u] = sum.z; y[out + 3u] = sum.w;
    return;
  }
  var sum = 0.0;
  for (var j = first; j <= i; j++) { sum += p[p0 + j - start] * v1((j * params.KV + kv) * params.D + d); }
  y[out] = sum;
}
