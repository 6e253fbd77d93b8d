// column_chunks: partials[s,j,c] = sum of |x[r,c]| over rows r of sequence s, CHUNK of them from the j-th chunk's first on
//   0 in   x         [R, K]  f32
//   1 in   starts    [S + 1]  u32   sequence s owns rows [starts[s], starts[s+1]) * rows_per_token
//   2 out  partials  [S, chunks, K]  f32   =    a chunk that begins beyond its sequence is left as it was
//   3 uniform        K, S, chunks, rows_per_token, group0: u32
// One invocation per partial, columns side by side. Finished by column_means.
override CHUNK: u32 = 64u;

struct Params { K: u32, S: u32, chunks: u32, rows_per_token: u32, group0: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> starts: array<u32>;
@group(0) @binding(2) var<storage, read_write> partials: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {
  let at = 64u * (params.group0 + id.x + id.y * count.x) + lane;
  let chunk = at / params.K;
  let c = at % params.K;
  let s = chunk / params.chunks;
  if (s >= params.S) { return; }
  let end = starts[s + 1u] * params.rows_per_token;
  let first = starts[s] * params.rows_per_token + (chunk % params.chunks) * CHUNK;
  if (first >= end) { return; }
  var sum = 0.0;
  for (var r = first; r < min(end, first + CHUNK); r++) { sum += abs(x[r * params.K + c]); }
  partials[at] = sum;
}
