// gemm_nt_tiled: y[m, column0 + n] = sum_k x[m,k] * weight[n,k] + bias[column0 + n]        (Y = X W^T + b)
//   0 in   x       [M, K]          f32
//   1 in   weight  [N, K]          as stored (lib/weights)
//   2 in   bias    [>= column0+N]  f32    read only when has_bias is 1
//   3 out  y       [M, stride]     f32    =   columns [column0, column0 + N)
//   4 uniform      M, N, K, stride, column0, has_bias, group0: u32
// Form for hardware: GROUP_X by GROUP_Y invocations share pieces of x and weight, DEPTH values of k deep, in workgroup
// memory; each keeps ROWS by COLUMNS (4 or 8) sums in registers, rows GROUP_Y and columns GROUP_X apart, so that
// neighbours read and write neighbouring addresses. Sums in f32, k ascending. PACKED: K % 4 == 0.
struct Params { M: u32, N: u32, K: u32, stride: u32, column0: u32, has_bias: u32, group0: u32 }

override PACKED: bool = false;
override GROUP_X: u32 = 16u;
override GROUP_Y: u32 = 16u;
override ROWS: u32 = 4u;
override COLUMNS: u32 = 4u;
override DEPTH: u32 = 16u;
override TILE_M: u32 = GROUP_Y * ROWS;
override TILE_N: u32 = GROUP_X * COLUMNS;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> weight: array<vec2u>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

// Vectors of four k: [k / 4][row], [k / 4][column].
var<workgroup> xs: array<vec4f, TILE_M * DEPTH / 4u>;
var<workgroup> ws: array<vec4f, TILE_N * DEPTH / 4u>;

// Values of x from element i: four, or the first `count` and zeros.
fn x4(i: u32, count: u32) -> vec4f {
  if (PACKED) { return x[i >> 2u]; }
  var v = vec4f(x[i >> 2u][i & 3u], 0.0, 0.0, 0.0);
  if (count > 1u) { v.y = x[(i + 1u) >> 2u][(i + 1u) & 3u]; }
  if (count > 2u) { v.z = x[(i + 2u) >> 2u][(i + 2u) & 3u]; }
  if (count > 3u) { v.w = x[(i + 3u) >> 2u][(i + 3u) & 3u]; }
  return v;
}

fn w1(i: u32) -> f32 {
  if (WEIGHT_DTYPE == 0u) { return unpack_weight(weight[i >> 1u][i & 1u], false); }
  return unpack_weight(weight[i >> 2u][(i >> 1u) & 1u], (i & 1u) == 1u);
}

// Weights from element i: four, or the first `count` and zeros.
fn w4(i: u32, count: u32) -> vec4f {
  if (PACKED) {
    if (WEIGHT_DTYPE == 0u) { return bitcast<vec4f>(vec4u(weight[i >> 1u], weight[(i >> 1u) + 1u])); }
    let pair = weight[i >> 2u];
    return vec4f(unpack_weight(pair.x, false), unpack_weight(pair.x, true), unpack_weight(pair.y, false), unpack_weight(pair.y, true));
  }
  var v = vec4f(w1(i), 0.0, 0.0, 0.0);
  if (count > 1u) { v.y = w1(i + 1u); }
  if (count > 2u) { v.z = w1(i + 2u); }
  if (count > 3u) { v.w = w1(i + 3u); }
  return v;
}

// a + v * w with w a matrix of four rows, in ascending order of the sum.
fn step4(a: vec4f, v: vec4f, w: mat4x4f) -> vec4f {
  return fma(vec4f(v.w), w[3], fma(vec4f(v.z), w[2], fma(vec4f(v.y), w[1], fma(vec4f(v.x), w[0], a))));
}

fn store(m: u32, n: u32, value: f32) {
  if (m >= params.M || n >= params.N) { return; }
  let column = params.column0 + n;
  var sum = value;
  if (params.has_bias == 1u) { sum += bias[column]; }
  y[m * params.stride + column] = sum;
}

fn store4(m: u32, n: u32, v: vec4f) {
  store(m, n, v.x);
  store(m, n + GROUP_X, v.y);
  store(m, n + 2u * GROUP_X, v.z);
  store(m, n + 3u * GROUP_X, v.w);
}

