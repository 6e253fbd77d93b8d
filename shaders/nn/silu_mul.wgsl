// silu_mul: y = g * sigmoid(g) * u
//   0 in   g  [count]  f32
//   1 in   u  [count]  f32
//   2 out  y  [count]  f32   =
//   3 uniform count: u32
// 512 elements per workgroup. sigmoid goes through exp(-|g|), which cannot overflow.
// Source: Shazeer 2020, arXiv:2002.05202 (SwiGLU without the matrices).

struct Params { count: u32 }

@group(0) @binding(0) var<storage, read> g: array<f32>;
@group(0) @binding(1) var<storage, read> u: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

fn sigmoid(v: f32) -> f32 {
  let e = exp(-abs(v));
  return select(e, 1.0, v >= 0.0) / (1.0 + e);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first = (wid.x + wid.y * groups.x) * 512u + lane;
  for (var i = first; i < min(first + 512u, params.count); i += 64u) { y[i] = g[i] * sigmoid(g[i]) * u[i]; }
}
