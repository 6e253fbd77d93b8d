// attention_scores_register: p[h,i,j] = scale * left[i,h] . right[j,kv(h)], before the softmax; or, with BACKWARD,
//                            p[h,i,j] <- scale * p[h,i,j] * (left[i,h] . right[j,kv(h)] - delta[h,i]), after it
//   0 in   left   [rows, H, D]   f32   q, or dy
//   1 in   right  [rows, KV, D]  f32   k, or v
//   2 in   delta  [heads, rows]  f32   dy . y, written by attention_delta_register; read only with BACKWARD
//   3 in   spans  [rows, 2]      u32   first row and one past the last row of the row's sequence
//   4 out  p      [heads, rows, stride]  f32   =   column j - start; stride a multiple of 8
//   5 uniform     rows, H, KV, D, head0, heads, stride, window: u32, scale: f32, group0: u32
// Form for software adapters: attention_scores and attention_scores_backward in tiles of 8 rows by 8 keys in registers,
// counted from the start of the sequence, and neither workgroup memory nor barriers. Tiles that no row sees are left
// alone; keys of other tiles that a row does not see are attention_softmax_register's to clear. Prepend lib/add_four.
// Sums in f32, d ascending. PACKED (D % 4 == 0) reads vectors of four and adds their terms one by one.

override PACKED: bool = false;
override BACKWARD: bool = false;
override GROUP: u32 = 16u;

struct Params { rows: u32, H: u32, KV: u32, D: u32, head0: u32, heads: u32, stride: u32, window: u32, scale: f32, group0: u32 }

@group(0) @binding(0) var<storage, read> left: array<vec4f>;
@group(0) @binding(1) var<storage, read> right: array<vec4f>;
@group(0) @binding(2) var<storage, read> delta: array<f32>;
@group(0) @binding(3) var<storage, read> spans: array<u32>;
@group(0) @binding(4) var<storage, read_write> p: array<vec4f>;
@group(0) @binding(5) var<uniform> params: Params;

fn left1(i: u32) -> f32 { return left[i >> 2u][i & 3u]; }
fn right1(i: u32) -> f32 { return right[i >> 2u][i & 3u]; }

