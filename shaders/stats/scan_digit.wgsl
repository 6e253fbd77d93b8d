// scan_digit: finds the bin that holds the wanted rank, appends it to the prefix, lowers the rank, zeroes the counts
//   0 out  cut     [8]     u32   =    prefix (the threshold's bits after digit 2), rank left, keys equal to it, how many of those are kept
//   1 out  counts  [2048]  u32   =    0
//   2 uniform      exact: u32         1: of the equal keys keep (count - rank left), so that n - rank keys are kept; 0: keep them all
// One workgroup; each thread owns 8 bins.
override DIGIT: u32 = 0u;

struct Params { exact: u32 }
@group(0) @binding(0) var<storage, read_write> cut: array<u32>;
@group(0) @binding(1) var<storage, read_write> counts: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

var<workgroup> totals: array<u32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) lane: u32) {
  let rank = cut[1];
  let prefix = cut[0];
  var total = 0u;
  for (var i = 0u; i < 8u; i++) { total += counts[lane * 8u + i]; }
  totals[lane] = total;
  workgroupBarrier();
  var before = 0u;
  for (var i = 0u; i < lane; i++) { before += totals[i]; }
  // Everyone has read the old rank; the one thread whose bins hold it may now replace it.
  workgroupBarrier();
  if (rank >= before && rank < before + total) {
    var left = rank - before;
    var bin = lane * 8u;
    while (left >= counts[bin]) { left -= counts[bin]; bin++; }
    let shift = select(select(0u, 10u, DIGIT == 1u), 20u, DIGIT == 0u);
    cut[0] = prefix | (bin << shift);
    cut[1] = left;
    cut[2] = counts[bin];
    cut[3] = select(0xffffffffu, counts[bin] - left, params.exact == 1u);
  }
  for (var i = 0u; i < 8u; i++) { counts[lane * 8u + i] = 0u; }
}
