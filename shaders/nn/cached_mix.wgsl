// cached_mix: y[m,part,h] = sum_j softmax_j(s[m,h]) values[place, j, kv(h)] over the seen keys j of 8 chunks, 256 keys, a part
//   0 in   p       [M, H, stride]             f32   of cached_scores
//   1 in   tops    [M, H, stride / 32]        vec2  of cached_scores
//   2 in   values  [places, capacity, KV, D]  f32
//   3 in   rows    [M, 4]                     u32   place in the cache, position, token, unused
//   4 out  y       [M, parts, H, D]           f32   =   the parts in which the row sees a key
//   5 uniform      M, H, KV, D, capacity, stride, window, parts, group0: u32
// Prepend lib/cached. One invocation per row, part, eight channels and up to four query heads of one key head (HEADS of them
// share each load of a value); no barriers. With one part y is the attention's output, else cached_join adds the parts. Sums in
// f32, j ascending.
struct Params { M: u32, H: u32, KV: u32, D: u32, capacity: u32, stride: u32, window: u32, parts: u32, group0: u32 }

override GROUP: u32 = 4u;
override HEADS: u32 = 1u;

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

// Largest score of a head, and the sum of its exponentials.
fn top_of(head: u32, first: u32, last: u32) -> vec2f {
  let at = head * (params.stride / CHUNK);
  var top = -3.0e38;
  for (var c = first; c <= last; c++) { top = max(top, tops[at + c].x); }
  var total = 0.0;
  for (var c = first; c <= last; c++) { total += tops[at + c].y * exp(tops[at + c].x - top); }
  return vec2f(top, total);
}

// What turns the exponentials of a chunk into probabilities.
fn factor(head: u32, c: u32, top: vec2f) -> f32 { return exp(tops[head * (params.stride / CHUNK) + c].x - top.x) / top.y; }

fn p4(head: u32, j: u32) -> vec4f { return p[(head * params.stride + j) / 4u]; }

// a + w.x v[0] + w.y v[1] + w.z v[2] + w.w v[3]
fn mixed(a: vec4f, w: vec4f, v: mat4x4f) -> vec4f { return a + w.x * v[0] + w.y * v[1] + w.z * v[2] + w.w * v[3]; }

fn store(m: u32, part: u32, head: u32, n: u32, a: vec4f, b: vec4f) {
  let at = ((m * params.parts + part) * params.H + head - m * params.H) * params.D + 4u * n;
  for (var d = 0u; d < min(4u, params.D - 4u * n); d++) { y[at + d] = a[d]; }
  if (4u * n + 4u < params.D) { for (var d = 0u; d < min(4u, params.D - 4u * n - 4u); d++) { y[at + 4u + d] = b[d]; } }
}

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {
  let index = (params.group0 + wid.x + wid.y * count.x) * GROUP + lane;
  let eights = (params.D + 7u) / 8u;
  let group = params.H / params.KV;
  let tiles = (group + HEADS - 1u) / HEADS;
  let n = index % eights * 2u;
  let kv = index / eights / tiles % params.KV;
  let part = index / eights / tiles / params.KV % params.parts;
  let m = index / eights / tiles / params.KV / params.parts;
  if (m >= params.M) { return; }
  let position = rows[m].y;
  let first = first_key(position) / CHUNK;
  let last = position / CHUNK;
  if (8u * part > last || 8u * part + 7u < first) { return; }
  // Heads past the group's end repeat its last one, and write the same again.
  let head0 = m * params.H + kv * group;
  let h0 = index / eights % tiles * HEADS;
  let ha = head0 + h0;
  let hb = head0 + min(h0 + 1u, group - 1u);
  let hc = head0 + min(h0 + 2u, group - 1u);
  let hd = head0 + min(h0 + 3u, group - 1u);
  let ta = top_of(ha, first, last);
  var tb = ta; var tc = ta; var td = ta;
  if (HEADS > 1u) { tb = top_of(hb, first, last); }
  if (HEADS > 2u) { tc = top_of(hc, first, last); }
  if (HEADS > 3u) { td = top_of(hd, first, last); }
  var a0 = vec4f(); var a1 = vec4f(); var b0 = vec4f(); var b1 = vec4f();
  var c0 = vec4f(); var c1 = vec4f(); var d0 = vec4f(); var d1 = vec4f();
  let place = rows[m].x * params.capacity;
  let second = min(n + 1u, (params.D - 1u) / 4u);
  for (var c = max(first, 8u * part); c <= min(last, 8u * part + 7u); c++) {
    let fa = factor(ha, c, ta);
    var fb = fa; var fc = fa; var fd = fa;
    if (HEADS > 1u) { fb = factor(hb, c, tb); }
    if (HEADS > 2u) { fc = factor(hc, c, tc); }
    if (HEADS > 3u) { fd = factor(hd, c, td); }
    for (var i = 0u; i < 8u; i++) {
      let j = c * CHUNK + 4u * i;
      if (j > position) { break; }
      // What the cache holds past the row's own key may be no number: the own one stands for it, with weight 0.
      let s0 = (place + j) * params.KV + kv; let s1 = (place + min(j + 1u, position)) * params.KV + kv;
      let s2 = (place + min(j + 2u, position)) * params.KV + kv; let s3 = (place + min(j + 3u, position)) * params.KV + kv;
      let low = mat4x4f(v4(s0, n), v4(s1, n), v4(s2, n), v4(s3, n));
      let high = mat4x4f(v4(s0, second), v4(s1, second), v4(s2, second), v4(s3, second));
      let wa = p4(ha, j) * fa; a0 = mixed(a0, wa, low); a1 = mixed(a1, wa, high);
      if (HEADS > 1u) { let wb = p4(hb, j) * fb; b0 = mixed(b0, wb, low); b1 = mixed(b1, wb, high); }
      if (HEADS > 2u) { let wc = p4(hc, j) * fc; c0 = mixed(c0, wc, low); c1 = mixed(c1, wc, high); }
      if (HEADS > 3u) { let wd = p4(hd, j) * fd; d0 = mixed(d0, wd, low); d1 = mixed(d1, wd, high); }
    }
  }
  store(m, part, ha, n, a0, a1);
  if (HEADS > 1u) { store(m, part, hb, n, b0, b1); }
  if (HEADS > 2u) { store(m, part, hc, n, c0, c1); }
  if (HEADS > 3u) { store(m, part, hd, n, d0, d1); }
}
