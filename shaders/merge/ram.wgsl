// ram: out = theta0 + t,  t = sum / count where several models touch the entry, else alone
//   0 in   base   [n]  as stored, BASE_DTYPE
//   1 in   sum    [n]  f32
//   2 in   alone  [n]  f32
//   3 in   count  [n]  f32
//   4 out  out    [n]  as stored, OUT_DTYPE   =   an odd last half-word is 0
//   5 uniform     n: u32, scale: f32 (always 1), zero: u32 (always 0), group0: u32
// Source: RAM and RAM+ (METHODS 9).
struct Params { n: u32, scale: f32, zero: u32, group0: u32 }
@group(0) @binding(0) var<storage, read> base: array<vec2u>;
@group(0) @binding(1) var<storage, read> sum: array<vec4f>;
@group(0) @binding(2) var<storage, read> alone: array<vec4f>;
@group(0) @binding(3) var<storage, read> count: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> out: array<vec2u>;
@group(0) @binding(5) var<uniform> params: Params;

fn quad(q: u32) {
  let bits = base4(q);
  let several = count[q] > vec4f(1.0);
  let change = select(alone[q], settle(divide(sum[q], max(count[q], vec4f(1.0)))), several);
  store4(q, blend4(bits, change, settle(stored_values(bits, BASE_DTYPE) + change)));
}
