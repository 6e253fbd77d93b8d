// embedding_fisher: out[u,c] (+)= scale * sum_s g_s[u,c]^2,   g_s[u,c] = sum of dx[t,c] over rows t of s with token u
//   0 in   dx        [T, C]           f32
//   1 in   offsets   [unique + 1]     u32    token u occurs at list entries [offsets[u], offsets[u+1])
//   2 in   rows      [T]              u32    row of each entry, ascending within a token
//   3 in   sequence  [T]              u32    sequence of each entry
//   4 out  out       [unique, C]      f32    = , or += when accumulate is 1
//   5 uniform        T, unique, C, accumulate: u32, scale: f32, group0: u32
// Only tokens that occur have a row. One invocation per element. SQUARE false sums the plain gradients.
struct Params { T: u32, unique: u32, C: u32, accumulate: u32, scale: f32, group0: u32 }

override SQUARE: bool = true;
override GROUP: u32 = 64u;

@group(0) @binding(0) var<storage, read> dx: array<f32>;
@group(0) @binding(1) var<storage, read> offsets: array<u32>;
@group(0) @binding(2) var<storage, read> rows: array<u32>;
@group(0) @binding(3) var<storage, read> sequence: array<u32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

fn squared(g: f32) -> f32 {
  if (SQUARE) { return g * g; }
  return g;
}

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_id) lid: vec3u) {
  let i = (params.group0 + wid.x + wid.y * count.x) * GROUP + lid.x;
  if (i >= params.unique * params.C) { return; }
  let u = i / params.C;
  let c = i % params.C;
  var f = 0.0;
  var g = 0.0;
  let begin = offsets[u];
  let end = offsets[u + 1u];
  for (var e = begin; e < end; e++) {
    if (e > begin && sequence[e] != sequence[e - 1u]) {
      f += squared(g);
      g = 0.0;
    }
    g += dx[rows[e] * params.C + c];
  }
  f = (f + squared(g)) * params.scale;
  if (params.accumulate == 1u) { f += out[i]; }
  out[i] = f;
}
