// weigh: key[i] = F[i] * |delta[i]| (KEY 0) or |delta[i]| (KEY 1),   delta = theta - theta0
//   and per workgroup g the sums over its 2048 elements: partials[g] = (F, delta^2, F delta^2, theta0^2)
//   0 in   fisher    [n]  f32   not read when HAS_FISHER is 0
//   1 in   base      [n]  as stored, BASE_DTYPE
//   2 in   tuned     [n]  as stored, TUNED_DTYPE
//   3 out  keys      [n]  f32   =
//   4 out  partials  [groups] 4 x f32   =    finished in float64 on the CPU
//   5 uniform        n, group0: u32
// 64 threads of 16 pairs each: one dispatch of few, fat threads is what software adapters need.
// Source: arXiv 2603.21705 Algorithm 1, steps 2 and 4.
struct Params { n: u32, group0: u32 }
@group(0) @binding(0) var<storage, read> fisher: array<f32>;
@group(0) @binding(1) var<storage, read> base: array<u32>;
@group(0) @binding(2) var<storage, read> tuned: array<u32>;
@group(0) @binding(3) var<storage, read_write> keys: array<f32>;
@group(0) @binding(4) var<storage, read_write> partials: array<vec4f>;
@group(0) @binding(5) var<uniform> params: Params;

var<workgroup> sums: array<vec4f, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {
  let group = params.group0 + id.x + id.y * count.x;
  var sum = vec4f(0.0);
  for (var i = 0u; i < 16u; i++) {
    let p = group * 1024u + i * 64u + lane;
    if (2u * p >= params.n) { break; }
    sum += weigh_pair(p).terms;
  }
  sums[lane] = sum;
  workgroupBarrier();
  for (var width = 32u; width > 0u; width >>= 1u) {
    if (lane < width) { sums[lane] += sums[lane + width]; }
    workgroupBarrier();
  }
  if (lane == 0u && group * 2048u < params.n) { partials[group] = sums[0]; }
}
