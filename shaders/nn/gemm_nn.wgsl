// gemm_nn: dx[m,k] (+)= sum_n dy[m, column0 + n] * weight[n,k]        (dX = dY W)
//   0 in   dy      [M, stride]  f32    columns [column0, column0 + N)
//   1 in   weight  [N, K]       as stored (lib/weights)
//   2 out  dx      [M, K]       f32    = , or += when accumulate is 1
//   3 uniform      M, N, K, stride, column0, accumulate, group0: u32
// Form for software adapters: one invocation keeps 16 rows by 16 columns in registers and uses no workgroup memory
// (see gemm_nt). Sums in f32, n ascending. PACKED (K % 4 == 0) reads weights in vectors of four; PACKED_DY (stride,
// column0 and N % 4 == 0) does so for dy. gemm_nn_tiled is the form for hardware.
struct Params { M: u32, N: u32, K: u32, stride: u32, column0: u32, accumulate: u32, group0: u32 }

override PACKED: bool = false;
override PACKED_DY: bool = false;
override GROUP_M: u32 = 4u;
override GROUP_K: u32 = 2u;

@group(0) @binding(0) var<storage, read> dy: array<vec4f>;
@group(0) @binding(1) var<storage, read> weight: array<vec2u>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

fn dy1(i: u32) -> f32 { return dy[i >> 2u][i & 3u]; }

fn w1(i: u32) -> f32 {
  if (WEIGHT_DTYPE == 0u) { return unpack_weight(weight[i >> 1u][i & 1u], false); }
  return unpack_weight(weight[i >> 2u][(i >> 1u) & 1u], (i & 1u) == 1u);
}

// weight[row / K, k .. k+3]; columns past the end repeat the last ones and are not stored.
fn w4(row: u32, k: u32) -> vec4f {
  if (!PACKED) {
    let last = params.K - 1u;
    return vec4f(w1(row + min(k, last)), w1(row + min(k + 1u, last)), w1(row + min(k + 2u, last)), w1(row + min(k + 3u, last)));
  }
  let i = row + min(k, params.K - 4u);
  if (WEIGHT_DTYPE == 0u) { return bitcast<vec4f>(vec4u(weight[i >> 1u], weight[(i >> 1u) + 1u])); }
  let pair = weight[i >> 2u];
  return vec4f(unpack_weight(pair.x, false), unpack_weight(pair.x, true), unpack_weight(pair.y, false), unpack_weight(pair.y, true));
}

