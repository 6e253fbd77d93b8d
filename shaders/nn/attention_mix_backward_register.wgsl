// attention_mix_backward_register: dv[j,g,d] = sum over the heads h of group g and the rows i that see j of p[h,i,j] * dy[i,h,d]
//   0 in   p      [heads, rows, stride]  f32   zeros for unseen keys of a tile (attention_softmax_register)
//   1 in   dy     [rows, H, D]    f32
//   2 in   spans  [rows, 2]       u32
//   3 out  dv     [rows, KV, D]   f32   =   (+= for a group whose first heads were in an earlier call)
//   4 uniform     rows, H, KV, D, head0, heads, stride, window, group0: u32
// Form of attention_mix_backward for software adapters: 8 keys, counted from the start of the sequence, by 8 columns of a
// head in registers. Heads, then rows, in ascending order. PACKED: D % 4 == 0.

override PACKED: bool = false;
override GROUP: u32 = 16u;

struct Params { rows: u32, H: u32, KV: u32, D: u32, head0: u32, heads: u32, stride: u32, window: u32, group0: u32 }

@group(0) @binding(0) var<storage, read> p: array<vec4f>;
@group(0) @binding(1) var<storage, read> dy: array<vec4f>;
@group(0) @binding(2) var<storage, read> spans: array<u32>;
@group(0) @binding(3) var<storage, read_write> dv: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

fn dy1(i: u32) -> f32 { return dy[i >> 2u][i & 3u]; }

// Columns d to d + 3 of a head that starts at `row`; those past its end repeat the last and are not stored.
fn dy4(row: u32, d: u32) -> vec4f {
  if (PACKED) { return dy[(row + min(d, params.D - 4u)) >> 2u]; }
  let last = params.D - 1u;
  return vec4f(dy1(row + min(d, last)), dy1(row + min(d + 1u, last)), dy1(row + min(d + 2u, last)), dy1(row + min(d + 3u, last)));
}

// What an earlier call left, likewise.
fn known(row: u32, d: u32) -> vec4f {
  let last = params.D - 1u;
  return vec4f(dv[row + min(d, last)], dv[row + min(d + 1u, last)], dv[row + min(d + 2u, last)], dv[row + min(d + 3u, last)]);
}

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {
  let index = (params.group0 + wid.x + wid.y * count.x) * GROUP + lane;
  let g = index % params.KV;
  let tile = index / params.KV;
  let column_tiles = (params.D + 7u) / 8u;
  let d = tile % column_tiles * 8u;
  let block = tile / column_tiles * 8u;
  let per_group = params.H / params.KV;
  let from_head = max(g * per_group, params.head0);
  let to_head = min((g + 1u) * per_group, params.head0 + params.heads);
  if (from_head >= to_head) { return; }
  let again = from_head > g * per_group;
  let quads = params.stride >> 2u;
  let columns = min(8u, params.D - d);
  // Of eight keys those that begin a tile: one, unless sequences are shorter than that or start in between.
  for (var j = block; j < min(block + 8u, params.rows); j++) {
    let key = j - spans[2u * j];
    if ((key & 7u) != 0u) { continue; }
    let sequence_end = spans[2u * j + 1u];
    var end = sequence_end;
    if (params.window > 0u) { end = min(end, j + 7u + params.window); }
    let keys = min(8u, sequence_end - j);
    var a0 = vec4f(); var b0 = vec4f(); var a1 = vec4f(); var b1 = vec4f(); var a2 = vec4f(); var b2 = vec4f(); var a3 = vec4f(); var b3 = vec4f();
    var a4 = vec4f(); var b4 = vec4f(); var a5 = vec4f(); var b5 = vec4f(); var a6 = vec4f(); var b6 = vec4f(); var a7 = vec4f(); var b7 = vec4f();
    if (again) {
      let step = params.KV * params.D;
      let at = (j * params.KV + g) * params.D;
      let last = (keys - 1u) * step;
      a0 = known(at, d); b0 = known(at, d + 4u);
      a1 = known(at + min(step, last), d); b1 = known(at + min(step, last), d + 4u);
      a2 = known(at + min(2u * step, last), d); b2 = known(at + min(2u * step, last), d + 4u);
      a3 = known(at + min(3u * step, last), d); b3 = known(at + min(3u * step, last), d + 4u);
      a4 = known(at + min(4u * step, last), d); b4 = known(at + min(4u * step, last), d + 4u);
      a5 = known(at + min(5u * step, last), d); b5 = known(at + min(5u * step, last), d + 4u);
      a6 = known(at + min(6u * step, last), d); b6 = known(at + min(6u * step, last), d + 4u);
      a7 = known(at + min(7u * step, last), d); b7 = known(at + min(7u * step, last), d + 4u);
    }
    for (var h = from_head; h < to_head; h++) {
      var at = ((h - params.head0) * params.rows + j) * quads + (key >> 2u);
      var row = (j * params.H + h) * params.D;
      for (var i = j; i < end; i++) {
        let wa = p[at];
        let wb = p[at + 1u];
        let va = dy4(row, d);
        let vb = dy4(row, d + 4u);
        a0 += wa.x * va; b0 += wa.x * vb; a1 += wa.y * va; b1 += wa.y * vb; a2 += wa.z * va; b2 += wa.z * vb; a3 += wa.w * va; b3 += wa.w * vb;
        a4 += wb.x * va; b4 += wb.x * vb; a5 += wb.y * va; b5 += wb.y * vb; a6 += wb.z * va; b6 += wb.z * vb; a7 += wb.w * va; b7 += wb.w * vb;
        at += quads;
        row += params.H * params.D;
      }
    }
    var sums = array<vec4f, 16>(a0, b0, a1, b1, a2, b2, a3, b3, a4, b4, a5, b5, a6, b6, a7, b7);
    for (var n = 0u; n < keys; n++) {
      let at = ((j + n) * params.KV + g) * params.D + d;
      for (var c = 0u; c < columns; c++) { dv[at + c] = sums[2u * n + (c >> 2u)][c & 3u]; }
    }
  }
}
