// sensitivity: per workgroup g over its 2048 elements, partials[g] = sum of |theta * gradient|
//   0 in   base      [n]  theta as stored, BASE_DTYPE
//   1 in   gradient  [n]  f32
//   2 out  partials  [groups]  f32   =    finished in float64 on the CPU
//   3 uniform        n, group0: u32
// One call per sample, because the absolute value comes before samples are added.
// Source: Sens-Merging, arXiv:2502.12420 (METHODS 6.1).
override BASE_DTYPE: u32 = 0u;

struct Params { n: u32, group0: u32 }
@group(0) @binding(0) var<storage, read> base: array<u32>;
@group(0) @binding(1) var<storage, read> gradient: array<vec2f>;
@group(0) @binding(2) var<storage, read_write> partials: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

var<workgroup> sums: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {
  let group = params.group0 + id.x + id.y * count.x;
  var sum = 0.0;
  for (var i = 0u; i < 16u; i++) {
    let p = group * 1024u + i * 64u + lane;
    let e = 2u * p;
    if (e >= params.n) { break; }
    var theta: vec2f;
    if (BASE_DTYPE == 0u) { theta = vec2f(bitcast<f32>(base[e]), bitcast<f32>(base[e + 1u])); } else { theta = unpack_pair(base[p], BASE_DTYPE); }
    let both = abs(theta * gradient[p]);
    sum += both.x;
    if (e + 1u < params.n) { sum += both.y; }
  }
  sums[lane] = sum;
  workgroupBarrier();
  for (var width = 32u; width > 0u; width >>= 1u) {
    if (lane < width) { sums[lane] += sums[lane + width]; }
    workgroupBarrier();
  }
  if (lane == 0u && group * 2048u < params.n) { partials[group] = sums[0]; }
}
