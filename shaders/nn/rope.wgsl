// rope: rotates the pair (x[d], x[d + D/2]) of each head by the angle of its position, in place
//   x'[d]       = x[d] * cos[p,d] - sign * x[d + D/2] * sin[p,d]
//   x'[d + D/2] = x[d + D/2] * cos[p,d] + sign * x[d] * sin[p,d]      d < D/2,  p = row - start of its sequence
//   0 in   cosine  [T, D/2]      f32
//   1 in   sine    [T, D/2]      f32
//   2 in   spans   [rows, 2]     u32   first row and one past the last row of the row's sequence
//   3 out  x       [rows, H, D]  f32   = (in place)
//   4 uniform      rows, H, D: u32, sign: f32
// sign = 1 is the forward rotation; sign = -1 its transpose, which is the backward pass.
// Source: Su et al. 2021, arXiv:2104.09864, in the half-split order of Hugging Face's rotate_half.

struct Params { rows: u32, H: u32, D: u32, sign: f32 }

@group(0) @binding(0) var<storage, read> cosine: array<f32>;
@group(0) @binding(1) var<storage, read> sine: array<f32>;
@group(0) @binding(2) var<storage, read> spans: array<u32>;
@group(0) @binding(3) var<storage, read_write> x: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {
  let half = params.D / 2u;
  let i = (wid.x + wid.y * count.x) * 64u + lane;
  if (i >= params.rows * params.H * half) { return; }
  let d = i % half;
  let head = i / half;
  let row = head / params.H;
  let angle = (row - spans[2u * row]) * half + d;
  let c = cosine[angle];
  let s = sine[angle] * params.sign;
  let low = head * params.D + d;
  let a = x[low];
  let b = x[low + half];
  x[low] = a * c - b * s;
  x[low + half] = b * c + a * s;
}
