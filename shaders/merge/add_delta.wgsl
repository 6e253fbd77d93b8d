// add_delta: out = (theta0 + a * m * (theta - theta0)) * scale, one expert, stored dtypes in and out
//   0 in   base   [n]  as stored, BASE_DTYPE
//   1 in   tuned  [n]  as stored, TUNED_DTYPE
//   2 in   mask   [ceil(n / 32)]  u32, least significant bit first; not read when HAS_MASK is 0 (m = 1)
//   3 out  out    [n]  as stored, OUT_DTYPE   =   an odd last half-word is 0
//   4 uniform     n: u32, a: f32, scale: f32, zero: u32 (always 0), group0: u32
// Rounding, each to f32: d = theta - theta0; p = a d; v = theta0 + p (m = 0: theta0 + 0; a = 1: theta itself); v scale; then once to
// OUT_DTYPE, nearest even. Where p, m or a is 0, scale is 1 and OUT_DTYPE is BASE_DTYPE, the base's bits are copied.
// Source: task arithmetic, Ilharco et al. 2022, arXiv:2212.04089; masks, arXiv 2603.21705 Algorithm 1.
struct Params { n: u32, a: f32, scale: f32, zero: u32, group0: u32 }
@group(0) @binding(0) var<storage, read> base: array<vec2u>;
@group(0) @binding(1) var<storage, read> tuned: array<vec2u>;
@group(0) @binding(2) var<storage, read> mask: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<vec2u>;
@group(0) @binding(4) var<uniform> params: Params;

fn quad(q: u32) {
  let bits = base4(q);
  let theta0 = stored_values(bits, BASE_DTYPE);
  let theta = tuned4(q);
  let keep = kept4(q);
  let change = select(vec4f(), settle(params.a * settle(theta - theta0)), keep & vec4<bool>(params.a != 0.0));
  store4(q, blend4(bits, change, select(settle(theta0 + change), theta, keep & vec4<bool>(params.a == 1.0))));
}
