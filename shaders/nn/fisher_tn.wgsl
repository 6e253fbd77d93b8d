// fisher_tn: out[n,k] (+)= scale * sum_s g_s[n,k]^2,   g_s[n,k] = sum_{t in s} dy[t, column0 + n] * x[t,k]
//   0 in   x       [T, K]           f32
//   1 in   dy      [T, stride]      f32    columns [column0, column0 + N)
//   2 in   starts  [sequences + 1]  u32    sequence s owns rows [starts[s], starts[s+1])
//   3 in   tokens  [T]              u32    read only when TIED
//   4 in   dx      [T, K]           f32    read only when TIED
//   5 out  out     [N, K]           f32    = , or += when accumulate is 1
//   6 uniform      T, N, K, sequences, stride, column0, row0, accumulate: u32, scale: f32, group0: u32
// The square is of the gradient of a whole sequence: squaring the sum over all sequences, or each token, is another
// quantity. Sequences ascending, tokens ascending in fours, gradient and square both in registers (16 rows by 16
// columns each, no workgroup memory: the form for software adapters, see gemm_nt; fisher_tn_tiled is for hardware).
// TIED adds the embedding's side before squaring: g_s[n,k] += sum of dx[t,k] over tokens t of s with id row0 + n.
// SQUARE false sums the plain gradients. PACKED (K % 4 == 0) and PACKED_DY (stride, column0 % 4 == 0) read vectors.
struct Params { T: u32, N: u32, K: u32, sequences: u32, stride: u32, column0: u32, row0: u32, accumulate: u32, scale: f32, group0: u32 }

override PACKED: bool = false;
override PACKED_DY: bool = false;
override TIED: bool = false;
override SQUARE: bool = true;
override GROUP_K: u32 = 4u;
override GROUP_N: u32 = 2u;

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

// dy of four tokens, by column: element [i] is column i at the four tokens.
fn turn(p: vec4f, q: vec4f, r: vec4f, s: vec4f) -> mat4x4f { return transpose(mat4x4f(p, q, r, s)); }

fn squared(g: vec4f) -> vec4f {
  if (SQUARE) { return g * g; }
  return g;
}