fn store(row: u32, quad: u32, a: vec4f, b: vec4f) {
  let at = row * (params.stride >> 2u) + quad;
  if (BACKWARD) {
    let d = delta[row];
    p[at] = p[at] * (params.scale * (a - d));
    p[at + 1u] = p[at + 1u] * (params.scale * (b - d));
  } else {
    p[at] = a * params.scale;
    p[at + 1u] = b * params.scale;
  }
}

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {
  // Neighbours are heads: they see the same keys and so walk together.
  let index = (params.group0 + wid.x + wid.y * count.x) * GROUP + lane;
  let local_head = index % params.heads;
  let tile = index / params.heads;
  let key_tiles = params.stride / 8u;
  let key = tile % key_tiles * 8u;
  let block = tile / key_tiles * 8u;
  let h = params.head0 + local_head;
  let kv = h / (params.H / params.KV);
  let step = select(params.D, params.D / 4u, PACKED);
  // Of eight rows those that begin a tile: one, unless sequences are shorter than that or start in between.
  for (var i = block; i < min(block + 8u, params.rows); i++) {
    let start = spans[2u * i];
    let row0 = i - start;
    if ((row0 & 7u) != 0u || key > row0 || (params.window > 0u && key + 7u + params.window <= row0)) { continue; }
    // What is past the end repeats the last row and is not stored, or is cleared.
    let last = spans[2u * i + 1u] - 1u;
    let j = start + key;
    let r0 = (i * params.H + h) * step; let r1 = (min(i + 1u, last) * params.H + h) * step;
    let r2 = (min(i + 2u, last) * params.H + h) * step; let r3 = (min(i + 3u, last) * params.H + h) * step;
    let r4 = (min(i + 4u, last) * params.H + h) * step; let r5 = (min(i + 5u, last) * params.H + h) * step;
    let r6 = (min(i + 6u, last) * params.H + h) * step; let r7 = (min(i + 7u, last) * params.H + h) * step;
    let s0 = (j * params.KV + kv) * step; let s1 = (min(j + 1u, last) * params.KV + kv) * step;
    let s2 = (min(j + 2u, last) * params.KV + kv) * step; let s3 = (min(j + 3u, last) * params.KV + kv) * step;
    let s4 = (min(j + 4u, last) * params.KV + kv) * step; let s5 = (min(j + 5u, last) * params.KV + kv) * step;
    let s6 = (min(j + 6u, last) * params.KV + kv) * step; let s7 = (min(j + 7u, last) * params.KV + kv) * step;
    var a0 = vec4f(); var b0 = vec4f(); var a1 = vec4f(); var b1 = vec4f(); var a2 = vec4f(); var b2 = vec4f(); var a3 = vec4f(); var b3 = vec4f();
    var a4 = vec4f(); var b4 = vec4f(); var a5 = vec4f(); var b5 = vec4f(); var a6 = vec4f(); var b6 = vec4f(); var a7 = vec4f(); var b7 = vec4f();
    if (PACKED) {
      for (var d = 0u; d < step; d++) {
        let wa = transpose(mat4x4f(right[s0 + d], right[s1 + d], right[s2 + d], right[s3 + d]));
        let wb = transpose(mat4x4f(right[s4 + d], right[s5 + d], right[s6 + d], right[s7 + d]));
        let v0 = left[r0 + d]; a0 = add_four(a0, v0, wa); b0 = add_four(b0, v0, wb);
        let v1 = left[r1 + d]; a1 = add_four(a1, v1, wa); b1 = add_four(b1, v1, wb);
        let v2 = left[r2 + d]; a2 = add_four(a2, v2, wa); b2 = add_four(b2, v2, wb);
        let v3 = left[r3 + d]; a3 = add_four(a3, v3, wa); b3 = add_four(b3, v3, wb);
        let v4 = left[r4 + d]; a4 = add_four(a4, v4, wa); b4 = add_four(b4, v4, wb);
        let v5 = left[r5 + d]; a5 = add_four(a5, v5, wa); b5 = add_four(b5, v5, wb);
        let v6 = left[r6 + d]; a6 = add_four(a6, v6, wa); b6 = add_four(b6, v6, wb);
        let v7 = left[r7 + d]; a7 = add_four(a7, v7, wa); b7 = add_four(b7, v7, wb);
      }
    } else {
      for (var d = 0u; d < step; d++) {
        let wa = vec4f(right1(s0 + d), right1(s1 + d), right1(s2 + d), right1(s3 + d));
        let wb = vec4f(right1(s4 + d), right1(s5 + d), right1(s6 + d), right1(s7 + d));
        let v0 = left1(r0 + d); a0 += v0 * wa; b0 += v0 * wb;
        let v1 = left1(r1 + d); a1 += v1 * wa; b1 += v1 * wb;
        let v2 = left1(r2 + d); a2 += v2 * wa; b2 += v2 * wb;
        let v3 = left1(r3 + d); a3 += v3 * wa; b3 += v3 * wb;
        let v4 = left1(r4 + d); a4 += v4 * wa; b4 += v4 * wb;
        let v5 = left1(r5 + d); a5 += v5 * wa; b5 += v5 * wb;
        let v6 = left1(r6 + d); a6 += v6 * wa; b6 += v6 * wb;
        let v7 = left1(r7 + d); a7 += v7 * wa; b7 += v7 * wb;
      }
    }
    var sums = array<vec4f, 16>(a0, b0, a1, b1, a2, b2, a3, b3, a4, b4, a5, b5, a6, b6, a7, b7);
    let rows = min(8u, last + 1u - i);
    for (var n = 0u; n < rows; n++) { store(local_head * params.rows + i + n, key >> 2u, sums[2u * n], sums[2u * n + 1u]); }
  }
}
