// gemm_nt: y[m, column0 + n] = sum_k x[m,k] * weight[n,k] + bias[column0 + n]        (Y = X W^T + b)
//   0 in   x       [M, K]          f32
//   1 in   weight  [N, K]          as stored (lib/weights)
//   2 in   bias    [>= column0+N]  f32    read only when has_bias is 1
//   3 out  y       [M, stride]     f32    =   columns [column0, column0 + N)
//   4 uniform      M, N, K, stride, column0, has_bias, group0: u32
// One invocation keeps 16 rows by 8 columns in registers and uses no workgroup memory: the loads per multiply-add are
// what a software adapter pays for. Sums in f32, k ascending. PACKED (K % 4 == 0) walks k in vectors of four.
struct Params { M: u32, N: u32, K: u32, stride: u32, column0: u32, has_bias: u32, group0: u32 }

override PACKED: bool = false;
override GROUP_M: u32 = 4u;
override GROUP_N: u32 = 4u;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> weight: array<vec2u>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

fn x1(i: u32) -> f32 { return x[i >> 2u][i & 3u]; }

fn w1(i: u32) -> f32 {
  if (WEIGHT_DTYPE == 0u) { return unpack_weight(weight[i >> 1u][i & 1u], false); }
  return unpack_weight(weight[i >> 2u][(i >> 1u) & 1u], (i & 1u) == 1u);
}

// Four consecutive weights from element i, a multiple of 4.
fn w4(i: u32) -> vec4f {
  if (WEIGHT_DTYPE == 0u) { return bitcast<vec4f>(vec4u(weight[i >> 1u], weight[(i >> 1u) + 1u])); }
  let pair = weight[i >> 2u];
  return vec4f(unpack_weight(pair.x, false), unpack_weight(pair.x, true), unpack_weight(pair.y, false), unpack_weight(pair.y, true));
}