@compute @workgroup_size(GROUP_K, GROUP_N)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_id) lid: vec3u) {
  let group = params.group0 + wid.x + wid.y * count.x;
  let groups_k = (params.K + 16u * GROUP_K - 1u) / (16u * GROUP_K);
  let k0 = ((group % groups_k) * GROUP_K + lid.x) * 16u;
  let n0 = ((group / groups_k) * GROUP_N + lid.y) * 16u;
  if (k0 >= params.K || n0 >= params.N) { return; }
  var fa0 = vec4f(); var fb0 = vec4f(); var fc0 = vec4f(); var fd0 = vec4f(); var fa1 = vec4f(); var fb1 = vec4f(); var fc1 = vec4f(); var fd1 = vec4f();
  var fa2 = vec4f(); var fb2 = vec4f(); var fc2 = vec4f(); var fd2 = vec4f(); var fa3 = vec4f(); var fb3 = vec4f(); var fc3 = vec4f(); var fd3 = vec4f();
  var fa4 = vec4f(); var fb4 = vec4f(); var fc4 = vec4f(); var fd4 = vec4f(); var fa5 = vec4f(); var fb5 = vec4f(); var fc5 = vec4f(); var fd5 = vec4f();
  var fa6 = vec4f(); var fb6 = vec4f(); var fc6 = vec4f(); var fd6 = vec4f(); var fa7 = vec4f(); var fb7 = vec4f(); var fc7 = vec4f(); var fd7 = vec4f();
  var fa8 = vec4f(); var fb8 = vec4f(); var fc8 = vec4f(); var fd8 = vec4f(); var fa9 = vec4f(); var fb9 = vec4f(); var fc9 = vec4f(); var fd9 = vec4f();
  var fa10 = vec4f(); var fb10 = vec4f(); var fc10 = vec4f(); var fd10 = vec4f(); var fa11 = vec4f(); var fb11 = vec4f(); var fc11 = vec4f(); var fd11 = vec4f();
  var fa12 = vec4f(); var fb12 = vec4f(); var fc12 = vec4f(); var fd12 = vec4f(); var fa13 = vec4f(); var fb13 = vec4f(); var fc13 = vec4f(); var fd13 = vec4f();
  var fa14 = vec4f(); var fb14 = vec4f(); var fc14 = vec4f(); var fd14 = vec4f(); var fa15 = vec4f(); var fb15 = vec4f(); var fc15 = vec4f(); var fd15 = vec4f();
  for (var s = 0u; s < params.sequences; s++) {
    var ga0 = vec4f(); var gb0 = vec4f(); var gc0 = vec4f(); var gd0 = vec4f(); var ga1 = vec4f(); var gb1 = vec4f(); var gc1 = vec4f(); var gd1 = vec4f();
    var ga2 = vec4f(); var gb2 = vec4f(); var gc2 = vec4f(); var gd2 = vec4f(); var ga3 = vec4f(); var gb3 = vec4f(); var gc3 = vec4f(); var gd3 = vec4f();
    var ga4 = vec4f(); var gb4 = vec4f(); var gc4 = vec4f(); var gd4 = vec4f(); var ga5 = vec4f(); var gb5 = vec4f(); var gc5 = vec4f(); var gd5 = vec4f();
    var ga6 = vec4f(); var gb6 = vec4f(); var gc6 = vec4f(); var gd6 = vec4f(); var ga7 = vec4f(); var gb7 = vec4f(); var gc7 = vec4f(); var gd7 = vec4f();
    var ga8 = vec4f(); var gb8 = vec4f(); var gc8 = vec4f(); var gd8 = vec4f(); var ga9 = vec4f(); var gb9 = vec4f(); var gc9 = vec4f(); var gd9 = vec4f();
    var ga10 = vec4f(); var gb10 = vec4f(); var gc10 = vec4f(); var gd10 = vec4f(); var ga11 = vec4f(); var gb11 = vec4f(); var gc11 = vec4f(); var gd11 = vec4f();
    var ga12 = vec4f(); var gb12 = vec4f(); var gc12 = vec4f(); var gd12 = vec4f(); var ga13 = vec4f(); var gb13 = vec4f(); var gc13 = vec4f(); var gd13 = vec4f();
    var ga14 = vec4f(); var gb14 = vec4f(); var gc14 = vec4f(); var gd14 = vec4f(); var ga15 = vec4f(); var gb15 = vec4f(); var gc15 = vec4f(); var gd15 = vec4f();
    let end = starts[s + 1u];
    for (var t = starts[s]; t < end; t += 4u) {
      // Tokens past the end repeat the last one and count nothing.
      let t1 = min(t + 1u, end - 1u);
      let t2 = min(t + 2u, end - 1u);
      let t3 = min(t + 3u, end - 1u);
      let counts = select(vec4f(), vec4f(1.0), t + vec4u(0u, 1u, 2u, 3u) < vec4u(end));
      let xa = mat4x4f(x4(t, k0), x4(t1, k0), x4(t2, k0), x4(t3, k0));
      let xb = mat4x4f(x4(t, k0 + 4u), x4(t1, k0 + 4u), x4(t2, k0 + 4u), x4(t3, k0 + 4u));
      let xc = mat4x4f(x4(t, k0 + 8u), x4(t1, k0 + 8u), x4(t2, k0 + 8u), x4(t3, k0 + 8u));
      let xd = mat4x4f(x4(t, k0 + 12u), x4(t1, k0 + 12u), x4(t2, k0 + 12u), x4(t3, k0 + 12u));
      let da = turn(dy4(t, n0), dy4(t1, n0), dy4(t2, n0), dy4(t3, n0));
      let db = turn(dy4(t, n0 + 4u), dy4(t1, n0 + 4u), dy4(t2, n0 + 4u), dy4(t3, n0 + 4u));
      let dc = turn(dy4(t, n0 + 8u), dy4(t1, n0 + 8u), dy4(t2, n0 + 8u), dy4(t3, n0 + 8u));
      let dd = turn(dy4(t, n0 + 12u), dy4(t1, n0 + 12u), dy4(t2, n0 + 12u), dy4(t3, n0 + 12u));
      let v0 = da[0] * counts; ga0 += xa * v0; gb0 += xb * v0; gc0 += xc * v0; gd0 += xd * v0;
      let v1 = da[1] * counts; ga1 += xa * v1; gb1 += xb * v1; gc1 += xc * v1; gd1 += xd * v1;
      let v2 = da[2] * counts; ga2 += xa * v2; gb2 += xb * v2; gc2 += xc * v2; gd2 += xd * v2;
      let v3 = da[3] * counts; ga3 += xa * v3; gb3 += xb * v3; gc3 += xc * v3; gd3 += xd * v3;
      let v4 = db[0] * counts; ga4 += xa * v4; gb4 += xb * v4; gc4 += xc * v4; gd4 += xd * v4;
      let v5 = db[1] * counts; ga5 += xa * v5; gb5 += xb * v5; gc5 += xc * v5; gd5 += xd * v5;
      let v6 = db[2] * counts; ga6 += xa * v6; gb6 += xb * v6; gc6 += xc * v6; gd6 += xd * v6;
      let v7 = db[3] * counts; ga7 += xa * v7; gb7 += xb * v7; gc7 += xc * v7; gd7 += xd * v7;
      let v8 = dc[0] * counts; ga8 += xa * v8; gb8 += xb * v8; gc8 += xc * v8; gd8 += xd * v8;
      let v9 = dc[1] * counts; ga9 += xa * v9; gb9 += xb * v9; gc9 += xc * v9; gd9 += xd * v9;
      let v10 = dc[2] * counts; ga10 += xa * v10; gb10 += xb * v10; gc10 += xc * v10; gd10 += xd * v10;
      let v11 = dc[3] * counts; ga11 += xa * v11; gb11 += xb * v11; gc11 += xc * v11; gd11 += xd * v11;
      let v12 = dd[0] * counts; ga12 += xa * v12; gb12 += xb * v12; gc12 += xc * v12; gd12 += xd * v12;
      let v13 = dd[1] * counts; ga13 += xa * v13; gb13 += xb * v13; gc13 += xc * v13; gd13 += xd * v13;
      let v14 = dd[2] * counts; ga14 += xa * v14; gb14 += xb * v14; gc14 += xc * v14; gd14 += xd * v14;
      let v15 = dd[3] * counts; ga15 += xa * v15; gb15 += xb * v15; gc15 += xc * v15; gd15 += xd * v15;
    }
    if (TIED) {
      var u = starts[s];
      loop {
        // Finding the next token of this tile apart from the adding keeps the tile out of the search loop.
        while (u < end && tokens[u] - params.row0 - n0 >= 16u) { u++; } // below the tile it wraps to a large number
        if (u >= end) { break; }
        let row = tokens[u] - params.row0 - n0;
        let xa = dx4(u, k0);
        let xb = dx4(u, k0 + 4u);
        let xc = dx4(u, k0 + 8u);
        let xd = dx4(u, k0 + 12u);
        let v0 = select(0.0, 1.0, row == 0u); ga0 += xa * v0; gb0 += xb * v0; gc0 += xc * v0; gd0 += xd * v0;
        let v1 = select(0.0, 1.0, row == 1u); ga1 += xa * v1; gb1 += xb * v1; gc1 += xc * v1; gd1 += xd * v1;
        let v2 = select(0.0, 1.0, row == 2u); ga2 += xa * v2; gb2 += xb * v2; gc2 += xc * v2; gd2 += xd * v2;
        let v3 = select(0.0, 1.0, row == 3u); ga3 += xa * v3; gb3 += xb * v3; gc3 += xc * v3; gd3 += xd * v3;
        let v4 = select(0.0, 1.0, row == 4u); ga4 += xa * v4; gb4 += xb * v4; gc4 += xc * v4; gd4 += xd * v4;
        let v5 = select(0.0, 1.0, row == 5u); ga5 += xa * v5; gb5 += xb * v5; gc5 += xc * v5; gd5 += xd * v5;
        let v6 = select(0.0, 1.0, row == 6u); ga6 += xa * v6; gb6 += xb * v6; gc6 += xc * v6; gd6 += xd * v6;
        let v7 = select(0.0, 1.0, row == 7u); ga7 += xa * v7; gb7 += xb * v7; gc7 += xc * v7; gd7 += xd * v7;
        let v8 = select(0.0, 1.0, row == 8u); ga8 += xa * v8; gb8 += xb * v8; gc8 += xc * v8; gd8 += xd * v8;
        let v9 = select(0.0, 1.0, row == 9u); ga9 += xa * v9; gb9 += xb * v9; gc9 += xc * v9; gd9 += xd * v9;
        let v10 = select(0.0, 1.0, row == 10u); ga10 += xa * v10; gb10 += xb * v10; gc10 += xc * v10; gd10 += xd * v10;
        let v11 = select(0.0, 1.0, row == 11u); ga11 += xa * v11; gb11 += xb * v11; gc11 += xc * v11; gd11 += xd * v11;
        let v12 = select(0.0, 1.0, row == 12u); ga12 += xa * v12; gb12 += xb * v12; gc12 += xc * v12; gd12 += xd * v12;
        let v13 = select(0.0, 1.0, row == 13u); ga13 += xa * v13; gb13 += xb * v13; gc13 += xc * v13; gd13 += xd * v13;
        let v14 = select(0.0, 1.0, row == 14u); ga14 += xa * v14; gb14 += xb * v14; gc14 += xc * v14; gd14 += xd * v14;
        let v15 = select(0.0, 1.0, row == 15u); ga15 += xa * v15; gb15 += xb * v15; gc15 += xc * v15; gd15 += xd * v15;
        u++;
      }
    }
    fa0 += squared(ga0); fb0 += squared(gb0); fc0 += squared(gc0); fd0 += squared(gd0);
    fa1 += squared(ga1); fb1 += squared(gb1); fc1 += squared(gc1); fd1 += squared(gd1);
    fa2 += squared(ga2); fb2 += squared(gb2); fc2 += squared(gc2); fd2 += squared(gd2);
    fa3 += squared(ga3); fb3 += squared(gb3); fc3 += squared(gc3); fd3 += squared(gd3);
    fa4 += squared(ga4); fb4 += squared(gb4); fc4 += squared(gc4); fd4 += squared(gd4);
    fa5 += squared(ga5); fb5 += squared(gb5); fc5 += squared(gc5); fd5 += squared(gd5);
    fa6 += squared(ga6); fb6 += squared(gb6); fc6 += squared(gc6); fd6 += squared(gd6);
    fa7 += squared(ga7); fb7 += squared(gb7); fc7 += squared(gc7); fd7 += squared(gd7);
    fa8 += squared(ga8); fb8 += squared(gb8); fc8 += squared(gc8); fd8 += squared(gd8);
    fa9 += squared(ga9); fb9 += squared(gb9); fc9 += squared(gc9); fd9 += squared(gd9);
    fa10 += squared(ga10); fb10 += squared(gb10); fc10 += squared(gc10); fd10 += squared(gd10);
    fa11 += squared(ga11); fb11 += squared(gb11); fc11 += squared(gc11); fd11 += squared(gd11);
    fa12 += squared(ga12); fb12 += squared(gb12); fc12 += squared(gc12); fd12 += squared(gd12);
    fa13 += squared(ga13); fb13 += squared(gb13); fc13 += squared(gc13); fd13 += squared(gd13);
    fa14 += squared(ga14); fb14 += squared(gb14); fc14 += squared(gc14); fd14 += squared(gd14);
    fa15 += squared(ga15); fb15 += squared(gb15); fc15 += squared(gc15); fd15 += squared(gd15);
  }
  var tile = array<vec4f, 64>(
    fa0, fb0, fc0, fd0, fa1, fb1, fc1, fd1,
    fa2, fb2, fc2, fd2, fa3, fb3, fc3, fd3,
    fa4, fb4, fc4, fd4, fa5, fb5, fc5, fd5,
    fa6, fb6, fc6, fd6, fa7, fb7, fc7, fd7,
    fa8, fb8, fc8, fd8, fa9, fb9, fc9, fd9,
    fa10, fb10, fc10, fd10, fa11, fb11, fc11, fd11,
    fa12, fb12, fc12, fd12, fa13, fb13, fc13, fd13,
    fa14, fb14, fc14, fd14, fa15, fb15, fc15, fd15,
  );
  let scale = params.scale;
  let accumulate = params.accumulate == 1u;
  let rows = min(16u, params.N - n0);
  let columns = min(16u, params.K - k0);
  for (var i = 0u; i < rows; i++) {
    let at = (n0 + i) * params.K + k0;
    // The common case without a test for each element.
    if (columns == 16u && !accumulate) {
      let p = scale * tile[4u * i]; out[at] = p.x; out[at + 1u] = p.y; out[at + 2u] = p.z; out[at + 3u] = p.w;
      let q = scale * tile[4u * i + 1u]; out[at + 4u] = q.x; out[at + 5u] = q.y; out[at + 6u] = q.z; out[at + 7u] = q.w;
      let r = scale * tile[4u * i + 2u]; out[at + 8u] = r.x; out[at + 9u] = r.y; out[at + 10u] = r.z; out[at + 11u] = r.w;
      let s = scale * tile[4u * i + 3u]; out[at + 12u] = s.x; out[at + 13u] = s.y; out[at + 14u] = s.z; out[at + 15u] = s.w;
      continue;
    }
    for (var j = 0u; j < columns; j++) {
      var value = scale * tile[i * 4u + (j >> 2u)][j & 3u];
      if (accumulate) { value += out[at + j]; }
      out[at + j] = value;
    }
  }
}