@compute @workgroup_size(GROUP_M, GROUP_K)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_id) lid: vec3u) {
  let group = params.group0 + wid.x + wid.y * count.x;
  // Neighbouring groups share columns, so that a piece of the weight is read from memory once.
  let groups_m = (params.M + 16u * GROUP_M - 1u) / (16u * GROUP_M);
  let m0 = ((group % groups_m) * GROUP_M + lid.x) * 16u;
  let k0 = ((group / groups_m) * GROUP_K + lid.y) * 16u;
  if (m0 >= params.M || k0 >= params.K) { return; }
  let K = params.K;
  // Rows start at r, in vectors when PACKED_DY. Those past the end repeat the last one and are not stored.
  let last = params.M - 1u;
  let unit = select(0u, 2u, PACKED_DY);
  let stride = params.stride >> unit;
  let column0 = params.column0 >> unit;
  let r0 = min(m0 + 0u, last) * stride + column0; let r1 = min(m0 + 1u, last) * stride + column0; let r2 = min(m0 + 2u, last) * stride + column0; let r3 = min(m0 + 3u, last) * stride + column0;
  let r4 = min(m0 + 4u, last) * stride + column0; let r5 = min(m0 + 5u, last) * stride + column0; let r6 = min(m0 + 6u, last) * stride + column0; let r7 = min(m0 + 7u, last) * stride + column0;
  let r8 = min(m0 + 8u, last) * stride + column0; let r9 = min(m0 + 9u, last) * stride + column0; let r10 = min(m0 + 10u, last) * stride + column0; let r11 = min(m0 + 11u, last) * stride + column0;
  let r12 = min(m0 + 12u, last) * stride + column0; let r13 = min(m0 + 13u, last) * stride + column0; let r14 = min(m0 + 14u, last) * stride + column0; let r15 = min(m0 + 15u, last) * stride + column0;
  var a0 = vec4f(); var b0 = vec4f(); var c0 = vec4f(); var d0 = vec4f(); var a1 = vec4f(); var b1 = vec4f(); var c1 = vec4f(); var d1 = vec4f();
  var a2 = vec4f(); var b2 = vec4f(); var c2 = vec4f(); var d2 = vec4f(); var a3 = vec4f(); var b3 = vec4f(); var c3 = vec4f(); var d3 = vec4f();
  var a4 = vec4f(); var b4 = vec4f(); var c4 = vec4f(); var d4 = vec4f(); var a5 = vec4f(); var b5 = vec4f(); var c5 = vec4f(); var d5 = vec4f();
  var a6 = vec4f(); var b6 = vec4f(); var c6 = vec4f(); var d6 = vec4f(); var a7 = vec4f(); var b7 = vec4f(); var c7 = vec4f(); var d7 = vec4f();
  var a8 = vec4f(); var b8 = vec4f(); var c8 = vec4f(); var d8 = vec4f(); var a9 = vec4f(); var b9 = vec4f(); var c9 = vec4f(); var d9 = vec4f();
  var a10 = vec4f(); var b10 = vec4f(); var c10 = vec4f(); var d10 = vec4f(); var a11 = vec4f(); var b11 = vec4f(); var c11 = vec4f(); var d11 = vec4f();
  var a12 = vec4f(); var b12 = vec4f(); var c12 = vec4f(); var d12 = vec4f(); var a13 = vec4f(); var b13 = vec4f(); var c13 = vec4f(); var d13 = vec4f();
  var a14 = vec4f(); var b14 = vec4f(); var c14 = vec4f(); var d14 = vec4f(); var a15 = vec4f(); var b15 = vec4f(); var c15 = vec4f(); var d15 = vec4f();
  if (PACKED_DY) {
    for (var n = 0u; n < params.N / 4u; n++) {
      let row = 4u * n * K;
      let wa = mat4x4f(w4(row, k0), w4(row + K, k0), w4(row + 2u * K, k0), w4(row + 3u * K, k0));
      let wb = mat4x4f(w4(row, k0 + 4u), w4(row + K, k0 + 4u), w4(row + 2u * K, k0 + 4u), w4(row + 3u * K, k0 + 4u));
      let wc = mat4x4f(w4(row, k0 + 8u), w4(row + K, k0 + 8u), w4(row + 2u * K, k0 + 8u), w4(row + 3u * K, k0 + 8u));
      let wd = mat4x4f(w4(row, k0 + 12u), w4(row + K, k0 + 12u), w4(row + 2u * K, k0 + 12u), w4(row + 3u * K, k0 + 12u));
      let v0 = dy[r0 + n]; a0 += wa * v0; b0 += wb * v0; c0 += wc * v0; d0 += wd * v0;
      let v1 = dy[r1 + n]; a1 += wa * v1; b1 += wb * v1; c1 += wc * v1; d1 += wd * v1;
      let v2 = dy[r2 + n]; a2 += wa * v2; b2 += wb * v2; c2 += wc * v2; d2 += wd * v2;
      let v3 = dy[r3 + n]; a3 += wa * v3; b3 += wb * v3; c3 += wc * v3; d3 += wd * v3;
      let v4 = dy[r4 + n]; a4 += wa * v4; b4 += wb * v4; c4 += wc * v4; d4 += wd * v4;
      let v5 = dy[r5 + n]; a5 += wa * v5; b5 += wb * v5; c5 += wc * v5; d5 += wd * v5;
      let v6 = dy[r6 + n]; a6 += wa * v6; b6 += wb * v6; c6 += wc * v6; d6 += wd * v6;
      let v7 = dy[r7 + n]; a7 += wa * v7; b7 += wb * v7; c7 += wc * v7; d7 += wd * v7;
      let v8 = dy[r8 + n]; a8 += wa * v8; b8 += wb * v8; c8 += wc * v8; d8 += wd * v8;
      let v9 = dy[r9 + n]; a9 += wa * v9; b9 += wb * v9; c9 += wc * v9; d9 += wd * v9;
      let v10 = dy[r10 + n]; a10 += wa * v10; b10 += wb * v10; c10 += wc * v10; d10 += wd * v10;
      let v11 = dy[r11 + n]; a11 += wa * v11; b11 += wb * v11; c11 += wc * v11; d11 += wd * v11;
      let v12 = dy[r12 + n]; a12 += wa * v12; b12 += wb * v12; c12 += wc * v12; d12 += wd * v12;
      let v13 = dy[r13 + n]; a13 += wa * v13; b13 += wb * v13; c13 += wc * v13; d13 += wd * v13;
      let v14 = dy[r14 + n]; a14 += wa * v14; b14 += wb * v14; c14 += wc * v14; d14 += wd * v14;
      let v15 = dy[r15 + n]; a15 += wa * v15; b15 += wb * v15; c15 += wc * v15; d15 += wd * v15;
    }
  } else {
    for (var n = 0u; n < params.N; n++) {
      let wa = w4(n * K, k0);
      let wb = w4(n * K, k0 + 4u);
      let wc = w4(n * K, k0 + 8u);
      let wd = w4(n * K, k0 + 12u);
      let v0 = dy1(r0 + n); a0 += wa * v0; b0 += wb * v0; c0 += wc * v0; d0 += wd * v0;
      let v1 = dy1(r1 + n); a1 += wa * v1; b1 += wb * v1; c1 += wc * v1; d1 += wd * v1;
      let v2 = dy1(r2 + n); a2 += wa * v2; b2 += wb * v2; c2 += wc * v2; d2 += wd * v2;
      let v3 = dy1(r3 + n); a3 += wa * v3; b3 += wb * v3; c3 += wc * v3; d3 += wd * v3;
      let v4 = dy1(r4 + n); a4 += wa * v4; b4 += wb * v4; c4 += wc * v4; d4 += wd * v4;
      let v5 = dy1(r5 + n); a5 += wa * v5; b5 += wb * v5; c5 += wc * v5; d5 += wd * v5;
      let v6 = dy1(r6 + n); a6 += wa * v6; b6 += wb * v6; c6 += wc * v6; d6 += wd * v6;
      let v7 = dy1(r7 + n); a7 += wa * v7; b7 += wb * v7; c7 += wc * v7; d7 += wd * v7;
      let v8 = dy1(r8 + n); a8 += wa * v8; b8 += wb * v8; c8 += wc * v8; d8 += wd * v8;
      let v9 = dy1(r9 + n); a9 += wa * v9; b9 += wb * v9; c9 += wc * v9; d9 += wd * v9;
      let v10 = dy1(r10 + n); a10 += wa * v10; b10 += wb * v10; c10 += wc * v10; d10 += wd * v10;
      let v11 = dy1(r11 + n); a11 += wa * v11; b11 += wb * v11; c11 += wc * v11; d11 += wd * v11;
      let v12 = dy1(r12 + n); a12 += wa * v12; b12 += wb * v12; c12 += wc * v12; d12 += wd * v12;
      let v13 = dy1(r13 + n); a13 += wa * v13; b13 += wb * v13; c13 += wc * v13; d13 += wd * v13;
      let v14 = dy1(r14 + n); a14 += wa * v14; b14 += wb * v14; c14 += wc * v14; d14 += wd * v14;
      let v15 = dy1(r15 + n); a15 += wa * v15; b15 += wb * v15; c15 += wc * v15; d15 += wd * v15;
    }
  }
  var tile = array<vec4f, 64>(
    a0, b0, c0, d0, a1, b1, c1, d1, a2, b2, c2, d2, a3, b3, c3, d3,
    a4, b4, c4, d4, a5, b5, c5, d5, a6, b6, c6, d6, a7, b7, c7, d7,
    a8, b8, c8, d8, a9, b9, c9, d9, a10, b10, c10, d10, a11, b11, c11, d11,
    a12, b12, c12, d12, a13, b13, c13, d13, a14, b14, c14, d14, a15, b15, c15, d15,
  );
  let accumulate = params.accumulate == 1u;
  let rows = min(16u, params.M - m0);
  let columns = min(16u, K - k0);
  for (var i = 0u; i < rows; i++) {
    let at = (m0 + i) * K + k0;
    for (var j = 0u; j < columns; j++) {
      var value = tile[i * 4u + (j >> 2u)][j & 3u];
      if (accumulate) { value += dx[at + j]; }
      dx[at + j] = value;
    }
  }
}
