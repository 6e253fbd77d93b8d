// attention_mix_backward: dv[j,g,d] = sum over the heads h of group g and the rows i that see j of p[h,i,j] * dy[i,h,d]
//   0 in   p      [heads, rows, stride]  f32   written by attention_scores
//   1 in   dy     [rows, H, D]    f32
//   2 in   spans  [rows, 2]       u32
//   3 out  dv     [rows, KV, D]   f32   =   (+= for a group whose first heads were in an earlier call)
//   4 uniform     rows, H, KV, D, head0, heads, stride, window, group0: u32
// With the gradient of the scores for p and q for dy, dv is dk. One thread per output, or per four with PACKED (D % 4 == 0);
// heads, then rows, in ascending order: no atomics, so the sum is the same on every run.

override PACKED: bool = false;

struct Params { rows: u32, H: u32, KV: u32, D: u32, head0: u32, heads: u32, stride: u32, window: u32, group0: u32 }

@group(0) @binding(0) var<storage, read> p: array<f32>;
@group(0) @binding(1) var<storage, read> dy: array<vec4f>;
@group(0) @binding(2) var<storage, read> spans: array<u32>;
@group(0) @binding(3) var<storage, read_write> dv: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

fn dy1(i: u32) -> f32 { return dy[i >> 2u][i & 3u]; }

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {
  let index = (params.group0 + wid.x + wid.y * count.x) * 64u + lane;
  let width = select(1u, 4u, PACKED);
  let per_group_row = params.D / width;
  if (index >= params.rows * params.KV * per_group_row) { return; }
  let d = index % per_group_row * width;
  let g = index / per_group_row % params.KV;
  let j = index / (per_group_row * params.KV);
  let per_group = params.H / params.KV;
  let from_head = max(g * per_group, params.head0);
  let to_head = min((g + 1u) * per_group, params.head0 + params.heads);
  if (from_head >= to_head) { return; }
  let start = spans[2u * j];
  var end = spans[2u * j + 1u];
  if (params.window > 0u) { end = min(end, j + params.window); }
  let out = index * width;
  let again = from_head > g * per_group;
  if (PACKED) {
    var sum = vec4f();
    if (again) { sum = vec4f(dv[out], dv[out + 1u], dv[out + 2u], dv[out + 3u]); }
    for (var h = from_head; h < to_head; h++) {
      let p0 = (h - params.head0) * params.rows;
      for (var i = j; i < end; i++) { sum += p[(p0 + i) * params.stride + j - start] * dy[((i * params.H + h) * params.D + d) >> 2u]; }
    }
    dv[out] = sum.x; dv[out + 1u] = sum.y; dv[out + 2u] = sum.z; dv[out + 3u] = sum.w;
    return;
  }
  var sum = 0.0;
  if (again) { sum = dv[out]; }
  for (var h = from_head; h < to_head; h++) {
    let p0 = (h - params.head0) * params.rows;
    for (var i = j; i < end; i++) { sum += p[(p0 + i) * params.stride + j - start] * dy1((i * params.H + h) * params.D + d); }
  }
  dv[out] = sum;
}
