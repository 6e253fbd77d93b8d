// What the merge kernels share: a workgroup of 64 walks 2048 elements in fours, neighbours side by side, so that loads
// coalesce on hardware and a software adapter has few and long invocations. The shader says what one four is: fn quad(q),
// elements [4 q, 4 q + 4). Elements past n may be computed, and are stored as 0 or not at all.
override BASE_DTYPE: u32 = 0u;

// Passing the bits through an exclusive-or with a runtime 0 keeps the compiler from fusing or reordering roundings.
fn settle(x: vec4f) -> vec4f { return bitcast<vec4f>(bitcast<vec4u>(x) ^ vec4u(params.zero)); }

// Bits of four values of the base.
fn base4(q: u32) -> vec4u {
  if (BASE_DTYPE == 0u) { return vec4u(base[2u * q], base[2u * q + 1u]); }
  return split_halves(base[q]);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {
  let group = params.group0 + id.x + id.y * count.x;
  for (var i = 0u; i < 8u; i++) {
    let q = group * 512u + i * 64u + lane;
    if (4u * q >= params.n) { break; }
    quad(q);
  }
}
