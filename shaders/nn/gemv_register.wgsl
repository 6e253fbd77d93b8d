// gemv_register: y[m, column0 + n] (+)= sum_k x[m,k] weight[n,k] + bias[column0 + n]; or, GATED,
//                y[m, column0 + n] = silu(sum_k x[m,k] weight[n,k]) * sum_k x[m,k] up[n,k]
//   0 in   x       [M, K]          f32
//   1 in   weight  [N, K]          as stored (lib/weights)
//   2 in   up      [N, K]          as stored; read only when GATED
//   3 in   bias    [>= column0+N]  f32    read only when has_bias is 1
//   4 out  y       [M, stride]     f32    =, += when accumulate is 1; columns [column0, column0 + N)
//   5 uniform      M, N, K, stride, column0, has_bias, accumulate, group0: u32
// gemv for software adapters: one invocation keeps ROWS rows by eight columns (four of each matrix when GATED) in registers,
// neighbours are columns. Prepend lib/weights and lib/few_rows. Sums in f32, k ascending in fours, the same for every M.
struct Params { M: u32, N: u32, K: u32, stride: u32, column0: u32, has_bias: u32, accumulate: u32, group0: u32 }

override ROWS: u32 = 1u;
override GATED: bool = false;
override GROUP: u32 = 4u;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> weight: array<vec2u>;
@group(0) @binding(2) var<storage, read> up: array<vec2u>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

fn second(n: u32, last: u32, q: u32) -> mat4x4f {
  if (GATED) { return mat4x4f(u4(n, q), u4(min(n + 1u, last), q), u4(min(n + 2u, last), q), u4(min(n + 3u, last), q)); }
  return mat4x4f(w4(min(n + 4u, last), q), w4(min(n + 5u, last), q), w4(min(n + 6u, last), q), w4(min(n + 7u, last), q));
}

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {
  let group = params.group0 + wid.x + wid.y * count.x;
  let groups_m = (params.M + ROWS - 1u) / ROWS;
  let columns = select(8u, 4u, GATED);
  let m0 = group % groups_m * ROWS;
  let n = (group / groups_m * GROUP + lane) * columns;
  if (n >= params.N) { return; }
  let last = params.N - 1u;
  let last_m = params.M - 1u;
  let r1 = min(m0 + 1u, last_m); let r2 = min(m0 + 2u, last_m); let r3 = min(m0 + 3u, last_m); let r4 = min(m0 + 4u, last_m);
  let r5 = min(m0 + 5u, last_m); let r6 = min(m0 + 6u, last_m); let r7 = min(m0 + 7u, last_m); let r8 = min(m0 + 8u, last_m);
  let r9 = min(m0 + 9u, last_m); let r10 = min(m0 + 10u, last_m); let r11 = min(m0 + 11u, last_m); let r12 = min(m0 + 12u, last_m);
  let r13 = min(m0 + 13u, last_m); let r14 = min(m0 + 14u, last_m); let r15 = min(m0 + 15u, last_m);
  var a0 = vec4f(); var b0 = vec4f(); var a1 = vec4f(); var b1 = vec4f(); var a2 = vec4f(); var b2 = vec4f(); var a3 = vec4f(); var b3 = vec4f();
  var a4 = vec4f(); var b4 = vec4f(); var a5 = vec4f(); var b5 = vec4f(); var a6 = vec4f(); var b6 = vec4f(); var a7 = vec4f(); var b7 = vec4f();
  var a8 = vec4f(); var b8 = vec4f(); var a9 = vec4f(); var b9 = vec4f(); var a10 = vec4f(); var b10 = vec4f(); var a11 = vec4f(); var b11 = vec4f();
  var a12 = vec4f(); var b12 = vec4f(); var a13 = vec4f(); var b13 = vec4f(); var a14 = vec4f(); var b14 = vec4f(); var a15 = vec4f(); var b15 = vec4f();
  for (var q = 0u; q < (params.K + 3u) / 4u; q++) {
    let wa = mat4x4f(w4(n, q), w4(min(n + 1u, last), q), w4(min(n + 2u, last), q), w4(min(n + 3u, last), q));
    let wb = second(n, last, q);
    let v0 = x4(m0, q); a0 += v0 * wa; b0 += v0 * wb;
    if (ROWS > 1u) { let v1 = x4(r1, q); a1 += v1 * wa; b1 += v1 * wb; }
    if (ROWS > 2u) {
      let v2 = x4(r2, q); a2 += v2 * wa; b2 += v2 * wb;
      let v3 = x4(r3, q); a3 += v3 * wa; b3 += v3 * wb;
    }
    if (ROWS > 4u) {
      let v4 = x4(r4, q); a4 += v4 * wa; b4 += v4 * wb;
      let v5 = x4(r5, q); a5 += v5 * wa; b5 += v5 * wb;
      let v6 = x4(r6, q); a6 += v6 * wa; b6 += v6 * wb;
      let v7 = x4(r7, q); a7 += v7 * wa; b7 += v7 * wb;
    }
    if (ROWS > 8u) {
      let v8 = x4(r8, q); a8 += v8 * wa; b8 += v8 * wb;
      let v9 = x4(r9, q); a9 += v9 * wa; b9 += v9 * wb;
      let v10 = x4(r10, q); a10 += v10 * wa; b10 += v10 * wb;
      let v11 = x4(r11, q); a11 += v11 * wa; b11 += v11 * wb;
      let v12 = x4(r12, q); a12 += v12 * wa; b12 += v12 * wb;
      let v13 = x4(r13, q); a13 += v13 * wa; b13 += v13 * wb;
      let v14 = x4(r14, q); a14 += v14 * wa; b14 += v14 * wb;
      let v15 = x4(r15, q); a15 += v15 * wa; b15 += v15 * wb;
    }
  }
  var sums = array<vec4f, 32>(
    a0, b0, a1, b1, a2, b2, a3, b3, a4, b4, a5, b5, a6, b6, a7, b7, a8, b8, a9, b9, a10, b10, a11, b11, a12, b12, a13, b13, a14, b14, a15, b15);
  for (var i = 0u; i < ROWS; i++) {
    for (var j = 0u; j < 4u; j++) {
      if (GATED) {
        finish_gated(m0 + i, n + j, sums[2u * i][j], sums[2u * i + 1u][j]);
      } else {
        finish(m0 + i, n + j, sums[2u * i][j]);
        finish(m0 + i, n + 4u + j, sums[2u * i + 1u][j]);
      }
    }
  }
}
