// cached_mix: y[m,part,h] = sum_j softmax_j(s[m,h]) values[place, j, kv(h)] over the seen keys j of 8 chunks, 256 keys, a part
//   0 in   p       [M, H, stride]             f32   of cached_scores
//   1 in   tops    [M, H, stride / 32]        vec2  of cached_scores
//   2 in   values  [places, capacity, KV, D]  f32
//   3 in   rows    [M, 4]                     u32   place in the cache, position, token, unused
//   4 out  y       [M, parts, H, D]           f32   =   the parts in which the row sees a key
//   5 uniform      M, H, KV, D, capacity, stride, window, parts, group0: u32
// Prepend lib/cached. One invocation per row, part, head and eight channels; no barriers. With one part y is the attention's
// output, else cached_join adds the parts. Sums in f32, j ascending.
struct Params { M: u32, H: u32, KV: u32, D: u32, capacity: u32, stride: u32, window: u32, parts: u32, group0: u32 }

override GROUP: u32 = 16u;

@group(0) @binding(0) var<storage, read> p: array<vec4f>;
@group(0) @binding(1) var<storage, read> tops: array<vec2f>;
@group(0) @binding(2) var<storage, read> values: array<vec4f>;
@group(0) @binding(3) var<storage, read> rows: array<vec4u>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

fn v1(i: u32) -> f32 { return values[i >> 2u][i & 3u]; }

fn v4(head: u32, n: u32) -> vec4f {
  if (PACKED) { return values[head * (params.D >> 2u) + n]; }
  let i = head * params.D + 4u * n;
  return upto(params.D - min(params.D, 4u * n), vec4f(v1(i), v1(i + 1u), v1(i + 2u), v1(i + 3u)));
}

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {
  let index = (params.group0 + wid.x + wid.y * count.x) * GROUP + lane;
  let eights = (params.D + 7u) / 8u;
  let n = index % eights * 2u;
  let h = index / eights % params.H;
  let part = index / eights / params.H % params.parts;
  let m = index / eights / params.H / params.parts;
  if (m >= params.M) { return; }
  let position = rows[m].y;
  let first = first_key(position) / CHUNK;
  let last = position / CHUNK;
  if (8u * part > last || 8u * part + 7u < first) { return; }
  let head = m * params.H + h;
  let chunks = params.stride / CHUNK;
  let kv = h / (params.H / params.KV);
  let place = rows[m].x * params.capacity;
  var top = -3.0e38;
  for (var c = first; c <= last; c++) { top = max(top, tops[head * chunks + c].x); }
  var total = 0.0;
  for (var c = first; c <= last; c++) {
    let t = tops[head * chunks + c];
    total += t.y * exp(t.x - top);
  }
  var a = vec4f();
  var b = vec4f();
  let second = min(n + 1u, (params.D - 1u) / 4u);
  for (var c = max(first, 8u * part); c <= min(last, 8u * part + 7u); c++) {
    let factor = exp(tops[head * chunks + c].x - top) / total;
    for (var i = 0u; i < 8u; i++) {
      let j = c * CHUNK + 4u * i;
      if (j > position) { break; }
      let w = p[(head * params.stride + j) / 4u] * factor;
      // What the cache holds past the row's own key may be no number: the own one stands for it, with weight 0.
      let s0 = (place + j) * params.KV + kv; let s1 = (place + min(j + 1u, position)) * params.KV + kv;
      let s2 = (place + min(j + 2u, position)) * params.KV + kv; let s3 = (place + min(j + 3u, position)) * params.KV + kv;
      a = a + w.x * v4(s0, n) + w.y * v4(s1, n) + w.z * v4(s2, n) + w.w * v4(s3, n);
      b = b + w.x * v4(s0, second) + w.y * v4(s1, second) + w.z * v4(s2, second) + w.w * v4(s3, second);
    }
  }
  let at = ((m * params.parts + part) * params.H + h) * params.D + 4u * n;
  for (var d = 0u; d < min(4u, params.D - 4u * n); d++) { y[at + d] = a[d]; }
  if (4u * n + 4u < params.D) { for (var d = 0u; d < min(4u, params.D - 4u * n - 4u); d++) { y[at + 4u + d] = b[d]; } }
}
