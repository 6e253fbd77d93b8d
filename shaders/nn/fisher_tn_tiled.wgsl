// fisher_tn_tiled: out[n,k] (+)= scale * sum_s g_s[n,k]^2,   g_s[n,k] = sum_{t in s} dy[t, column0 + n] * x[t,k]
//   0 in   x       [T, K]           f32
//   1 in   dy      [T, stride]      f32    columns [column0, column0 + N)
//   2 in   starts  [sequences + 1]  u32    sequence s owns rows [starts[s], starts[s+1])
//   3 in   tokens  [T]              u32    read only when TIED
//   4 in   dx      [T, K]           f32    read only when TIED
//   5 out  out     [N, K]           f32    = , or += when accumulate is 1
//   6 uniform      T, N, K, sequences, stride, column0, row0, accumulate: u32, scale: f32, group0: u32
// The square is of the gradient of a whole sequence, as in fisher_tn. Form for hardware: GROUP_X by GROUP_Y invocations
// share pieces of x and dy, DEPTH tokens deep, in workgroup memory; each keeps ROWS by COLUMNS (4 or 8) gradients and as
// many squares in registers, rows and columns in fours, GROUP_Y and GROUP_X fours apart. Sequences and tokens ascending.
// TIED adds the embedding's side before squaring: g_s[n,k] += sum of dx[t,k] over tokens t of s with id row0 + n.
// SQUARE false sums the plain gradients. PACKED: K % 4 == 0. PACKED_DY: stride, column0 % 4 == 0.
struct Params { T: u32, N: u32, K: u32, sequences: u32, stride: u32, column0: u32, row0: u32, accumulate: u32, scale: f32, group0: u32 }

override PACKED: bool = false;
override PACKED_DY: bool = false;
override TIED: bool = false;
override SQUARE: bool = true;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> dy: array<vec4f>;
@group(0) @binding(2) var<storage, read> starts: array<u32>;
@group(0) @binding(3) var<storage, read> tokens: array<u32>;
@group(0) @binding(4) var<storage, read> dx: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

// In `left` and `right` vectors of four n or k: [token][n / 4], [token][k / 4].
fn x4(i: u32, count: u32) -> vec4f {
  if (PACKED) { return x[i >> 2u]; }
  return upto(count, vec4f(x[i >> 2u][i & 3u], x[(i + 1u) >> 2u][(i + 1u) & 3u], x[(i + 2u) >> 2u][(i + 2u) & 3u], x[(i + 3u) >> 2u][(i + 3u) & 3u]));
}

fn dx4(i: u32, count: u32) -> vec4f {
  if (PACKED) { return dx[i >> 2u]; }
  return upto(count, vec4f(dx[i >> 2u][i & 3u], dx[(i + 1u) >> 2u][(i + 1u) & 3u], dx[(i + 2u) >> 2u][(i + 2u) & 3u], dx[(i + 3u) >> 2u][(i + 3u) & 3u]));
}

fn dy4(i: u32, count: u32) -> vec4f {
  if (PACKED_DY) { return dy[i >> 2u]; }
  return upto(count, vec4f(dy[i >> 2u][i & 3u], dy[(i + 1u) >> 2u][(i + 1u) & 3u], dy[(i + 2u) >> 2u][(i + 2u) & 3u], dy[(i + 3u) >> 2u][(i + 3u) & 3u]));
}

fn squared(g: vec4f) -> vec4f {
  if (SQUARE) { return g * g; }
  return g;
}

fn store(n: u32, k: u32, value: f32) {
  if (n >= params.N || k >= params.K) { return; }
  let at = n * params.K + k;
  var sum = params.scale * value;
  if (params.accumulate == 1u) { sum += out[at]; }
  out[at] = sum;
}

