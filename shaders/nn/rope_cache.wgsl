// rope_cache: rotates the heads of q in place, and puts rotated k and v where they stay:
//   keys[place, position] = rotate(k), values[place, position] = v       place and position of each row
//   0 in   cosine  [>= position+1, D/2]       f32
//   1 in   sine    [>= position+1, D/2]       f32
//   2 in   rows    [M, 4]                     u32   place in the cache, position, token, unused
//   3 in   k       [M, KV, D]                 f32
//   4 in   v       [M, KV, D]                 f32
//   5 out  q       [M, H, D]                  f32   = (in place)
//   6 out  keys    [places, capacity, KV, D]  f32   =   the entries of these rows
//   7 out  values  [places, capacity, KV, D]  f32   =   the entries of these rows
//   8 uniform      M, H, KV, D, capacity, group0: u32
// One invocation per pair of channels i, i + D/2 of q, k and v. The rotation is rope's.
struct Params { M: u32, H: u32, KV: u32, D: u32, capacity: u32, group0: u32 }

@group(0) @binding(0) var<storage, read> cosine: array<f32>;
@group(0) @binding(1) var<storage, read> sine: array<f32>;
@group(0) @binding(2) var<storage, read> rows: array<vec4u>;
@group(0) @binding(3) var<storage, read> k: array<f32>;
@group(0) @binding(4) var<storage, read> v: array<f32>;
@group(0) @binding(5) var<storage, read_write> q: array<f32>;
@group(0) @binding(6) var<storage, read_write> keys: array<f32>;
@group(0) @binding(7) var<storage, read_write> values: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;

fn rotated(a: f32, b: f32, angle: u32) -> vec2f { return vec2f(a * cosine[angle] - b * sine[angle], b * cosine[angle] + a * sine[angle]); }

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {
  let half = params.D / 2u;
  let heads = params.H + 2u * params.KV;
  let i = (params.group0 + wid.x + wid.y * count.x) * 64u + lane;
  if (i >= params.M * heads * half) { return; }
  let d = i % half;
  let head = i / half % heads;
  let m = i / half / heads;
  let row = rows[m];
  let angle = row.y * half + d;
  if (head < params.H) {
    let low = (m * params.H + head) * params.D + d;
    let pair = rotated(q[low], q[low + half], angle);
    q[low] = pair.x;
    q[low + half] = pair.y;
    return;
  }
  let kv = (head - params.H) % params.KV;
  let low = (m * params.KV + kv) * params.D + d;
  let to = ((row.x * params.capacity + row.y) * params.KV + kv) * params.D + d;
  if (head < params.H + params.KV) {
    let pair = rotated(k[low], k[low + half], angle);
    keys[to] = pair.x;
    keys[to + half] = pair.y;
  } else {
    values[to] = v[low];
    values[to + half] = v[low + half];
  }
}
