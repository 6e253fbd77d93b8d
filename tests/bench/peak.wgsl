// Eight chains of vec4 multiply-adds per invocation, none waiting for another: 32 multiply-adds a step.
// Written as product and sum, as in the kernels that are compared to it: fma() is a slow call on some software adapters.
//   0 out  out  [workgroups * 64]  f32, so that nothing is left out as unused
//   1 uniform   steps: u32, scale: f32, offset: f32
struct Params { steps: u32, scale: f32, offset: f32 }
@group(0) @binding(0) var<storage, read_write> out: array<f32>;
@group(0) @binding(1) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let s = vec4f(params.scale);
  let o = vec4f(params.offset);
  let x = f32(id.x);
  var a = vec4f(x); var b = vec4f(x + 1.0); var c = vec4f(x + 2.0); var d = vec4f(x + 3.0);
  var e = vec4f(x + 4.0); var f = vec4f(x + 5.0); var g = vec4f(x + 6.0); var h = vec4f(x + 7.0);
  for (var i = 0u; i < params.steps; i++) {
    a = a * s + o; b = b * s + o; c = c * s + o; d = d * s + o;
    e = e * s + o; f = f * s + o; g = g * s + o; h = h * s + o;
  }
  let sum = a + b + c + d + e + f + g + h;
  out[id.x] = sum.x + sum.y + sum.z + sum.w;
}
