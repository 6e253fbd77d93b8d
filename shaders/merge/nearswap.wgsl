// nearswap: out = theta0 + s d,  d = theta - theta0,  s = min(1, t / max(|d|, near)); theta itself where s is 1
//   0 in   base   [n]  as stored, BASE_DTYPE
//   1 in   tuned  [n]  as stored, TUNED_DTYPE
//   2 out  out    [n]  as stored, OUT_DTYPE   =   an odd last half-word is 0
//   3 uniform     n: u32, t: f32, near: f32, scale: f32 (always 1), zero: u32 (always 0), group0: u32
// d, s, s d and the sum are rounded to f32. Source: mergekit nearswap (METHODS 9).

struct Params { n: u32, t: f32, near: f32, scale: f32, zero: u32, group0: u32 }
@group(0) @binding(0) var<storage, read> base: array<vec2u>;
@group(0) @binding(1) var<storage, read> tuned: array<vec2u>;
@group(0) @binding(2) var<storage, read_write> out: array<vec2u>;
@group(0) @binding(3) var<uniform> params: Params;

fn quad(q: u32) {
  let bits = base4(q);
  let theta0 = stored_values(bits, BASE_DTYPE);
  let theta = tuned4(q);
  let d = settle(theta - theta0);
  let share = settle(divide(vec4f(params.t), max(abs(d), vec4f(params.near))));
  let all = share >= vec4f(1.0);
  let change = select(settle(share * d), d, all);
  store4(q, blend4(bits, change, select(settle(theta0 + change), theta, all)));
}
