// attention_mix_register: y[i,h,d] = sum over the keys j seen by i of p[h,i,j] * v[j,kv(h),d]
//   0 in   p      [heads, rows, stride]  f32   zeros for unseen keys of a tile (attention_softmax_register)
//   1 in   v      [rows, KV, D]   f32
//   2 in   spans  [rows, 2]       u32
//   3 out  y      [rows, H, D]    f32   =   (columns of heads head0 .. head0 + heads)
//   4 uniform     rows, H, KV, D, head0, heads, stride, window, group0: u32
// Form of attention_mix for software adapters: 8 rows, counted from the start of the sequence, by 8 columns of a head in
// registers. Prepend lib/add_four. Keys in ascending order. PACKED: D % 4 == 0.

override PACKED: bool = false;
override GROUP: u32 = 16u;

struct Params { rows: u32, H: u32, KV: u32, D: u32, head0: u32, heads: u32, stride: u32, window: u32, group0: u32 }

@group(0) @binding(0) var<storage, read> p: array<vec4f>;
@group(0) @binding(1) var<storage, read> v: array<vec4f>;
@group(0) @binding(2) var<storage, read> spans: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

fn v1(i: u32) -> f32 { return v[i >> 2u][i & 3u]; }

// Columns d to d + 3 of a head that starts at `row`; those past its end repeat the last and are not stored.
fn v4(row: u32, d: u32) -> vec4f {
  if (PACKED) { return v[(row + min(d, params.D - 4u)) >> 2u]; }
  let last = params.D - 1u;
  return vec4f(v1(row + min(d, last)), v1(row + min(d + 1u, last)), v1(row + min(d + 2u, last)), v1(row + min(d + 3u, last)));
}

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {
  let index = (params.group0 + wid.x + wid.y * count.x) * GROUP + lane;
  let local_head = index % params.heads;
  let tile = index / params.heads;
  let column_tiles = (params.D + 7u) / 8u;
  let d = tile % column_tiles * 8u;
  let block = tile / column_tiles * 8u;
  let h = params.head0 + local_head;
  let kv = h / (params.H / params.KV);
  let quads = params.stride >> 2u;
  let columns = min(8u, params.D - d);
  // Of eight rows those that begin a tile: one, unless sequences are shorter than that or start in between.
  for (var i = block; i < min(block + 8u, params.rows); i++) {
    let start = spans[2u * i];
    let row0 = i - start;
    if ((row0 & 7u) != 0u) { continue; }
    let last = spans[2u * i + 1u] - 1u;
    var first = 0u;
    if (params.window > 0u) { first = (max(row0 + 1u, params.window) - params.window) & ~7u; }
    // What is past the end repeats the last row, and has zeros in p or is not stored.
    let p0 = local_head * params.rows;
    let r0 = (p0 + i) * quads; let r1 = (p0 + min(i + 1u, last)) * quads; let r2 = (p0 + min(i + 2u, last)) * quads; let r3 = (p0 + min(i + 3u, last)) * quads;
    let r4 = (p0 + min(i + 4u, last)) * quads; let r5 = (p0 + min(i + 5u, last)) * quads; let r6 = (p0 + min(i + 6u, last)) * quads; let r7 = (p0 + min(i + 7u, last)) * quads;
    var a0 = vec4f(); var b0 = vec4f(); var a1 = vec4f(); var b1 = vec4f(); var a2 = vec4f(); var b2 = vec4f(); var a3 = vec4f(); var b3 = vec4f();
    var a4 = vec4f(); var b4 = vec4f(); var a5 = vec4f(); var b5 = vec4f(); var a6 = vec4f(); var b6 = vec4f(); var a7 = vec4f(); var b7 = vec4f();
    for (var key = first; key <= min(row0 + 7u, last - start); key += 4u) {
      let j = start + key;
      let s0 = (j * params.KV + kv) * params.D; let s1 = (min(j + 1u, last) * params.KV + kv) * params.D;
      let s2 = (min(j + 2u, last) * params.KV + kv) * params.D; let s3 = (min(j + 3u, last) * params.KV + kv) * params.D;
      let wa = mat4x4f(v4(s0, d), v4(s1, d), v4(s2, d), v4(s3, d));
      let wb = mat4x4f(v4(s0, d + 4u), v4(s1, d + 4u), v4(s2, d + 4u), v4(s3, d + 4u));
      let c = key >> 2u;
      let w0 = p[r0 + c]; a0 = add_four(a0, w0, wa); b0 = add_four(b0, w0, wb);
      let w1 = p[r1 + c]; a1 = add_four(a1, w1, wa); b1 = add_four(b1, w1, wb);
      let w2 = p[r2 + c]; a2 = add_four(a2, w2, wa); b2 = add_four(b2, w2, wb);
      let w3 = p[r3 + c]; a3 = add_four(a3, w3, wa); b3 = add_four(b3, w3, wb);
      let w4 = p[r4 + c]; a4 = add_four(a4, w4, wa); b4 = add_four(b4, w4, wb);
      let w5 = p[r5 + c]; a5 = add_four(a5, w5, wa); b5 = add_four(b5, w5, wb);
      let w6 = p[r6 + c]; a6 = add_four(a6, w6, wa); b6 = add_four(b6, w6, wb);
      let w7 = p[r7 + c]; a7 = add_four(a7, w7, wa); b7 = add_four(b7, w7, wb);
    }
    var sums = array<vec4f, 16>(a0, b0, a1, b1, a2, b2, a3, b3, a4, b4, a5, b5, a6, b6, a7, b7);
    let rows = min(8u, last + 1u - i);
    for (var n = 0u; n < rows; n++) {
      let at = ((i + n) * params.H + h) * params.D + d;
      for (var c = 0u; c < columns; c++) { y[at + c] = sums[2u * n + (c >> 2u)][c & 3u]; }
    }
  }
}
