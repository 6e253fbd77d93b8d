// weighted: one model's part of a mean with a weight for every entry,  w = c * max(F, least)
//   sum += w theta,  weight += w,  low and high of theta over the models with w > 0,  plain += share * theta
//   0 in   base    [n]  this model's values as stored, BASE_DTYPE
//   1 in   fisher  [n]  f32
//   2 out  sum     [n]  f32   += (= when FIRST is 1)
//   3 out  weight  [n]  f32   += (= when FIRST is 1)
//   4 out  low     [n]  f32   min (= when FIRST is 1)
//   5 out  high    [n]  f32   max (= when FIRST is 1)
//   6 out  plain   [n]  f32   += (= when FIRST is 1)
//   7 uniform      n: u32, c, least, share: f32, zero: u32 (always 0), group0: u32
// One call per model; every product and every sum is rounded to f32. low > high means that no model has a weight yet.
// Source: Matena and Raffel 2022, arXiv:2111.09832 (METHODS 10).
override FIRST: u32 = 0u;

struct Params { n: u32, c: f32, least: f32, share: f32, zero: u32, group0: u32 }
@group(0) @binding(0) var<storage, read> base: array<vec2u>;
@group(0) @binding(1) var<storage, read> fisher: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> sum: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> weight: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> low: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> high: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> plain: array<vec4f>;
@group(0) @binding(7) var<uniform> params: Params;

const LARGEST = 3.40282346638528859e38;

fn quad(q: u32) {
  let theta = stored_values(base4(q), BASE_DTYPE);
  let F = fisher[q];
  let w = settle(params.c * select(F, vec4f(params.least), F < vec4f(params.least)));
  let part = settle(w * theta);
  let all = settle(params.share * theta);
  let counts = w > vec4f();
  if (FIRST == 1u) {
    sum[q] = part;
    weight[q] = w;
    low[q] = select(vec4f(LARGEST), theta, counts);
    high[q] = select(vec4f(-LARGEST), theta, counts);
    plain[q] = all;
  } else {
    sum[q] = sum[q] + part;
    weight[q] = weight[q] + w;
    low[q] = select(low[q], theta, counts & (theta < low[q]));
    high[q] = select(high[q], theta, counts & (theta > high[q]));
    plain[q] = plain[q] + all;
  }
}
