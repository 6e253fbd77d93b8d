// What weigh and weigh_count share: keys and terms of one pair.
override HAS_FISHER: u32 = 1u;
override KEY: u32 = 0u;

struct WeighedPair { keys: vec2f, terms: vec4f }

// Elements 2 p and 2 p + 1 of which the first exists: their keys, stored, and what they add to (F, delta^2, F delta^2, theta0^2).
fn weigh_pair(p: u32) -> WeighedPair {
  let e = 2u * p;
  let second = e + 1u < params.n;
  var theta0 = base_pair(p);
  theta0.y = select(0.0, theta0.y, second);
  let theta = tuned_pair(p);
  var delta = theta - theta0;
  delta.y = select(0.0, delta.y, second);
  var f = vec2f(0.0);
  if (HAS_FISHER == 1u) { f = vec2f(fisher[e], select(0.0, fisher[min(e + 1u, params.n - 1u)], second)); }
  let size = abs(delta);
  let key = select(f * size, size, KEY == 1u);
  keys[e] = key.x;
  if (second) { keys[e + 1u] = key.y; }
  let square = delta * delta;
  return WeighedPair(key, vec4f(f.x + f.y, square.x + square.y, dot(f, square), dot(theta0, theta0)));
}