@compute @workgroup_size(GROUP_M, GROUP_N)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_id) lid: vec3u) {
  let group = params.group0 + wid.x + wid.y * count.x;
  // Neighbouring groups share columns, so that a piece of the weight is read from memory once.
  let groups_m = (params.M + 16u * GROUP_M - 1u) / (16u * GROUP_M);
  let m0 = ((group % groups_m) * GROUP_M + lid.x) * 16u;
  let n0 = ((group / groups_m) * GROUP_N + lid.y) * 8u;
  if (m0 >= params.M || n0 >= params.N) { return; }
  let K = params.K;
  // Rows past the end repeat the last one and are not stored.
  let last_m = params.M - 1u;
  let last_n = params.N - 1u;
  let r0 = min(m0 + 0u, last_m) * K; let r1 = min(m0 + 1u, last_m) * K; let r2 = min(m0 + 2u, last_m) * K; let r3 = min(m0 + 3u, last_m) * K;
  let r4 = min(m0 + 4u, last_m) * K; let r5 = min(m0 + 5u, last_m) * K; let r6 = min(m0 + 6u, last_m) * K; let r7 = min(m0 + 7u, last_m) * K;
  let r8 = min(m0 + 8u, last_m) * K; let r9 = min(m0 + 9u, last_m) * K; let r10 = min(m0 + 10u, last_m) * K; let r11 = min(m0 + 11u, last_m) * K;
  let r12 = min(m0 + 12u, last_m) * K; let r13 = min(m0 + 13u, last_m) * K; let r14 = min(m0 + 14u, last_m) * K; let r15 = min(m0 + 15u, last_m) * K;
  let c0 = min(n0 + 0u, last_n) * K; let c1 = min(n0 + 1u, last_n) * K; let c2 = min(n0 + 2u, last_n) * K; let c3 = min(n0 + 3u, last_n) * K;
  let c4 = min(n0 + 4u, last_n) * K; let c5 = min(n0 + 5u, last_n) * K; let c6 = min(n0 + 6u, last_n) * K; let c7 = min(n0 + 7u, last_n) * K;
  var a0 = vec4f(); var b0 = vec4f(); var a1 = vec4f(); var b1 = vec4f(); var a2 = vec4f(); var b2 = vec4f(); var a3 = vec4f(); var b3 = vec4f();
  var a4 = vec4f(); var b4 = vec4f(); var a5 = vec4f(); var b5 = vec4f(); var a6 = vec4f(); var b6 = vec4f(); var a7 = vec4f(); var b7 = vec4f();
  var a8 = vec4f(); var b8 = vec4f(); var a9 = vec4f(); var b9 = vec4f(); var a10 = vec4f(); var b10 = vec4f(); var a11 = vec4f(); var b11 = vec4f();
  var a12 = vec4f(); var b12 = vec4f(); var a13 = vec4f(); var b13 = vec4f(); var a14 = vec4f(); var b14 = vec4f(); var a15 = vec4f(); var b15 = vec4f();
  if (PACKED) {
    for (var k = 0u; k < K; k += 4u) {
      let wa = mat4x4f(w4(c0 + k), w4(c1 + k), w4(c2 + k), w4(c3 + k));
      let wb = mat4x4f(w4(c4 + k), w4(c5 + k), w4(c6 + k), w4(c7 + k));
      let v0 = x[(r0 + k) >> 2u]; a0 += v0 * wa; b0 += v0 * wb;
      let v1 = x[(r1 + k) >> 2u]; a1 += v1 * wa; b1 += v1 * wb;
      let v2 = x[(r2 + k) >> 2u]; a2 += v2 * wa; b2 += v2 * wb;
      let v3 = x[(r3 + k) >> 2u]; a3 += v3 * wa; b3 += v3 * wb;
      let v4 = x[(r4 + k) >> 2u]; a4 += v4 * wa; b4 += v4 * wb;
      let v5 = x[(r5 + k) >> 2u]; a5 += v5 * wa; b5 += v5 * wb;
      let v6 = x[(r6 + k) >> 2u]; a6 += v6 * wa; b6 += v6 * wb;
      let v7 = x[(r7 + k) >> 2u]; a7 += v7 * wa; b7 += v7 * wb;
      let v8 = x[(r8 + k) >> 2u]; a8 += v8 * wa; b8 += v8 * wb;
      let v9 = x[(r9 + k) >> 2u]; a9 += v9 * wa; b9 += v9 * wb;
      let v10 = x[(r10 + k) >> 2u]; a10 += v10 * wa; b10 += v10 * wb;
      let v11 = x[(r11 + k) >> 2u]; a11 += v11 * wa; b11 += v11 * wb;
      let v12 = x[(r12 + k) >> 2u]; a12 += v12 * wa; b12 += v12 * wb;
      let v13 = x[(r13 + k) >> 2u]; a13 += v13 * wa; b13 += v13 * wb;
      let v14 = x[(r14 + k) >> 2u]; a14 += v14 * wa; b14 += v14 * wb;
      let v15 = x[(r15 + k) >> 2u]; a15 += v15 * wa; b15 += v15 * wb;
    }
  } else {
    for (var k = 0u; k < K; k++) {
      let wa = vec4f(w1(c0 + k), w1(c1 + k), w1(c2 + k), w1(c3 + k));
      let wb = vec4f(w1(c4 + k), w1(c5 + k), w1(c6 + k), w1(c7 + k));
      let v0 = x1(r0 + k); a0 += v0 * wa; b0 += v0 * wb;
      let v1 = x1(r1 + k); a1 += v1 * wa; b1 += v1 * wb;
      let v2 = x1(r2 + k); a2 += v2 * wa; b2 += v2 * wb;
      let v3 = x1(r3 + k); a3 += v3 * wa; b3 += v3 * wb;
      let v4 = x1(r4 + k); a4 += v4 * wa; b4 += v4 * wb;
      let v5 = x1(r5 + k); a5 += v5 * wa; b5 += v5 * wb;
      let v6 = x1(r6 + k); a6 += v6 * wa; b6 += v6 * wb;
      let v7 = x1(r7 + k); a7 += v7 * wa; b7 += v7 * wb;
      let v8 = x1(r8 + k); a8 += v8 * wa; b8 += v8 * wb;
      let v9 = x1(r9 + k); a9 += v9 * wa; b9 += v9 * wb;
      let v10 = x1(r10 + k); a10 += v10 * wa; b10 += v10 * wb;
      let v11 = x1(r11 + k); a11 += v11 * wa; b11 += v11 * wb;
      let v12 = x1(r12 + k); a12 += v12 * wa; b12 += v12 * wb;
      let v13 = x1(r13 + k); a13 += v13 * wa; b13 += v13 * wb;
      let v14 = x1(r14 + k); a14 += v14 * wa; b14 += v14 * wb;
      let v15 = x1(r15 + k); a15 += v15 * wa; b15 += v15 * wb;
    }
  }
  var tile = array<vec4f, 32>(
    a0, b0, a1, b1, a2, b2, a3, b3,
    a4, b4, a5, b5, a6, b6, a7, b7,
    a8, b8, a9, b9, a10, b10, a11, b11,
    a12, b12, a13, b13, a14, b14, a15, b15,
  );
  for (var i = 0u; i < 16u && m0 + i < params.M; i++) {
    for (var j = 0u; j < 8u && n0 + j < params.N; j++) {
      let column = params.column0 + n0 + j;
      var value = tile[i * 2u + (j >> 2u)][j & 3u];
      if (params.has_bias == 1u) { value += bias[column]; }
      y[(m0 + i) * params.stride + column] = value;
    }
  }
}
