// silu_mul_backward: dg = dy * u * s * (1 + g * (1 - s)),   du = dy * g * s,   s = sigmoid(g)
//   0 in   g   [count]  f32
//   1 in   u   [count]  f32
//   2 in   dy  [count]  f32
//   3 out  dg  [count]  f32   =
//   4 out  du  [count]  f32   =
//   5 uniform  count: u32
// 512 elements per workgroup. 1 - s is computed as sigmoid(-g), which keeps its digits for large g.

struct Params { count: u32 }

@group(0) @binding(0) var<storage, read> g: array<f32>;
@group(0) @binding(1) var<storage, read> u: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dg: array<f32>;
@group(0) @binding(4) var<storage, read_write> du: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first = (wid.x + wid.y * groups.x) * 512u + lane;
  for (var i = first; i < min(first + 512u, params.count); i += 64u) {
    let v = g[i];
    let e = exp(-abs(v));
    let s = select(e, 1.0, v >= 0.0) / (1.0 + e);
    let rest = select(1.0, e, v >= 0.0) / (1.0 + e);
    dg[i] = dy[i] * u[i] * s * (1.0 + v * rest);
    du[i] = dy[i] * v * s;
  }
}
