// gemm_nt: y[m, column0 + n] = sum_k x[m,k] * weight[n,k] + bias[column0 + n]        (Y = X W^T + b)
//   0 in   x       [M, K]          f32
//   1 in   weight  [N, K]          as stored (lib/weights)
//   2 in   bias    [>= column0+N]  f32    read only when has_bias is 1
//   3 out  y       [M, stride]     f32    =   columns [column0, column0 + N)
//   4 uniform      M, N, K, stride, column0, has_bias, group0: u32
// Form for software adapters: one invocation keeps 16 rows by 16 columns in registers and uses no workgroup memory,
// because every scalar load costs such an adapter as much as twenty multiply-adds. Sums in f32, k ascending. PACKED
// (K % 4 == 0) walks k in vectors of four. gemm_nt_tiled is the form for hardware.
struct Params { M: u32, N: u32, K: u32, stride: u32, column0: u32, has_bias: u32, group0: u32 }

override PACKED: bool = false;
override GROUP_M: u32 = 4u;
override GROUP_N: u32 = 2u;

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

// Weights 4q to 4q + 3.
fn w4(q: u32) -> vec4f {
  if (WEIGHT_DTYPE == 0u) { return bitcast<vec4f>(vec4u(weight[2u * q], weight[2u * q + 1u])); }
  let pair = weight[q];
  return vec4f(unpack_weight(pair.x, false), unpack_weight(pair.x, true), unpack_weight(pair.y, false), unpack_weight(pair.y, true));
}

