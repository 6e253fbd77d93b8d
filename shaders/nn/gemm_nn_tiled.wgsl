// gemm_nn_tiled: dx[m,k] (+)= sum_i sum_n dy_i[m, column0_i + n] * weight_i[n,k]        (dX = dY W)
//   for up to three weights on one x in one dispatch: q, k and v, gate and up, or panels; i = a, b, c; SEGMENTS says how many
//   0 in   dy_a      [M, stride_a]  f32   columns [column0_a, column0_a + n_a); those past SEGMENTS are not read
//   1 in   dy_b      [M, stride_b]  f32
//   2 in   dy_c      [M, stride_c]  f32
//   3 in   weight_a  [n_a, K]   as stored (lib/weights); those past SEGMENTS are not read
//   4 in   weight_b  [n_b, K]
//   5 in   weight_c  [n_c, K]
//   6 out  dx        [M, K]     f32    = , or += when accumulate is 1
//   7 uniform        M, K, n_a, n_b, n_c, stride_*, column0_*, accumulate, group0: u32
// Form for hardware (lib/tile, lib/tile_product): columns of an invocation in fours. Sums in f32, n ascending; each weight's
// sum is added to dx before the next begins, so that one dispatch gives the bits of three. PACKED: K % 4 == 0.
// PACKED_DY: every stride, column0 and n % 4 == 0.
struct Params {
  M: u32, K: u32, n_a: u32, n_b: u32, n_c: u32, stride_a: u32, stride_b: u32, stride_c: u32,
  column0_a: u32, column0_b: u32, column0_c: u32, accumulate: u32, group0: u32,
}

override PACKED: bool = false;
override PACKED_DY: bool = false;
override SECOND_FOUR: u32 = GROUP_X;
const COLUMN_STEP = 1u;
const COLUMN_SPAN = 4u;

@group(0) @binding(0) var<storage, read> dy_a: array<vec4f>;
@group(0) @binding(1) var<storage, read> dy_b: array<vec4f>;
@group(0) @binding(2) var<storage, read> dy_c: array<vec4f>;
@group(0) @binding(3) var<storage, read> weight_a: array<vec2u>;
@group(0) @binding(4) var<storage, read> weight_b: array<vec2u>;
@group(0) @binding(5) var<storage, read> weight_c: array<vec2u>;
@group(0) @binding(6) var<storage, read_write> dx: array<f32>;
@group(0) @binding(7) var<uniform> params: Params;

fn weight_words(segment: u32, i: u32) -> vec2u {
  if (SEGMENTS > 1u && segment == 1u) { return weight_b[i]; }
  if (SEGMENTS > 2u && segment == 2u) { return weight_c[i]; }
  return weight_a[i];
}

fn dy_fours(segment: u32, i: u32) -> vec4f {
  if (SEGMENTS > 1u && segment == 1u) { return dy_b[i]; }
  if (SEGMENTS > 2u && segment == 2u) { return dy_c[i]; }
  return dy_a[i];
}

// Neighbouring groups share columns, so that a piece of a weight is read from memory once.
fn tile_of(group: u32) -> TilePlace {
  let groups_m = (params.M + TILE_ROWS - 1u) / TILE_ROWS;
  return TilePlace((group % groups_m) * TILE_ROWS, (group / groups_m) * TILE_COLUMNS, 0u, SEGMENTS);
}

fn depth_of(segment: u32) -> u32 { return of_segment(segment, params.n_a, params.n_b, params.n_c); }

fn left4(segment: u32, row: u32, n: u32) -> vec4f {
  let count = depth_of(segment);
  if (row >= params.M || n >= count) { return vec4f(); }
  let i = row * of_segment(segment, params.stride_a, params.stride_b, params.stride_c) + of_segment(segment, params.column0_a, params.column0_b, params.column0_c) + n;
  if (PACKED_DY) { return dy_fours(segment, i >> 2u); }
  return upto(count - n, vec4f(dy_fours(segment, i >> 2u)[i & 3u], dy_fours(segment, (i + 1u) >> 2u)[(i + 1u) & 3u], dy_fours(segment, (i + 2u) >> 2u)[(i + 2u) & 3u], dy_fours(segment, (i + 3u) >> 2u)[(i + 3u) & 3u]));
}

// `right` holds vectors of four k, [n][k / 4].
fn right_slot(i: u32) -> u32 { return i; }

fn right4(segment: u32, i: u32, column: u32, n0: u32) -> vec4f {
  let k = column + 4u * (i % (TILE_COLUMNS / 4u));
  let n = n0 + i / (TILE_COLUMNS / 4u);
  if (n >= depth_of(segment) || k >= params.K) { return vec4f(); }
  return weight4(segment, n * params.K + k, params.K - k);
}

fn right_matrix(q: u32, column: u32) -> mat4x4f {
  let c = q * TILE_COLUMNS + column;
  return mat4x4f(right[c], right[c + TILE_COLUMNS / 4u], right[c + TILE_COLUMNS / 2u], right[c + 3u * (TILE_COLUMNS / 4u)]);
}

fn store(segment: u32, m: u32, k: u32, value: f32) {
  if (m >= params.M || k >= params.K) { return; }
  let at = m * params.K + k;
  var sum = value;
  if (params.accumulate == 1u || segment > 0u) { sum += dx[at]; }
  dx[at] = sum;
}
