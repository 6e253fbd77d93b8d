// gemv: y[m, column0 + n] (+)= sum_k x[m,k] weight[n,k] + bias[column0 + n]; or, GATED,
//       y[m, column0 + n] = silu(sum_k x[m,k] weight[n,k]) * sum_k x[m,k] up[n,k]
//   0 in   x       [M, K]          f32
//   1 in   weight  [N, K]          as stored (lib/weights)
//   2 in   up      [N, K]          as stored; read only when GATED
//   3 in   bias    [>= column0+N]  f32    read only when has_bias is 1
//   4 out  y       [M, stride]     f32    =, += when accumulate is 1; columns [column0, column0 + N)
//   5 uniform      M, N, K, stride, column0, has_bias, accumulate, group0: u32
// For few rows, where reading the matrix once is all that counts: a workgroup of 64 makes ROWS rows by four columns, its
// lanes walk k side by side in fours, so that loads coalesce. Prepend lib/weights and lib/few_rows. Sums in f32, by lanes and
// then by lanes in eights: one order, the same for every M. gemv_register is the form for software adapters.
struct Params { M: u32, N: u32, K: u32, stride: u32, column0: u32, has_bias: u32, accumulate: u32, group0: u32 }

override ROWS: u32 = 1u;
override GATED: bool = false;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> weight: array<vec2u>;
@group(0) @binding(2) var<storage, read> up: array<vec2u>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

var<workgroup> lanes: array<vec4f, 512>;
var<workgroup> eighths: array<vec4f, 64>;

// Sums over all lanes, of eight rows at once; row r of them is the answer in lane r.
fn sum_rows(lane: u32, v: array<vec4f, 8>) -> vec4f {
  var values = v;
  for (var r = 0u; r < ROWS; r++) { lanes[r * 64u + lane] = values[r]; }
  workgroupBarrier();
  if (lane < 8u * ROWS) {
    var sum = vec4f();
    for (var i = 0u; i < 8u; i++) { sum += lanes[lane * 8u + i]; }
    eighths[lane] = sum;
  }
  workgroupBarrier();
  var total = vec4f();
  if (lane < ROWS) { for (var i = 0u; i < 8u; i++) { total += eighths[lane * 8u + i]; } }
  return total;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {
  let group = params.group0 + wid.x + wid.y * count.x;
  let groups_m = (params.M + ROWS - 1u) / ROWS;
  let m0 = group % groups_m * ROWS;
  let n = group / groups_m * 4u;
  if (n >= params.N) { return; }
  let last = params.N - 1u;
  let last_m = params.M - 1u;
  var a: array<vec4f, 8>;
  var b: array<vec4f, 8>;
  for (var q = lane; q < (params.K + 3u) / 4u; q += 64u) {
    let wa = mat4x4f(w4(n, q), w4(min(n + 1u, last), q), w4(min(n + 2u, last), q), w4(min(n + 3u, last), q));
    var wb = mat4x4f();
    if (GATED) { wb = mat4x4f(u4(n, q), u4(min(n + 1u, last), q), u4(min(n + 2u, last), q), u4(min(n + 3u, last), q)); }
    for (var r = 0u; r < ROWS; r++) {
      let v = x4(min(m0 + r, last_m), q);
      a[r] += v * wa;
      if (GATED) { b[r] += v * wb; }
    }
  }
  let first = sum_rows(lane, a);
  if (GATED) {
    workgroupBarrier();
    let second = sum_rows(lane, b);
    if (lane < ROWS) { for (var j = 0u; j < 4u; j++) { finish_gated(m0 + lane, n + j, first[j], second[j]); } }
  } else if (lane < ROWS) {
    for (var j = 0u; j < 4u; j++) { finish(m0 + lane, n + j, first[j]); }
  }
}
