// fisher_tn: out[n,k] (+)= scale * sum_s g_s[n,k]^2,   g_s[n,k] = sum_{t in s} dy[t, column0 + n] * x[t,k]
//   0 in   x       [T, K]           f32
//   1 in   dy      [T, stride]      f32    columns [column0, column0 + N)
//   2 in   starts  [sequences + 1]  u32    sequence s owns rows [starts[s], starts[s+1])
//   3 in   tokens  [T]              u32    read only when TIED
//   4 in   dx      [T, K]           f32    read only when TIED
//   5 out  out     [N, K]           f32    = , or += when accumulate is 1
//   6 uniform      T, N, K, sequences, stride, column0, row0, accumulate: u32, scale: f32, group0: u32
// The square is of the gradient of a whole sequence: squaring the sum over all sequences, or each token, is another
// quantity. Sequences ascending, tokens ascending, gradient and square both in registers (8 rows by 8 columns each).
// TIED adds the embedding's side before squaring: g_s[n,k] += sum of dx[t,k] over tokens t of s with id row0 + n.
// SQUARE false sums the plain gradients. PACKED (K % 4 == 0) and PACKED_DY (stride, column0 % 4 == 0) read vectors.
struct Params { T: u32, N: u32, K: u32, sequences: u32, stride: u32, column0: u32, row0: u32, accumulate: u32, scale: f32, group0: u32 }

override PACKED: bool = false;
override PACKED_DY: bool = false;
override TIED: bool = false;
override SQUARE: bool = true;
override GROUP_K: u32 = 4u;
override GROUP_N: u32 = 4u;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> dy: array<vec4f>;
@group(0) @binding(2) var<storage, read> starts: array<u32>;
@group(0) @binding(3) var<storage, read> tokens: array<u32>;
@group(0) @binding(4) var<storage, read> dx: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

// Columns past the end repeat the last ones and are not stored.
fn x4(t: u32, k: u32) -> vec4f {
  let row = t * params.K;
  if (PACKED) { return x[(row + min(k, params.K - 4u)) >> 2u]; }
  let last = row + params.K - 1u;
  let i = vec4u(min(row + k, last), min(row + k + 1u, last), min(row + k + 2u, last), min(row + k + 3u, last));
  return vec4f(x[i.x >> 2u][i.x & 3u], x[i.y >> 2u][i.y & 3u], x[i.z >> 2u][i.z & 3u], x[i.w >> 2u][i.w & 3u]);
}

fn dx4(t: u32, k: u32) -> vec4f {
  let row = t * params.K;
  if (PACKED) { return dx[(row + min(k, params.K - 4u)) >> 2u]; }
  let last = row + params.K - 1u;
  let i = vec4u(min(row + k, last), min(row + k + 1u, last), min(row + k + 2u, last), min(row + k + 3u, last));
  return vec4f(dx[i.x >> 2u][i.x & 3u], dx[i.y >> 2u][i.y & 3u], dx[i.z >> 2u][i.z & 3u], dx[i.w >> 2u][i.w & 3u]);
}

fn dy4(t: u32, n: u32) -> vec4f {
  let row = t * params.stride;
  let c = params.column0 + n;
  if (PACKED_DY) { return dy[(row + min(c, params.stride - 4u)) >> 2u]; }
  let last = row + params.stride - 1u;
  let i = vec4u(min(row + c, last), min(row + c + 1u, last), min(row + c + 2u, last), min(row + c + 3u, last));
  return vec4f(dy[i.x >> 2u][i.x & 3u], dy[i.y >> 2u][i.y & 3u], dy[i.z >> 2u][i.z & 3u], dy[i.w >> 2u][i.w & 3u]);
}

fn squared(g: vec4f) -> vec4f {
  if (SQUARE) { return g * g; }
  return g;
}