@compute @workgroup_size(GROUP_M, GROUP_N)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_id) lid: vec3u) {
  let group = params.group0 + wid.x + wid.y * count.x;
  // Neighbouring groups share columns, so that a piece of the weight is read from memory once.
  let groups_m = (params.M + 16u * GROUP_M - 1u) / (16u * GROUP_M);
  let m0 = ((group % groups_m) * GROUP_M + lid.x) * 16u;
  let n0 = ((group / groups_m) * GROUP_N + lid.y) * 16u;
  if (m0 >= params.M || n0 >= params.N) { return; }
  // Rows start at r and s, in vectors when PACKED. Those past the end repeat the last one and are not stored.
  let step = select(params.K, params.K / 4u, PACKED);
  let last_m = params.M - 1u;
  let last_n = params.N - 1u;
  let r0 = min(m0 + 0u, last_m) * step; let r1 = min(m0 + 1u, last_m) * step; let r2 = min(m0 + 2u, last_m) * step; let r3 = min(m0 + 3u, last_m) * step;
  let r4 = min(m0 + 4u, last_m) * step; let r5 = min(m0 + 5u, last_m) * step; let r6 = min(m0 + 6u, last_m) * step; let r7 = min(m0 + 7u, last_m) * step;
  let r8 = min(m0 + 8u, last_m) * step; let r9 = min(m0 + 9u, last_m) * step; let r10 = min(m0 + 10u, last_m) * step; let r11 = min(m0 + 11u, last_m) * step;
  let r12 = min(m0 + 12u, last_m) * step; let r13 = min(m0 + 13u, last_m) * step; let r14 = min(m0 + 14u, last_m) * step; let r15 = min(m0 + 15u, last_m) * step;
  let s0 = min(n0 + 0u, last_n) * step; let s1 = min(n0 + 1u, last_n) * step; let s2 = min(n0 + 2u, last_n) * step; let s3 = min(n0 + 3u, last_n) * step;
  let s4 = min(n0 + 4u, last_n) * step; let s5 = min(n0 + 5u, last_n) * step; let s6 = min(n0 + 6u, last_n) * step; let s7 = min(n0 + 7u, last_n) * step;
  let s8 = min(n0 + 8u, last_n) * step; let s9 = min(n0 + 9u, last_n) * step; let s10 = min(n0 + 10u, last_n) * step; let s11 = min(n0 + 11u, last_n) * step;
  let s12 = min(n0 + 12u, last_n) * step; let s13 = min(n0 + 13u, last_n) * step; let s14 = min(n0 + 14u, last_n) * step; let s15 = min(n0 + 15u, last_n) * step;
  var a0 = vec4f(); var b0 = vec4f(); var c0 = vec4f(); var d0 = vec4f(); var a1 = vec4f(); var b1 = vec4f(); var c1 = vec4f(); var d1 = vec4f();
  var a2 = vec4f(); var b2 = vec4f(); var c2 = vec4f(); var d2 = vec4f(); var a3 = vec4f(); var b3 = vec4f(); var c3 = vec4f(); var d3 = vec4f();
  var a4 = vec4f(); var b4 = vec4f(); var c4 = vec4f(); var d4 = vec4f(); var a5 = vec4f(); var b5 = vec4f(); var c5 = vec4f(); var d5 = vec4f();
  var a6 = vec4f(); var b6 = vec4f(); var c6 = vec4f(); var d6 = vec4f(); var a7 = vec4f(); var b7 = vec4f(); var c7 = vec4f(); var d7 = vec4f();
  var a8 = vec4f(); var b8 = vec4f(); var c8 = vec4f(); var d8 = vec4f(); var a9 = vec4f(); var b9 = vec4f(); var c9 = vec4f(); var d9 = vec4f();
  var a10 = vec4f(); var b10 = vec4f(); var c10 = vec4f(); var d10 = vec4f(); var a11 = vec4f(); var b11 = vec4f(); var c11 = vec4f(); var d11 = vec4f();
  var a12 = vec4f(); var b12 = vec4f(); var c12 = vec4f(); var d12 = vec4f(); var a13 = vec4f(); var b13 = vec4f(); var c13 = vec4f(); var d13 = vec4f();
  var a14 = vec4f(); var b14 = vec4f(); var c14 = vec4f(); var d14 = vec4f(); var a15 = vec4f(); var b15 = vec4f(); var c15 = vec4f(); var d15 = vec4f();
  if (PACKED) {
    for (var k = 0u; k < step; k++) {
      let wa = mat4x4f(w4(s0 + k), w4(s1 + k), w4(s2 + k), w4(s3 + k));
      let wb = mat4x4f(w4(s4 + k), w4(s5 + k), w4(s6 + k), w4(s7 + k));
      let wc = mat4x4f(w4(s8 + k), w4(s9 + k), w4(s10 + k), w4(s11 + k));
      let wd = mat4x4f(w4(s12 + k), w4(s13 + k), w4(s14 + k), w4(s15 + k));
      let v0 = x[r0 + k]; a0 += v0 * wa; b0 += v0 * wb; c0 += v0 * wc; d0 += v0 * wd;
      let v1 = x[r1 + k]; a1 += v1 * wa; b1 += v1 * wb; c1 += v1 * wc; d1 += v1 * wd;
      let v2 = x[r2 + k]; a2 += v2 * wa; b2 += v2 * wb; c2 += v2 * wc; d2 += v2 * wd;
      let v3 = x[r3 + k]; a3 += v3 * wa; b3 += v3 * wb; c3 += v3 * wc; d3 += v3 * wd;
      let v4 = x[r4 + k]; a4 += v4 * wa; b4 += v4 * wb; c4 += v4 * wc; d4 += v4 * wd;
      let v5 = x[r5 + k]; a5 += v5 * wa; b5 += v5 * wb; c5 += v5 * wc; d5 += v5 * wd;
      let v6 = x[r6 + k]; a6 += v6 * wa; b6 += v6 * wb; c6 += v6 * wc; d6 += v6 * wd;
      let v7 = x[r7 + k]; a7 += v7 * wa; b7 += v7 * wb; c7 += v7 * wc; d7 += v7 * wd;
      let v8 = x[r8 + k]; a8 += v8 * wa; b8 += v8 * wb; c8 += v8 * wc; d8 += v8 * wd;
      let v9 = x[r9 + k]; a9 += v9 * wa; b9 += v9 * wb; c9 += v9 * wc; d9 += v9 * wd;
      let v10 = x[r10 + k]; a10 += v10 * wa; b10 += v10 * wb; c10 += v10 * wc; d10 += v10 * wd;
      let v11 = x[r11 + k]; a11 += v11 * wa; b11 += v11 * wb; c11 += v11 * wc; d11 += v11 * wd;
      let v12 = x[r12 + k]; a12 += v12 * wa; b12 += v12 * wb; c12 += v12 * wc; d12 += v12 * wd;
      let v13 = x[r13 + k]; a13 += v13 * wa; b13 += v13 * wb; c13 += v13 * wc; d13 += v13 * wd;
      let v14 = x[r14 + k]; a14 += v14 * wa; b14 += v14 * wb; c14 += v14 * wc; d14 += v14 * wd;
      let v15 = x[r15 + k]; a15 += v15 * wa; b15 += v15 * wb; c15 += v15 * wc; d15 += v15 * wd;
    }
  } else {
    for (var k = 0u; k < step; k++) {
      let wa = vec4f(w1(s0 + k), w1(s1 + k), w1(s2 + k), w1(s3 + k));
      let wb = vec4f(w1(s4 + k), w1(s5 + k), w1(s6 + k), w1(s7 + k));
      let wc = vec4f(w1(s8 + k), w1(s9 + k), w1(s10 + k), w1(s11 + k));
      let wd = vec4f(w1(s12 + k), w1(s13 + k), w1(s14 + k), w1(s15 + k));
      let v0 = x1(r0 + k); a0 += v0 * wa; b0 += v0 * wb; c0 += v0 * wc; d0 += v0 * wd;
      let v1 = x1(r1 + k); a1 += v1 * wa; b1 += v1 * wb; c1 += v1 * wc; d1 += v1 * wd;
      let v2 = x1(r2 + k); a2 += v2 * wa; b2 += v2 * wb; c2 += v2 * wc; d2 += v2 * wd;
      let v3 = x1(r3 + k); a3 += v3 * wa; b3 += v3 * wb; c3 += v3 * wc; d3 += v3 * wd;
      let v4 = x1(r4 + k); a4 += v4 * wa; b4 += v4 * wb; c4 += v4 * wc; d4 += v4 * wd;
      let v5 = x1(r5 + k); a5 += v5 * wa; b5 += v5 * wb; c5 += v5 * wc; d5 += v5 * wd;
      let v6 = x1(r6 + k); a6 += v6 * wa; b6 += v6 * wb; c6 += v6 * wc; d6 += v6 * wd;
      let v7 = x1(r7 + k); a7 += v7 * wa; b7 += v7 * wb; c7 += v7 * wc; d7 += v7 * wd;
      let v8 = x1(r8 + k); a8 += v8 * wa; b8 += v8 * wb; c8 += v8 * wc; d8 += v8 * wd;
      let v9 = x1(r9 + k); a9 += v9 * wa; b9 += v9 * wb; c9 += v9 * wc; d9 += v9 * wd;
      let v10 = x1(r10 + k); a10 += v10 * wa; b10 += v10 * wb; c10 += v10 * wc; d10 += v10 * wd;
      let v11 = x1(r11 + k); a11 += v11 * wa; b11 += v11 * wb; c11 += v11 * wc; d11 += v11 * wd;
      let v12 = x1(r12 + k); a12 += v12 * wa; b12 += v12 * wb; c12 += v12 * wc; d12 += v12 * wd;
      let v13 = x1(r13 + k); a13 += v13 * wa; b13 += v13 * wb; c13 += v13 * wc; d13 += v13 * wd;
      let v14 = x1(r14 + k); a14 += v14 * wa; b14 += v14 * wb; c14 += v14 * wc; d14 += v14 * wd;
      let v15 = x1(r15 + k); a15 += v15 * wa; b15 += v15 * wb; c15 += v15 * wc; d15 += v15 * wd;
    }
  }
  var tile = array<vec4f, 64>(
    a0, b0, c0, d0, a1, b1, c1, d1, a2, b2, c2, d2, a3, b3, c3, d3,
    a4, b4, c4, d4, a5, b5, c5, d5, a6, b6, c6, d6, a7, b7, c7, d7,
    a8, b8, c8, d8, a9, b9, c9, d9, a10, b10, c10, d10, a11, b11, c11, d11,
    a12, b12, c12, d12, a13, b13, c13, d13, a14, b14, c14, d14, a15, b15, c15, d15,
  );
  let biased = params.has_bias == 1u;
  let column0 = params.column0 + n0;
  let rows = min(16u, params.M - m0);
  let columns = min(16u, params.N - n0);
  for (var i = 0u; i < rows; i++) {
    let at = (m0 + i) * params.stride + column0;
    for (var j = 0u; j < columns; j++) {
      var value = tile[i * 4u + (j >> 2u)][j & 3u];
      if (biased) { value += bias[column0 + j]; }
      y[at + j] = value;
    }
  }
}
