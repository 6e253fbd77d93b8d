// cached_scores: s[m,h,j] = scale * q[m,h] . keys[place, j, kv(h)];  per chunk of 32 keys, over those that row m sees:
//   tops[m,h,chunk] = (t, sum_j e),   t = max_j s,   p[m,h,j] = e = exp(s - t), 0 for unseen keys
//   0 in   q     [M, H, D]                  f32
//   1 in   keys  [places, capacity, KV, D]  f32
//   2 in   rows  [M, 4]                     u32   place in the cache, position, token, unused
//   3 out  p     [M, H, stride]             f32   =   the chunks in which the row sees a key
//   4 out  tops  [M, H, stride / 32]        vec2  =   the same chunks
//   5 uniform    M, H, KV, D, capacity, stride, window: u32, scale: f32, group0: u32
// Prepend lib/cached. One invocation per row, chunk and up to four query heads of one key head (HEADS of them share each load
// of a key), eight keys at a time in registers; no barriers, so that software adapters take it as it is. Sums in f32, d
// ascending in fours.
struct Params { M: u32, H: u32, KV: u32, D: u32, capacity: u32, stride: u32, window: u32, scale: f32, group0: u32 }

override GROUP: u32 = 4u;
override HEADS: u32 = 1u;

@group(0) @binding(0) var<storage, read> q: array<vec4f>;
@group(0) @binding(1) var<storage, read> keys: array<vec4f>;
@group(0) @binding(2) var<storage, read> rows: array<vec4u>;
@group(0) @binding(3) var<storage, read_write> p: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> tops: array<vec2f>;
@group(0) @binding(5) var<uniform> params: Params;

fn q1(i: u32) -> f32 { return q[i >> 2u][i & 3u]; }
fn k1(i: u32) -> f32 { return keys[i >> 2u][i & 3u]; }

fn q4(head: u32, n: u32) -> vec4f {
  if (PACKED) { return q[head * (params.D >> 2u) + n]; }
  let i = head * params.D + 4u * n;
  return upto(params.D - 4u * n, vec4f(q1(i), q1(i + 1u), q1(i + 2u), q1(i + 3u)));
}

fn k4(head: u32, n: u32) -> vec4f {
  if (PACKED) { return keys[head * (params.D >> 2u) + n]; }
  let i = head * params.D + 4u * n;
  return upto(params.D - 4u * n, vec4f(k1(i), k1(i + 1u), k1(i + 2u), k1(i + 3u)));
}

const LOWEST = vec4f(-3.0e38);

// The scores of 32 keys, from chunk's first on, become exponentials; their largest and sum go to tops.
fn finish(head: u32, chunk: u32, first: u32, position: u32, raw: array<vec4f, 8>) {
  let j0 = chunk * CHUNK;
  var scores = raw;
  var top = LOWEST;
  for (var i = 0u; i < 8u; i++) {
    let j = vec4u(j0 + 4u * i) + vec4u(0u, 1u, 2u, 3u);
    scores[i] = select(LOWEST, scores[i] * params.scale, (j >= vec4u(first)) & (j <= vec4u(position)));
    top = max(top, scores[i]);
  }
  let t = max(max(top.x, top.y), max(top.z, top.w));
  var sums = vec4f();
  for (var i = 0u; i < 8u; i++) {
    let e = select(exp(scores[i] - t), vec4f(), scores[i] == LOWEST);
    p[(head * params.stride + j0) / 4u + i] = e;
    sums += e;
  }
  tops[head * (params.stride / CHUNK) + chunk] = vec2f(t, sums.x + sums.y + sums.z + sums.w);
}

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {
  let index = (params.group0 + wid.x + wid.y * count.x) * GROUP + lane;
  let chunks = params.stride / CHUNK;
  let group = params.H / params.KV;
  let tiles = (group + HEADS - 1u) / HEADS;
  let chunk = index % chunks;
  let kv = index / chunks / tiles % params.KV;
  let m = index / chunks / tiles / params.KV;
  if (m >= params.M) { return; }
  let position = rows[m].y;
  let first = first_key(position);
  let j0 = chunk * CHUNK;
  if (j0 > position || j0 + CHUNK <= first) { return; }
  // Heads past the group's end repeat its last one, and write the same again.
  let head0 = m * params.H + kv * group;
  let h0 = index / chunks % tiles * HEADS;
  let ha = head0 + h0;
  let hb = head0 + min(h0 + 1u, group - 1u);
  let hc = head0 + min(h0 + 2u, group - 1u);
  let hd = head0 + min(h0 + 3u, group - 1u);
  let place = rows[m].x * params.capacity;
  var a: array<vec4f, 8>;
  var b: array<vec4f, 8>;
  var c: array<vec4f, 8>;
  var d: array<vec4f, 8>;
  for (var t = 0u; t < 4u; t++) {
    let j = j0 + 8u * t;
    if (j > position || j + 8u <= first) { continue; }
    // Of keys past the row's own, the cache may hold anything: the own one stands for them.
    let s0 = (place + j) * params.KV + kv; let s1 = (place + min(j + 1u, position)) * params.KV + kv;
    let s2 = (place + min(j + 2u, position)) * params.KV + kv; let s3 = (place + min(j + 3u, position)) * params.KV + kv;
    let s4 = (place + min(j + 4u, position)) * params.KV + kv; let s5 = (place + min(j + 5u, position)) * params.KV + kv;
    let s6 = (place + min(j + 6u, position)) * params.KV + kv; let s7 = (place + min(j + 7u, position)) * params.KV + kv;
    var a0 = vec4f(); var a1 = vec4f(); var b0 = vec4f(); var b1 = vec4f();
    var c0 = vec4f(); var c1 = vec4f(); var d0 = vec4f(); var d1 = vec4f();
    for (var n = 0u; n < (params.D + 3u) / 4u; n++) {
      let low = mat4x4f(k4(s0, n), k4(s1, n), k4(s2, n), k4(s3, n));
      let high = mat4x4f(k4(s4, n), k4(s5, n), k4(s6, n), k4(s7, n));
      let va = q4(ha, n); a0 += va * low; a1 += va * high;
      if (HEADS > 1u) { let vb = q4(hb, n); b0 += vb * low; b1 += vb * high; }
      if (HEADS > 2u) { let vc = q4(hc, n); c0 += vc * low; c1 += vc * high; }
      if (HEADS > 3u) { let vd = q4(hd, n); d0 += vd * low; d1 += vd * high; }
    }
    a[2u * t] = a0; a[2u * t + 1u] = a1; b[2u * t] = b0; b[2u * t + 1u] = b1;
    c[2u * t] = c0; c[2u * t + 1u] = c1; d[2u * t] = d0; d[2u * t + 1u] = d1;
  }
  finish(ha, chunk, first, position, a);
  if (HEADS > 1u) { finish(hb, chunk, first, position, b); }
  if (HEADS > 2u) { finish(hc, chunk, first, position, c); }
  if (HEADS > 3u) { finish(hd, chunk, first, position, d); }
}