@compute @workgroup_size(GROUP_K, GROUP_N)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_id) lid: vec3u) {
  let group = params.group0 + wid.x + wid.y * count.x;
  let groups_k = (params.K + 8u * GROUP_K - 1u) / (8u * GROUP_K);
  let k0 = ((group % groups_k) * GROUP_K + lid.x) * 8u;
  let n0 = ((group / groups_k) * GROUP_N + lid.y) * 8u;
  if (k0 >= params.K || n0 >= params.N) { return; }
  var fa0 = vec4f(); var fb0 = vec4f(); var fa1 = vec4f(); var fb1 = vec4f(); var fa2 = vec4f(); var fb2 = vec4f(); var fa3 = vec4f(); var fb3 = vec4f();
  var fa4 = vec4f(); var fb4 = vec4f(); var fa5 = vec4f(); var fb5 = vec4f(); var fa6 = vec4f(); var fb6 = vec4f(); var fa7 = vec4f(); var fb7 = vec4f();
  for (var s = 0u; s < params.sequences; s++) {
    var ga0 = vec4f(); var gb0 = vec4f(); var ga1 = vec4f(); var gb1 = vec4f(); var ga2 = vec4f(); var gb2 = vec4f(); var ga3 = vec4f(); var gb3 = vec4f();
    var ga4 = vec4f(); var gb4 = vec4f(); var ga5 = vec4f(); var gb5 = vec4f(); var ga6 = vec4f(); var gb6 = vec4f(); var ga7 = vec4f(); var gb7 = vec4f();
    let end = starts[s + 1u];
    for (var t = starts[s]; t < end; t++) {
      let xa = x4(t, k0);
      let xb = x4(t, k0 + 4u);
      let da = dy4(t, n0);
      let db = dy4(t, n0 + 4u);
      ga0 += da.x * xa; gb0 += da.x * xb;
      ga1 += da.y * xa; gb1 += da.y * xb;
      ga2 += da.z * xa; gb2 += da.z * xb;
      ga3 += da.w * xa; gb3 += da.w * xb;
      ga4 += db.x * xa; gb4 += db.x * xb;
      ga5 += db.y * xa; gb5 += db.y * xb;
      ga6 += db.z * xa; gb6 += db.z * xb;
      ga7 += db.w * xa; gb7 += db.w * xb;
      if (TIED) {
        let row = tokens[t] - params.row0 - n0; // wraps to a large number below the tile
        if (row < 8u) {
          let ea = dx4(t, k0);
          let eb = dx4(t, k0 + 4u);
          if (row == 0u) { ga0 += ea; gb0 += eb; }
          if (row == 1u) { ga1 += ea; gb1 += eb; }
          if (row == 2u) { ga2 += ea; gb2 += eb; }
          if (row == 3u) { ga3 += ea; gb3 += eb; }
          if (row == 4u) { ga4 += ea; gb4 += eb; }
          if (row == 5u) { ga5 += ea; gb5 += eb; }
          if (row == 6u) { ga6 += ea; gb6 += eb; }
          if (row == 7u) { ga7 += ea; gb7 += eb; }
        }
      }
    }
    fa0 += squared(ga0); fb0 += squared(gb0); fa1 += squared(ga1); fb1 += squared(gb1);
    fa2 += squared(ga2); fb2 += squared(gb2); fa3 += squared(ga3); fb3 += squared(gb3);
    fa4 += squared(ga4); fb4 += squared(gb4); fa5 += squared(ga5); fb5 += squared(gb5);
    fa6 += squared(ga6); fb6 += squared(gb6); fa7 += squared(ga7); fb7 += squared(gb7);
  }
  var tile = array<vec4f, 16>(fa0, fb0, fa1, fb1, fa2, fb2, fa3, fb3, fa4, fb4, fa5, fb5, fa6, fb6, fa7, fb7);
  for (var i = 0u; i < 8u && n0 + i < params.N; i++) {
    for (var j = 0u; j < 8u && k0 + j < params.K; j++) {
      let at = (n0 + i) * params.K + k0 + j;
      var value = params.scale * tile[i * 2u + (j >> 2u)][j & 3u];
      if (params.accumulate == 1u) { value += out[at]; }
      out[at] = value;
    }
  }
}