@compute @workgroup_size(GROUP_X, GROUP_Y)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_id) lid: vec3u, @builtin(local_invocation_index) local: u32) {
  let group = params.group0 + wid.x + wid.y * count.x;
  // Neighbouring groups share columns, so that a piece of the weight is read from memory once.
  let groups_m = (params.M + TILE_M - 1u) / TILE_M;
  let m0 = (group % groups_m) * TILE_M;
  let n0 = (group / groups_m) * TILE_N;
  let K = params.K;
  var a0 = vec4f(); var b0 = vec4f(); var a1 = vec4f(); var b1 = vec4f(); var a2 = vec4f(); var b2 = vec4f(); var a3 = vec4f(); var b3 = vec4f();
  var a4 = vec4f(); var b4 = vec4f(); var a5 = vec4f(); var b5 = vec4f(); var a6 = vec4f(); var b6 = vec4f(); var a7 = vec4f(); var b7 = vec4f();
  for (var k0 = 0u; k0 < K; k0 += DEPTH) {
    for (var i = local; i < TILE_M * DEPTH / 4u; i += GROUP_X * GROUP_Y) {
      let k = k0 + 4u * (i % (DEPTH / 4u));
      let row = i / (DEPTH / 4u);
      var v = vec4f();
      if (k < K && m0 + row < params.M) { v = x4((m0 + row) * K + k, K - k); }
      xs[(i % (DEPTH / 4u)) * TILE_M + row] = v;
    }
    for (var i = local; i < TILE_N * DEPTH / 4u; i += GROUP_X * GROUP_Y) {
      let k = k0 + 4u * (i % (DEPTH / 4u));
      let row = i / (DEPTH / 4u);
      var v = vec4f();
      if (k < K && n0 + row < params.N) { v = w4((n0 + row) * K + k, K - k); }
      ws[(i % (DEPTH / 4u)) * TILE_N + row] = v;
    }
    workgroupBarrier();
    for (var q = 0u; q < DEPTH / 4u; q++) {
      let r = q * TILE_M + lid.y;
      let c = q * TILE_N + lid.x;
      let wa = transpose(mat4x4f(ws[c], ws[c + GROUP_X], ws[c + 2u * GROUP_X], ws[c + 3u * GROUP_X]));
      var wb = mat4x4f();
      if (COLUMNS > 4u) { wb = transpose(mat4x4f(ws[c + 4u * GROUP_X], ws[c + 5u * GROUP_X], ws[c + 6u * GROUP_X], ws[c + 7u * GROUP_X])); }
      let v0 = xs[r]; a0 = step4(a0, v0, wa); if (COLUMNS > 4u) { b0 = step4(b0, v0, wb); }
      let v1 = xs[r + GROUP_Y]; a1 = step4(a1, v1, wa); if (COLUMNS > 4u) { b1 = step4(b1, v1, wb); }
      let v2 = xs[r + 2u * GROUP_Y]; a2 = step4(a2, v2, wa); if (COLUMNS > 4u) { b2 = step4(b2, v2, wb); }
      let v3 = xs[r + 3u * GROUP_Y]; a3 = step4(a3, v3, wa); if (COLUMNS > 4u) { b3 = step4(b3, v3, wb); }
      if (ROWS > 4u) {
        let v4 = xs[r + 4u * GROUP_Y]; a4 = step4(a4, v4, wa); if (COLUMNS > 4u) { b4 = step4(b4, v4, wb); }
        let v5 = xs[r + 5u * GROUP_Y]; a5 = step4(a5, v5, wa); if (COLUMNS > 4u) { b5 = step4(b5, v5, wb); }
        let v6 = xs[r + 6u * GROUP_Y]; a6 = step4(a6, v6, wa); if (COLUMNS > 4u) { b6 = step4(b6, v6, wb); }
        let v7 = xs[r + 7u * GROUP_Y]; a7 = step4(a7, v7, wa); if (COLUMNS > 4u) { b7 = step4(b7, v7, wb); }
      }
    }
    workgroupBarrier();
  }
  let m = m0 + lid.y;
  let n = n0 + lid.x;
  store4(m, n, a0); if (COLUMNS > 4u) { store4(m, n + 4u * GROUP_X, b0); }
  store4(m + GROUP_Y, n, a1); if (COLUMNS > 4u) { store4(m + GROUP_Y, n + 4u * GROUP_X, b1); }
  store4(m + 2u * GROUP_Y, n, a2); if (COLUMNS > 4u) { store4(m + 2u * GROUP_Y, n + 4u * GROUP_X, b2); }
  store4(m + 3u * GROUP_Y, n, a3); if (COLUMNS > 4u) { store4(m + 3u * GROUP_Y, n + 4u * GROUP_X, b3); }
  if (ROWS > 4u) {
    store4(m + 4u * GROUP_Y, n, a4); if (COLUMNS > 4u) { store4(m + 4u * GROUP_Y, n + 4u * GROUP_X, b4); }
    store4(m + 5u * GROUP_Y, n, a5); if (COLUMNS > 4u) { store4(m + 5u * GROUP_Y, n + 4u * GROUP_X, b5); }
    store4(m + 6u * GROUP_Y, n, a6); if (COLUMNS > 4u) { store4(m + 6u * GROUP_Y, n + 4u * GROUP_X, b6); }
    store4(m + 7u * GROUP_Y, n, a7); if (COLUMNS > 4u) { store4(m + 7u * GROUP_Y, n + 4u * GROUP_X, b7); }
  }
}
