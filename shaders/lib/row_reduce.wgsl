// Sum and maximum over the 64 lanes of a workgroup, the same value in every lane; call from uniform control flow.
// Two levels of eight: two barriers rather than seven (each is dear on software adapters), and an order that never changes.

const LANES = 64u;
var<workgroup> lane_values: array<f32, LANES>;
var<workgroup> group_values: array<f32, 8>;

fn row_sum(lane: u32, value: f32) -> f32 {
  lane_values[lane] = value;
  workgroupBarrier();
  if (lane < 8u) {
    var sum = 0.0;
    for (var i = 0u; i < 8u; i++) { sum += lane_values[lane * 8u + i]; }
    group_values[lane] = sum;
  }
  workgroupBarrier();
  var total = 0.0;
  for (var i = 0u; i < 8u; i++) { total += group_values[i]; }
  return total;
}

fn row_max(lane: u32, value: f32) -> f32 {
  lane_values[lane] = value;
  workgroupBarrier();
  if (lane < 8u) {
    var top = lane_values[lane * 8u];
    for (var i = 1u; i < 8u; i++) { top = max(top, lane_values[lane * 8u + i]); }
    group_values[lane] = top;
  }
  workgroupBarrier();
  var total = group_values[0];
  for (var i = 1u; i < 8u; i++) { total = max(total, group_values[i]); }
  return total;
}
