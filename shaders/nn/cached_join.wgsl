// cached_join: y[m] = sum over the parts of cached_mix in which row m sees a key
//   0 in   mixed  [M, parts, H * D]  f32
//   1 in   rows   [M, 4]             u32   place in the cache, position, token, unused
//   2 out  y      [M, H * D]         f32   =
//   3 uniform     M, HD, window, parts, group0: u32
// A workgroup of 64 writes 512 values. Parts ascending.
struct Params { M: u32, HD: u32, window: u32, parts: u32, group0: u32 }

@group(0) @binding(0) var<storage, read> mixed: array<f32>;
@group(0) @binding(1) var<storage, read> rows: array<vec4u>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let begin = (params.group0 + wid.x + wid.y * groups.x) * 512u + lane;
  for (var i = begin; i < min(begin + 512u, params.M * params.HD); i += 64u) {
    let m = i / params.HD;
    let position = rows[m].y;
    var first = 0u;
    if (params.window > 0u) { first = max(position + 1u, params.window) - params.window; }
    // A part is 256 keys.
    var sum = 0.0;
    for (var part = first >> 8u; part <= position >> 8u; part++) { sum += mixed[(m * params.parts + part) * params.HD + i % params.HD]; }
    y[i] = sum;
  }
}
