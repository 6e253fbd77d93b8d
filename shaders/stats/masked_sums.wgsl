// masked_sums: per workgroup g over its 2048 elements, partials[g] = (kept, sum m delta^2, sum m theta0 delta, 0)
//   0 in   mask      [ceil(n / 32)]  u32, one bit per element, least significant first; not read when HAS_MASK is 0 (m = 1)
//   1 in   base      [n]  as stored, BASE_DTYPE
//   2 in   tuned     [n]  as stored, TUNED_DTYPE
//   3 out  partials  [groups] 4 x f32   =    finished in float64 on the CPU
//   4 uniform        n, group0: u32
// The two sums give |theta0 + a m delta|^2 = |theta0|^2 + 2 a dot + a^2 kept2 for every a (METHODS A27).
override HAS_MASK: u32 = 1u;

struct Params { n: u32, group0: u32 }
@group(0) @binding(0) var<storage, read> mask: array<u32>;
@group(0) @binding(1) var<storage, read> base: array<u32>;
@group(0) @binding(2) var<storage, read> tuned: array<u32>;
@group(0) @binding(3) var<storage, read_write> partials: array<vec4f>;
@group(0) @binding(4) var<uniform> params: Params;

var<workgroup> sums: array<vec4f, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {
  let group = params.group0 + id.x + id.y * count.x;
  var sum = vec4f(0.0);
  for (var i = 0u; i < 16u; i++) {
    let p = group * 1024u + i * 64u + lane;
    let e = 2u * p;
    if (e >= params.n) { break; }
    var bits = 3u;
    if (HAS_MASK == 1u) { bits = mask[e >> 5u] >> (e & 31u); }
    let keep = vec2<bool>((bits & 1u) == 1u, (bits & 2u) == 2u && e + 1u < params.n);
    let theta0 = base_pair(p);
    let all = tuned_pair(p) - theta0;
    let delta = select(vec2f(0.0), all, keep);
    let kept0 = select(vec2f(0.0), theta0, keep);
    let ones = select(vec2f(0.0), vec2f(1.0), keep);
    sum += vec4f(ones.x + ones.y, dot(delta, delta), dot(kept0, delta), 0.0);
  }
  sums[lane] = sum;
  workgroupBarrier();
  for (var width = 32u; width > 0u; width >>= 1u) {
    if (lane < width) { sums[lane] += sums[lane + width]; }
    workgroupBarrier();
  }
  if (lane == 0u && group * 2048u < params.n) { partials[group] = sums[0]; }
}
