// scan_equal: counts[g] becomes the number of equal keys before workgroup g, over this panel and the panels before it
//   0 out  cut     [8]       u32   cut[4] += all of this panel
//   1 out  counts  [groups]  u32   =
//   2 uniform      groups: u32
// One workgroup; each thread owns a run of ceil(groups / 256) counts.
struct Params { groups: u32 }
@group(0) @binding(0) var<storage, read_write> cut: array<u32>;
@group(0) @binding(1) var<storage, read_write> counts: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

var<workgroup> totals: array<u32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) lane: u32) {
  let run = (params.groups + 255u) / 256u;
  let first = min(lane * run, params.groups);
  let last = min(first + run, params.groups);
  let start = cut[4];
  var total = 0u;
  for (var g = first; g < last; g++) { total += counts[g]; }
  totals[lane] = total;
  workgroupBarrier();
  var before = start;
  for (var i = 0u; i < lane; i++) { before += totals[i]; }
  workgroupBarrier();
  for (var g = first; g < last; g++) {
    let here = counts[g];
    counts[g] = before;
    before += here;
  }
  if (lane == 255u) { cut[4] = before; }
}