@compute @workgroup_size(GROUP_X, GROUP_Y)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_id) lid: vec3u, @builtin(local_invocation_index) local: u32) {
  let group = params.group0 + wid.x + wid.y * count.x;
  let groups_k = (params.K + TILE_COLUMNS - 1u) / TILE_COLUMNS;
  let k0 = (group % groups_k) * TILE_COLUMNS;
  let n0 = (group / groups_k) * TILE_ROWS;
  let N = params.N;
  let K = params.K;
  let n = n0 + 4u * lid.y;
  let k = k0 + 4u * lid.x;
  var fa0 = vec4f(); var fb0 = vec4f(); var fa1 = vec4f(); var fb1 = vec4f(); var fa2 = vec4f(); var fb2 = vec4f(); var fa3 = vec4f(); var fb3 = vec4f();
  var fa4 = vec4f(); var fb4 = vec4f(); var fa5 = vec4f(); var fb5 = vec4f(); var fa6 = vec4f(); var fb6 = vec4f(); var fa7 = vec4f(); var fb7 = vec4f();
  for (var s = 0u; s < params.sequences; s++) {
    var ga0 = vec4f(); var gb0 = vec4f(); var ga1 = vec4f(); var gb1 = vec4f(); var ga2 = vec4f(); var gb2 = vec4f(); var ga3 = vec4f(); var gb3 = vec4f();
    var ga4 = vec4f(); var gb4 = vec4f(); var ga5 = vec4f(); var gb5 = vec4f(); var ga6 = vec4f(); var gb6 = vec4f(); var ga7 = vec4f(); var gb7 = vec4f();
    let end = starts[s + 1u];
    for (var t0 = starts[s]; t0 < end; t0 += DEPTH) {
      for (var i = local; i < TILE_ROWS * DEPTH / 4u; i += GROUP_X * GROUP_Y) {
        let t = t0 + i / (TILE_ROWS / 4u);
        let c = n0 + 4u * (i % (TILE_ROWS / 4u));
        var v = vec4f();
        if (t < end && c < N) { v = dy4(t * params.stride + params.column0 + c, N - c); }
        left[i] = v;
      }
      for (var i = local; i < TILE_COLUMNS * DEPTH / 4u; i += GROUP_X * GROUP_Y) {
        let t = t0 + i / (TILE_COLUMNS / 4u);
        let c = k0 + 4u * (i % (TILE_COLUMNS / 4u));
        var v = vec4f();
        if (t < end && c < K) { v = x4(t * K + c, K - c); }
        right[i] = v;
      }
      workgroupBarrier();
      for (var q = 0u; q < DEPTH; q++) {
        let r = q * (TILE_ROWS / 4u) + lid.y;
        let c = q * (TILE_COLUMNS / 4u) + lid.x;
        let xa = right[c];
        let da = left[r];
        var xb = vec4f();
        if (COLUMNS > 4u) { xb = right[c + GROUP_X]; }
        ga0 = fma(vec4f(da.x), xa, ga0); if (COLUMNS > 4u) { gb0 = fma(vec4f(da.x), xb, gb0); }
        ga1 = fma(vec4f(da.y), xa, ga1); if (COLUMNS > 4u) { gb1 = fma(vec4f(da.y), xb, gb1); }
        ga2 = fma(vec4f(da.z), xa, ga2); if (COLUMNS > 4u) { gb2 = fma(vec4f(da.z), xb, gb2); }
        ga3 = fma(vec4f(da.w), xa, ga3); if (COLUMNS > 4u) { gb3 = fma(vec4f(da.w), xb, gb3); }
        if (ROWS > 4u) {
          let db = left[r + GROUP_Y];
          ga4 = fma(vec4f(db.x), xa, ga4); if (COLUMNS > 4u) { gb4 = fma(vec4f(db.x), xb, gb4); }
          ga5 = fma(vec4f(db.y), xa, ga5); if (COLUMNS > 4u) { gb5 = fma(vec4f(db.y), xb, gb5); }
          ga6 = fma(vec4f(db.z), xa, ga6); if (COLUMNS > 4u) { gb6 = fma(vec4f(db.z), xb, gb6); }
          ga7 = fma(vec4f(db.w), xa, ga7); if (COLUMNS > 4u) { gb7 = fma(vec4f(db.w), xb, gb7); }
        }
      }
      workgroupBarrier();
    }
    if (TIED) {
      for (var t = starts[s]; t < end; t++) {
        let row = tokens[t] - params.row0 - n0; // wraps to a large number below the tile
        if (row >= TILE_ROWS || k >= K) { continue; }
        let ea = dx4(t * K + k, K - k);
        var eb = vec4f();
        if (COLUMNS > 4u && k + 4u * GROUP_X < K) { eb = dx4(t * K + k + 4u * GROUP_X, K - k - 4u * GROUP_X); }
        // Lane of this invocation's first and second four rows that the token is, if any.
        let la = vec4f(vec4u(row) == 4u * lid.y + vec4u(0u, 1u, 2u, 3u));
        let lb = vec4f(vec4u(row) == 4u * (lid.y + GROUP_Y) + vec4u(0u, 1u, 2u, 3u));
        ga0 += la.x * ea; gb0 += la.x * eb; ga1 += la.y * ea; gb1 += la.y * eb;
        ga2 += la.z * ea; gb2 += la.z * eb; ga3 += la.w * ea; gb3 += la.w * eb;
        ga4 += lb.x * ea; gb4 += lb.x * eb; ga5 += lb.y * ea; gb5 += lb.y * eb;
        ga6 += lb.z * ea; gb6 += lb.z * eb; ga7 += lb.w * ea; gb7 += lb.w * eb;
      }
    }
    fa0 += squared(ga0); fb0 += squared(gb0); fa1 += squared(ga1); fb1 += squared(gb1);
    fa2 += squared(ga2); fb2 += squared(gb2); fa3 += squared(ga3); fb3 += squared(gb3);
    fa4 += squared(ga4); fb4 += squared(gb4); fa5 += squared(ga5); fb5 += squared(gb5);
    fa6 += squared(ga6); fb6 += squared(gb6); fa7 += squared(ga7); fb7 += squared(gb7);
  }
  // A loop rather than 64 calls: compilers take long over as many stores.
  var sums = array<vec4f, 16>(fa0, fb0, fa1, fb1, fa2, fb2, fa3, fb3, fa4, fb4, fa5, fb5, fa6, fb6, fa7, fb7);
  for (var i = 0u; i < ROWS * COLUMNS; i++) {
    let j = i / COLUMNS;
    let c = i % COLUMNS;
    store(n + (j & 3u) + (j >> 2u) * 4u * GROUP_Y, k + (c >> 2u) * 4u * GROUP_X + (c & 3u), sums[2u * j + (c >> 2u)][c & 3u]);
  }
}
