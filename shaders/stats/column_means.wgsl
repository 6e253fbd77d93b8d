// column_means: sums[c] (+)= sum over sequences s of the mean of |x[r,c]| over the rows r of s
//   0 in   partials  [S, chunks, K]  f32   from column_chunks
//   1 in   starts    [S + 1]  u32   in tokens
//   2 out  sums      [K]  f32   = or +=
//   3 uniform        K, S, chunks, rows_per_token, accumulate, group0: u32
// One invocation per column. Sequences are added one after another, so that it does not matter how they are batched.
// Source: METHODS 5 (AIM): the sum over calibration texts of token means.
override CHUNK: u32 = 64u;

struct Params { K: u32, S: u32, chunks: u32, rows_per_token: u32, accumulate: u32, group0: u32 }
@group(0) @binding(0) var<storage, read> partials: array<f32>;
@group(0) @binding(1) var<storage, read> starts: array<u32>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {
  let c = 64u * (params.group0 + id.x + id.y * count.x) + lane;
  if (c >= params.K) { return; }
  var total = 0.0;
  if (params.accumulate == 1u) { total = sums[c]; }
  for (var s = 0u; s < params.S; s++) {
    let rows = (starts[s + 1u] - starts[s]) * params.rows_per_token;
    var sum = 0.0;
    for (var j = 0u; j * CHUNK < rows; j++) { sum += partials[(s * params.chunks + j) * params.K + c]; }
    if (rows > 0u) { total += sum / f32(rows); }
  }
  sums[c] = total;
}
