// gemm_nt_tiled: y_i[m, column0_i + n] = sum_k x[m,k] * weight_i[n,k] + bias[bias0_i + column0_i + n]     (Y = X W^T + b)
//   for up to three weights on one x in one dispatch: q, k and v, or gate and up; i = a, b, c, and SEGMENTS says how many
//   0 in   x         [M, K]     f32
//   1 in   weight_a  [n_a, K]   as stored (lib/weights); those past SEGMENTS are not read
//   2 in   weight_b  [n_b, K]
//   3 in   weight_c  [n_c, K]
//   4 in   bias      the biases one after the other, f32    read for i only when bit i of has_bias is 1
//   5 out  y_a       [M, stride_a]  f32    =   columns [column0_a, column0_a + n_a); those past SEGMENTS are not written
//   6 out  y_b       [M, stride_b]  f32    =
//   7 out  y_c       [M, stride_c]  f32    =
//   8 uniform        M, K, n_a, n_b, n_c, stride_*, column0_*, bias0_b, bias0_c, has_bias, group0: u32; bias0_a is 0
// Form for hardware (lib/tile, lib/tile_product): neighbours read and write neighbouring addresses. Sums in f32, k
// ascending, so that one dispatch gives the bits of three. PACKED: K % 4 == 0.
struct Params {
  M: u32, K: u32, n_a: u32, n_b: u32, n_c: u32, stride_a: u32, stride_b: u32, stride_c: u32,
  column0_a: u32, column0_b: u32, column0_c: u32, bias0_b: u32, bias0_c: u32, has_bias: u32, group0: u32,
}

override PACKED: bool = false;
override COLUMN_STEP: u32 = GROUP_X;
override SECOND_FOUR: u32 = 4u * GROUP_X;
const COLUMN_SPAN = 1u;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> weight_a: array<vec2u>;
@group(0) @binding(2) var<storage, read> weight_b: array<vec2u>;
@group(0) @binding(3) var<storage, read> weight_c: array<vec2u>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> y_a: array<f32>;
@group(0) @binding(6) var<storage, read_write> y_b: array<f32>;
@group(0) @binding(7) var<storage, read_write> y_c: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;

fn weight_words(segment: u32, i: u32) -> vec2u {
  if (SEGMENTS > 1u && segment == 1u) { return weight_b[i]; }
  if (SEGMENTS > 2u && segment == 2u) { return weight_c[i]; }
  return weight_a[i];
}

// Neighbouring groups share columns, so that a piece of a weight is read from memory once.
fn tile_of(group: u32) -> TilePlace {
  let groups_m = (params.M + TILE_ROWS - 1u) / TILE_ROWS;
  let tiles_a = (params.n_a + TILE_COLUMNS - 1u) / TILE_COLUMNS;
  let tiles_b = (params.n_b + TILE_COLUMNS - 1u) / TILE_COLUMNS;
  let tile = group / groups_m;
  let segment = select(0u, 1u, SEGMENTS > 1u && tile >= tiles_a) + select(0u, 1u, SEGMENTS > 2u && tile >= tiles_a + tiles_b);
  return TilePlace((group % groups_m) * TILE_ROWS, (tile - of_segment(segment, 0u, tiles_a, tiles_a + tiles_b)) * TILE_COLUMNS, segment, segment + 1u);
}

fn depth_of(segment: u32) -> u32 { return params.K; }

fn left4(segment: u32, row: u32, k: u32) -> vec4f {
  if (row >= params.M || k >= params.K) { return vec4f(); }
  let i = row * params.K + k;
  if (PACKED) { return x[i >> 2u]; }
  return upto(params.K - k, vec4f(x[i >> 2u][i & 3u], x[(i + 1u) >> 2u][(i + 1u) & 3u], x[(i + 2u) >> 2u][(i + 2u) & 3u], x[(i + 3u) >> 2u][(i + 3u) & 3u]));
}

// `right` holds vectors of four k, [k / 4][n].
fn right_slot(i: u32) -> u32 { return (i % (DEPTH / 4u)) * TILE_COLUMNS + i / (DEPTH / 4u); }

fn right4(segment: u32, i: u32, column: u32, k0: u32) -> vec4f {
  let k = k0 + 4u * (i % (DEPTH / 4u));
  let n = column + i / (DEPTH / 4u);
  if (k >= params.K || n >= of_segment(segment, params.n_a, params.n_b, params.n_c)) { return vec4f(); }
  return weight4(segment, n * params.K + k, params.K - k);
}

fn right_matrix(q: u32, column: u32) -> mat4x4f {
  let c = q * TILE_COLUMNS + column;
  return transpose(mat4x4f(right[c], right[c + GROUP_X], right[c + 2u * GROUP_X], right[c + 3u * GROUP_X]));
}

fn store(segment: u32, m: u32, n: u32, value: f32) {
  if (m >= params.M || n >= of_segment(segment, params.n_a, params.n_b, params.n_c)) { return; }
  let column = of_segment(segment, params.column0_a, params.column0_b, params.column0_c) + n;
  let at = m * of_segment(segment, params.stride_a, params.stride_b, params.stride_c) + column;
  var sum = value;
  if (((params.has_bias >> segment) & 1u) == 1u) { sum += bias[of_segment(segment, 0u, params.bias0_b, params.bias0_c) + column]; }
  if (SEGMENTS > 1u && segment == 1u) {
    y_b[at] = sum;
  } else if (SEGMENTS > 2u && segment == 2u) {
    y_c[at] = sum;
  } else {
    y_a[at] = sum;
  }
}
