// attention_scores_backward: gradient of the scaled dot products, in place of the probabilities
//   p[h,i,j] <- scale * p[h,i,j] * (dy[i,h] . v[j,kv(h)] - dy[i,h] . y[i,h])
//   0 in   y      [rows, H, D]    f32   output of the attention: dy . y = sum_j p (dy . v_j)
//   1 in   dy     [rows, H, D]    f32
//   2 in   v      [rows, KV, D]   f32
//   3 in   spans  [rows, 2]       u32
//   4 out  p      [heads, rows, stride]  f32   = (in place)
//   5 uniform     rows, H, KV, D, head0, heads, stride, window: u32, scale: f32, group0: u32
// Layout and visible keys as in attention_scores; the scale is included, so dq = p k and dk = p^T q follow directly.
// Prepend lib/row_reduce. One workgroup per (row, head). Sums in f32.
// PACKED (D % 4 == 0) reads vectors of four and adds their terms one by one: the order, and so the sum, is the same.

override PACKED: bool = false;

struct Params { rows: u32, H: u32, KV: u32, D: u32, head0: u32, heads: u32, stride: u32, window: u32, scale: f32, group0: u32 }

@group(0) @binding(0) var<storage, read> y: array<f32>;
@group(0) @binding(1) var<storage, read> dy: array<vec4f>;
@group(0) @binding(2) var<storage, read> v: array<vec4f>;
@group(0) @binding(3) var<storage, read> spans: array<u32>;
@group(0) @binding(4) var<storage, read_write> p: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

fn dy1(i: u32) -> f32 { return dy[i >> 2u][i & 3u]; }
fn v1(i: u32) -> f32 { return v[i >> 2u][i & 3u]; }

fn product(y0: u32, v0: u32) -> f32 {
  var dot = 0.0;
  if (PACKED) {
    for (var d = 0u; d < params.D / 4u; d++) {
      let a = dy[(y0 >> 2u) + d];
      let b = v[(v0 >> 2u) + d];
      dot += a.x * b.x; dot += a.y * b.y; dot += a.z * b.z; dot += a.w * b.w;
    }
  } else {
    for (var d = 0u; d < params.D; d++) { dot += dy1(y0 + d) * v1(v0 + d); }
  }
  return dot;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {
  let group = params.group0 + wid.x + wid.y * count.x;
  if (group >= params.rows * params.heads) { return; }
  let i = group % params.rows;
  let local_head = group / params.rows;
  let h = params.head0 + local_head;
  let kv = h / (params.H / params.KV);
  let start = spans[2u * i];
  var first = start;
  if (params.window > 0u && i - start >= params.window) { first = i - params.window + 1u; }
  let out = group * params.stride;
  let y0 = (i * params.H + h) * params.D;

  var sum = 0.0;
  for (var d = lane; d < params.D; d += LANES) { sum += y[y0 + d] * dy1(y0 + d); }
  let total = row_sum(lane, sum);
  for (var j = first + lane; j <= i; j += LANES) {
    let v0 = (j * params.KV + kv) * params.D;
    p[out + j - start] *= params.scale * (product(y0, v0) - total);
  }
}
