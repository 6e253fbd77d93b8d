// mask: bit i is 1 when key[i] > threshold, or equals it and is among the first `cut[3]` equal keys in index order
//   0 in   keys    [n]             f32 bits
//   1 in   cut     [8]             u32: threshold bits, rank left, equal keys, equal keys kept (0xffffffff: all)
//   2 in   before  [groups]        u32: equal keys before each workgroup; not read when EXACT is 0
//   3 out  words   [ceil(n / 32)]  u32   =    least significant bit first; bits past n are 0
//   4 uniform      n, dropZero, group0: u32   dropZero 1: a key of 0 is never kept
// One word a thread, 64 words a workgroup. A key that is not a number ranks above all others and is not kept.
override EXACT: u32 = 0u;

struct Params { n: u32, dropZero: u32, group0: u32 }
@group(0) @binding(0) var<storage, read> keys: array<u32>;
@group(0) @binding(1) var<storage, read> cut: array<u32>;
@group(0) @binding(2) var<storage, read> before: array<u32>;
@group(0) @binding(3) var<storage, read_write> words: array<u32>;
@group(0) @binding(4) var<uniform> params: Params;

var<workgroup> equals: array<u32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {
  let group = params.group0 + id.x + id.y * count.x;
  let word = group * 64u + lane;
  let start = word * 32u;
  let length = select(0u, min(32u, params.n - start), start < params.n);
  let threshold = cut[0];
  var above = 0u;
  var equal = 0u;
  for (var i = 0u; i < length; i++) {
    let key = keys[start + i] & 0x7fffffffu;
    let number = key <= 0x7f800000u;
    above |= select(0u, 1u << i, key > threshold && number);
    equal |= select(0u, 1u << i, key == threshold && number);
  }
  if (EXACT == 1u) {
    equals[lane] = countOneBits(equal);
    workgroupBarrier();
    var seen = before[min(group, (params.n - 1u) / 2048u)];
    for (var i = 0u; i < lane; i++) { seen += equals[i]; }
    var rest = equal;
    for (; rest != 0u; rest &= rest - 1u) {
      if (seen >= cut[3]) { equal &= ~(rest & (~rest + 1u)); }
      seen++;
    }
  }
  if (params.dropZero == 1u && threshold == 0u) { equal = 0u; }
  if (length > 0u) { words[word] = above | equal; }
}
