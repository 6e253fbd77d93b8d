// cross_entropy_update: adds the logits of vocabulary rows [row0, row0 + N) to a running log-sum-exp per row
//   m' = max(m, max_v logits[r,v]),   s' = s * exp(m - m') + sum_v exp(logits[r,v] - m'),   l = logits[r, target]
//   0 in   logits   [R, N]  f32
//   1 in   targets  [R]     u32    vocabulary ids
//   2 out  state    [R, 3]  f32    m, s, l; = when first is 1, else read and replaced
//   3 uniform       R, N, row0, first, group0: u32
// One workgroup per row. No infinity starts the maximum, because WGSL may assume there is none: the first panel does.
// Source: Milakov & Gimelshein 2018, arXiv:1805.02867, algorithm 3.
struct Params { R: u32, N: u32, row0: u32, first: u32, group0: u32 }

override GROUP: u32 = 64u;
const LOWEST = -3.4028234e38;

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> targets: array<u32>;
@group(0) @binding(2) var<storage, read_write> state: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

var<workgroup> shared_values: array<f32, GROUP>;

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = params.group0 + wid.x + wid.y * count.x;
  if (row >= params.R) { return; }
  let at = row * params.N;

  var m = LOWEST;
  for (var v = lane; v < params.N; v += GROUP) { m = max(m, logits[at + v]); }
  shared_values[lane] = m;
  for (var half = GROUP / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) { shared_values[lane] = max(shared_values[lane], shared_values[lane + half]); }
  }
  workgroupBarrier();
  m = shared_values[0];
  workgroupBarrier();
  var before = LOWEST;
  if (params.first == 0u) { before = state[row * 3u]; }
  m = max(m, before);

  var s = 0.0;
  for (var v = lane; v < params.N; v += GROUP) { s += exp(logits[at + v] - m); }
  shared_values[lane] = s;
  for (var half = GROUP / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) { shared_values[lane] += shared_values[lane + half]; }
  }
  workgroupBarrier();

  if (lane == 0u) {
    s = shared_values[0];
    var l = 0.0;
    if (params.first == 0u) {
      s += state[row * 3u + 1u] * exp(before - m);
      l = state[row * 3u + 2u];
    }
    let target_row = targets[row] - params.row0; // wraps to a large number below the panel
    if (target_row < params.N) { l = logits[at + target_row]; }
    state[row * 3u] = m;
    state[row * 3u + 1u] = s;
    state[row * 3u + 2u] = l;
  }
}
