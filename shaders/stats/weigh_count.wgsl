// weigh_count: weigh, with the first digit of the selection counted while the key is in a register
//   0 in   fisher    [n]  f32   not read when HAS_FISHER is 0
//   1 in   base      [n]  as stored, BASE_DTYPE
//   2 in   tuned     [n]  as stored, TUNED_DTYPE
//   3 out  keys      [n]  f32   =
//   4 out  partials  [ceil(n / 2048)] 4 x f32   =    the sums of weigh, bit for bit
//   5 out  digits    [2048]  u32   +=    keys by their bits 30..20, what histogram counts as DIGIT 0
//   6 uniform        n, group0: u32
// For hardware, where a pass over the keys is a read of memory. Four parts of 64 invocations do what a workgroup of weigh
// does, so that 8192 keys share one trip to the global counts.
struct Params { n: u32, group0: u32 }
@group(0) @binding(0) var<storage, read> fisher: array<f32>;
@group(0) @binding(1) var<storage, read> base: array<u32>;
@group(0) @binding(2) var<storage, read> tuned: array<u32>;
@group(0) @binding(3) var<storage, read_write> keys: array<f32>;
@group(0) @binding(4) var<storage, read_write> partials: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> digits: array<atomic<u32>>;
@group(0) @binding(6) var<uniform> params: Params;

var<workgroup> sums: array<vec4f, 256>;
var<workgroup> bins: array<atomic<u32>, 2048>;

fn count_key(key: f32) {
  atomicAdd(&bins[(bitcast<u32>(key) & 0x7fffffffu) >> 20u], 1u);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) index: u32) {
  let part = 4u * (params.group0 + id.x + id.y * count.x) + index / 64u;
  let lane = index % 64u;
  var sum = vec4f(0.0);
  for (var i = 0u; i < 16u; i++) {
    let p = part * 1024u + i * 64u + lane;
    if (2u * p >= params.n) { break; }
    let pair = weigh_pair(p);
    sum += pair.terms;
    count_key(pair.keys.x);
    if (2u * p + 1u < params.n) { count_key(pair.keys.y); }
  }
  sums[index] = sum;
  workgroupBarrier();
  for (var width = 32u; width > 0u; width >>= 1u) {
    if (lane < width) { sums[index] += sums[index + width]; }
    workgroupBarrier();
  }
  if (lane == 0u && part * 2048u < params.n) { partials[part] = sums[index]; }
  for (var bin = index; bin < 2048u; bin += 256u) {
    let seen = atomicLoad(&bins[bin]);
    if (seen > 0u) { atomicAdd(&digits[bin], seen); }
  }
}
