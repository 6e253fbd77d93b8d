// embed_rows: x[m] = table[token of row m - row0] for the rows whose token is in this panel of the table
//   0 in   rows   [M, 4]      u32   sequence's place in the cache, position, token, unused
//   1 in   table  [count, C]  as stored; WEIGHT_DTYPE 0 = F32, 1 = BF16, 2 = F16
//   2 out  x      [M, C]      f32   =   other rows are left alone
//   3 uniform     M, C, row0, count, group0: u32
// Prepend lib/values. A workgroup of 64 writes 512 values.
struct Params { M: u32, C: u32, row0: u32, count: u32, group0: u32 }

override WEIGHT_DTYPE: u32 = 0u;

@group(0) @binding(0) var<storage, read> rows: array<vec4u>;
@group(0) @binding(1) var<storage, read> table: array<u32>;
@group(0) @binding(2) var<storage, read_write> x: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first = (params.group0 + wid.x + wid.y * groups.x) * 512u + lane;
  for (var i = first; i < min(first + 512u, params.M * params.C); i += 64u) {
    let token = rows[i / params.C].z;
    if (token < params.row0 || token >= params.row0 + params.count) { continue; }
    let e = (token - params.row0) * params.C + i % params.C;
    if (WEIGHT_DTYPE == 0u) { x[i] = bitcast<f32>(table[e]); } else { x[i] = unpack_pair(table[e >> 1u], WEIGHT_DTYPE)[e & 1u]; }
  }
}
