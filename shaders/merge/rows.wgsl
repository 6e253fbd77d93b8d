// rows: sum[i] = (FIRST: nothing, else sum[i]) + c[r] * x[i],  r = row (COLUMNS 0) or column (COLUMNS 1) of element i,
//   x = theta (DELTA 0) or theta - theta0 (DELTA 1)
//   0 in   base   [n]  as stored, BASE_DTYPE; not read when DELTA is 0
//   1 in   tuned  [n]  as stored, TUNED_DTYPE
//   2 in   c      [rows of the slice, or cols]  f32
//   3 out  sum    [n]  f32   += (= when FIRST is 1)
//   4 uniform     n: u32, cols: u32, start: u32 (columns into the first row), zero: u32 (always 0), group0: u32
// One call per model. Each product and each sum is rounded to f32.
override DELTA: u32 = 0u;
override FIRST: u32 = 0u;
override COLUMNS: u32 = 0u;

struct Params { n: u32, cols: u32, start: u32, zero: u32, group0: u32 }
@group(0) @binding(0) var<storage, read> base: array<vec2u>;
@group(0) @binding(1) var<storage, read> tuned: array<vec2u>;
@group(0) @binding(2) var<storage, read> c: array<f32>;
@group(0) @binding(3) var<storage, read_write> sum: array<vec4f>;
@group(0) @binding(4) var<uniform> params: Params;

fn quad(q: u32) {
  var x = tuned4(q);
  if (DELTA == 1u) { x = settle(x - stored_values(base4(q), BASE_DTYPE)); }
  let at = vec4u(params.start + 4u * q) + vec4u(0u, 1u, 2u, 3u);
  let row = at / params.cols;
  let r = select(row, at - row * params.cols, vec4<bool>(COLUMNS == 1u));
  let term = settle(vec4f(c[r.x], c[r.y], c[r.z], c[r.w]) * x);
  if (FIRST == 1u) { sum[q] = term; } else { sum[q] = sum[q] + term; }
}
