// attention_scores: p[h,i,j] = softmax_j(scale * q[i,h] . k[j,kv(h)]) over the keys j that row i sees
//   0 in   q      [rows, H, D]    f32
//   1 in   k      [rows, KV, D]   f32
//   2 in   spans  [rows, 2]       u32   first row and one past the last row of the row's sequence
//   3 out  p      [heads, rows, stride]  f32   =   column j - start; columns of unseen keys are left alone
//   4 uniform     rows, H, KV, D, head0, heads, stride, window: u32, scale: f32, group0: u32
// Heads head0 .. head0 + heads of H; kv(h) = h / (H / KV). Key j is seen by i when start <= j <= i and, with a window,
// i - j < window. Prepend lib/row_reduce. One workgroup per (row, head). Maximum subtracted, sums in f32; unseen terms are skipped, not masked.
// PACKED (D % 4 == 0) reads vectors of four and adds their terms one by one: the order, and so the sum, is the same.
// Source: Vaswani et al. 2017, arXiv:1706.03762, eq. 1; window as in Hugging Face's sliding-window causal mask.

override PACKED: bool = false;

struct Params { rows: u32, H: u32, KV: u32, D: u32, head0: u32, heads: u32, stride: u32, window: u32, scale: f32, group0: u32 }

@group(0) @binding(0) var<storage, read> q: array<vec4f>;
@group(0) @binding(1) var<storage, read> k: array<vec4f>;
@group(0) @binding(2) var<storage, read> spans: array<u32>;
@group(0) @binding(3) var<storage, read_write> p: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

fn q1(i: u32) -> f32 { return q[i >> 2u][i & 3u]; }
fn k1(i: u32) -> f32 { return k[i >> 2u][i & 3u]; }

fn product(q0: u32, k0: u32) -> f32 {
  var dot = 0.0;
  if (PACKED) {
    for (var d = 0u; d < params.D / 4u; d++) {
      let a = q[(q0 >> 2u) + d];
      let b = k[(k0 >> 2u) + d];
      dot += a.x * b.x; dot += a.y * b.y; dot += a.z * b.z; dot += a.w * b.w;
    }
  } else {
    for (var d = 0u; d < params.D; d++) { dot += q1(q0 + d) * k1(k0 + d); }
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
  let q0 = (i * params.H + h) * params.D;

  var top = -3.0e38;
  for (var j = first + lane; j <= i; j += LANES) {
    let k0 = (j * params.KV + kv) * params.D;
    let dot = product(q0, k0) * params.scale;
    p[out + j - start] = dot;
    top = max(top, dot);
  }
  top = row_max(lane, top);

  var sum = 0.0;
  for (var j = first + lane; j <= i; j += LANES) {
    let e = exp(p[out + j - start] - top);
    p[out + j - start] = e;
    sum += e;
  }
  let total = row_sum(lane, sum);
  for (var j = first + lane; j <= i; j += LANES) { p[out + j - start] /= total; }
}
