// One expert beside the base: its mask, and how far it moves. Prepend lib/tuned.
override HAS_MASK: u32 = 1u;

fn kept4(q: u32) -> vec4<bool> {
  if (HAS_MASK == 0u) { return vec4<bool>(true); }
  return (vec4u(mask[q >> 3u] >> (4u * (q & 7u))) & vec4u(1u, 2u, 4u, 8u)) != vec4u(0u);
}

// c m (theta - theta0), each step rounded; 0 where the mask is.
fn move4(q: u32, c: f32) -> vec4f {
  return select(vec4f(), settle(c * settle(tuned4(q) - stored_values(base4(q), BASE_DTYPE))), kept4(q));
}
