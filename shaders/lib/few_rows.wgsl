// What the products of few rows share: reading four values of a row of x, or of a row of a matrix as stored, from k = 4 q
// on; zeros past the end of the row. PACKED (K % 4 == 0) reads vectors. Prepend lib/weights.
override PACKED: bool = false;

fn upto(count: u32, v: vec4f) -> vec4f { return select(vec4f(), v, vec4u(0u, 1u, 2u, 3u) < vec4u(count)); }

fn x1(i: u32) -> f32 { return x[i >> 2u][i & 3u]; }

fn x4(row: u32, q: u32) -> vec4f {
  if (PACKED) { return x[row * (params.K >> 2u) + q]; }
  let i = row * params.K + 4u * q;
  return upto(params.K - 4u * q, vec4f(x1(i), x1(i + 1u), x1(i + 2u), x1(i + 3u)));
}

fn unpack_four(pair: vec2u) -> vec4f { return vec4f(unpack_weight(pair.x, false), unpack_weight(pair.x, true), unpack_weight(pair.y, false), unpack_weight(pair.y, true)); }

fn w1(i: u32) -> f32 {
  if (WEIGHT_DTYPE == 0u) { return unpack_weight(weight[i >> 1u][i & 1u], false); }
  return unpack_weight(weight[i >> 2u][(i >> 1u) & 1u], (i & 1u) == 1u);
}

fn w4(row: u32, q: u32) -> vec4f {
  if (PACKED) {
    let at = row * (params.K >> 2u) + q;
    if (WEIGHT_DTYPE == 0u) { return bitcast<vec4f>(vec4u(weight[2u * at], weight[2u * at + 1u])); }
    return unpack_four(weight[at]);
  }
  let i = row * params.K + 4u * q;
  return upto(params.K - 4u * q, vec4f(w1(i), w1(i + 1u), w1(i + 2u), w1(i + 3u)));
}

// The same of the second matrix.
fn u1(i: u32) -> f32 {
  if (WEIGHT_DTYPE == 0u) { return unpack_weight(up[i >> 1u][i & 1u], false); }
  return unpack_weight(up[i >> 2u][(i >> 1u) & 1u], (i & 1u) == 1u);
}

fn u4(row: u32, q: u32) -> vec4f {
  if (PACKED) {
    let at = row * (params.K >> 2u) + q;
    if (WEIGHT_DTYPE == 0u) { return bitcast<vec4f>(vec4u(up[2u * at], up[2u * at + 1u])); }
    return unpack_four(up[at]);
  }
  let i = row * params.K + 4u * q;
  return upto(params.K - 4u * q, vec4f(u1(i), u1(i + 1u), u1(i + 2u), u1(i + 3u)));
}

fn silu(v: f32) -> f32 {
  let e = exp(-abs(v));
  return v * (select(e, 1.0, v >= 0.0) / (1.0 + e));
}

// Writes one sum of row m and column n of the panel.
fn finish(m: u32, n: u32, sum: f32) {
  if (m >= params.M || n >= params.N) { return; }
  let at = m * params.stride + params.column0 + n;
  var value = sum;
  if (params.has_bias == 1u) { value += bias[params.column0 + n]; }
  if (params.accumulate == 1u) { value += y[at]; }
  y[at] = value;
}

// Writes silu(gate) * up.
fn finish_gated(m: u32, n: u32, gate: f32, raised: f32) {
  if (m >= params.M || n >= params.N) { return; }
  y[m * params.stride + params.column0 + n] = silu(gate) * raised;
}
