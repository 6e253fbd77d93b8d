// What attention over a cache of keys and values shares. A row sees the keys of its place in the cache from first_key to its
// own position; keys are walked in chunks of 32, counted from position 0, so that no sum depends on the rows beside it.
// PACKED (D % 4 == 0) reads vectors of four.
override PACKED: bool = false;

const CHUNK = 32u;

fn first_key(position: u32) -> u32 {
  if (params.window == 0u) { return 0u; }
  return max(position + 1u, params.window) - params.window;
}

fn upto(count: u32, v: vec4f) -> vec4f { return select(vec4f(), v, vec4u(0u, 1u, 2u, 3u) < vec4u(count)); }
