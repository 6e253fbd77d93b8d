// add_delta: out = (theta0 + a * m * (theta - theta0)) * scale, one expert, stored dtypes in and out
//   0 in   base   [n]  as stored, BASE_DTYPE
//   1 in   tuned  [n]  as stored, TUNED_DTYPE
//   2 in   mask   [ceil(n / 32)]  u32, least significant bit first; not read when HAS_MASK is 0 (m = 1)
//   3 out  out    [n]  as stored, OUT_DTYPE   =   an odd last half-word is 0
//   4 uniform     n: u32, a: f32, scale: f32, zero: u32 (always 0), group0: u32
// Rounding, each to f32: d = theta - theta0; p = a d; v = theta0 + p (m = 0: theta0 + 0; a = 1: theta itself); v scale; then once to
// OUT_DTYPE, nearest even. Where p, m or a is 0, scale is 1 and OUT_DTYPE is BASE_DTYPE, the base's bits are copied.
// Source: task arithmetic, Ilharco et al. 2022, arXiv:2212.04089; masks, arXiv 2603.21705 Algorithm 1.
override BASE_DTYPE: u32 = 0u;
override TUNED_DTYPE: u32 = 0u;
override OUT_DTYPE: u32 = 0u;
override HAS_MASK: u32 = 1u;

struct Params { n: u32, a: f32, scale: f32, zero: u32, group0: u32 }
@group(0) @binding(0) var<storage, read> base: array<u32>;
@group(0) @binding(1) var<storage, read> tuned: array<u32>;
@group(0) @binding(2) var<storage, read> mask: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<u32>;
@group(0) @binding(4) var<uniform> params: Params;

// Passing the bits through an exclusive-or with a runtime 0 keeps the compiler from fusing or reordering roundings.
fn settle(x: f32) -> f32 { return bitcast<f32>(bitcast<u32>(x) ^ params.zero); }

fn value(bits: u32, dtype: u32) -> f32 {
  if (dtype == 0u) { return bitcast<f32>(bits); }
  return half_value(bits, dtype);
}

fn base_pair(p: u32) -> vec2u {
  if (BASE_DTYPE == 0u) { return vec2u(base[2u * p], base[2u * p + 1u]); }
  return vec2u(base[p] & 0xffffu, base[p] >> 16u);
}

fn tuned_pair(p: u32) -> vec2u {
  if (TUNED_DTYPE == 0u) { return vec2u(tuned[2u * p], tuned[2u * p + 1u]); }
  return vec2u(tuned[p] & 0xffffu, tuned[p] >> 16u);
}

fn blend(base_bits: u32, tuned_bits: u32, keep: bool) -> u32 {
  let theta0 = value(base_bits, BASE_DTYPE);
  let theta = value(tuned_bits, TUNED_DTYPE);
  let change = select(0.0, settle(params.a * settle(theta - theta0)), keep && params.a != 0.0);
  if (change == 0.0 && params.scale == 1.0 && OUT_DTYPE == BASE_DTYPE) { return base_bits; }
  let moved = select(settle(theta0 + change), theta, keep && params.a == 1.0);
  return to_dtype(bitcast<u32>(settle(moved * params.scale)), OUT_DTYPE);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {
  let group = params.group0 + id.x + id.y * count.x;
  for (var i = 0u; i < 16u; i++) {
    let p = group * 1024u + i * 64u + lane;
    let e = 2u * p;
    if (e >= params.n) { break; }
    let second = e + 1u < params.n;
    var bits = 3u;
    if (HAS_MASK == 1u) { bits = mask[e >> 5u] >> (e & 31u); }
    let origin = base_pair(p);
    let to = tuned_pair(p);
    let low = blend(origin.x, to.x, (bits & 1u) == 1u);
    let high = blend(origin.y, to.y, (bits & 2u) == 2u);
    if (OUT_DTYPE == 0u) {
      out[e] = low;
      if (second) { out[e + 1u] = high; }
    } else {
      out[p] = low | select(0u, high << 16u, second);
    }
  }
}
