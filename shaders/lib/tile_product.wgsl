// A tiled product over up to three matrices, the segments. The shader says where a workgroup is and what it reads and writes:
//   tile_of(group)                its first row and column, and the segments it walks
//   depth_of(segment)             length of the sum
//   left4(segment, row, d)        four values of the left factor from d on, zeros outside
//   right4(segment, i, column, d) entry i of `right`: a piece of the right factor that starts at that column and d
//   right_slot(i)                 where in `right` it goes
//   right_matrix(q, c)            the four columns of invocation column c at the q-th four of d, a row for each d
//   store(segment, row, column, value)
// Columns of one invocation start at COLUMN_SPAN times its x and are COLUMN_STEP apart, the second four 4 GROUP_X further.
// Sums in f32, d ascending; each segment has sums of its own.
override SEGMENTS: u32 = 1u;

struct TilePlace { row: u32, column: u32, first: u32, end: u32 }

fn of_segment(segment: u32, a: u32, b: u32, c: u32) -> u32 { return select(select(c, b, segment == 1u), a, segment == 0u); }

// Weight `i` of a segment's matrix, and four from there on or `count` and zeros.
fn weight1(segment: u32, i: u32) -> f32 {
  if (WEIGHT_DTYPE == 0u) { return unpack_weight(weight_words(segment, i >> 1u)[i & 1u], false); }
  return unpack_weight(weight_words(segment, i >> 2u)[(i >> 1u) & 1u], (i & 1u) == 1u);
}

fn weight4(segment: u32, i: u32, count: u32) -> vec4f {
  if (PACKED) {
    if (WEIGHT_DTYPE == 0u) { return bitcast<vec4f>(vec4u(weight_words(segment, i >> 1u), weight_words(segment, (i >> 1u) + 1u))); }
    let pair = weight_words(segment, i >> 2u);
    return vec4f(unpack_weight(pair.x, false), unpack_weight(pair.x, true), unpack_weight(pair.y, false), unpack_weight(pair.y, true));
  }
  return upto(count, vec4f(weight1(segment, i), weight1(segment, i + 1u), weight1(segment, i + 2u), weight1(segment, i + 3u)));
}

// a + v * w with w a matrix of four rows, in ascending order of the sum.
fn step4(a: vec4f, v: vec4f, w: mat4x4f) -> vec4f {
  return fma(vec4f(v.w), w[3], fma(vec4f(v.z), w[2], fma(vec4f(v.y), w[1], fma(vec4f(v.x), w[0], a))));
}

@compute @workgroup_size(GROUP_X, GROUP_Y)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_id) lid: vec3u, @builtin(local_invocation_index) local: u32) {
  let place = tile_of(params.group0 + wid.x + wid.y * count.x);
  let row = place.row + lid.y;
  let column = place.column + COLUMN_SPAN * lid.x;
  for (var segment = place.first; segment < place.end; segment++) {
    let depth = depth_of(segment);
    var a0 = vec4f(); var b0 = vec4f(); var a1 = vec4f(); var b1 = vec4f(); var a2 = vec4f(); var b2 = vec4f(); var a3 = vec4f(); var b3 = vec4f();
    var a4 = vec4f(); var b4 = vec4f(); var a5 = vec4f(); var b5 = vec4f(); var a6 = vec4f(); var b6 = vec4f(); var a7 = vec4f(); var b7 = vec4f();
    for (var d0 = 0u; d0 < depth; d0 += DEPTH) {
      for (var i = local; i < TILE_ROWS * DEPTH / 4u; i += GROUP_X * GROUP_Y) {
        let fours = i % (DEPTH / 4u);
        left[fours * TILE_ROWS + i / (DEPTH / 4u)] = left4(segment, place.row + i / (DEPTH / 4u), d0 + 4u * fours);
      }
      for (var i = local; i < TILE_COLUMNS * DEPTH / 4u; i += GROUP_X * GROUP_Y) {
        right[right_slot(i)] = right4(segment, i, place.column, d0);
      }
      workgroupBarrier();
      for (var q = 0u; q < DEPTH / 4u; q++) {
        let r = q * TILE_ROWS + lid.y;
        let wa = right_matrix(q, lid.x);
        var wb = mat4x4f();
        if (COLUMNS > 4u) { wb = right_matrix(q, lid.x + SECOND_FOUR); }
        let v0 = left[r]; a0 = step4(a0, v0, wa); if (COLUMNS > 4u) { b0 = step4(b0, v0, wb); }
        let v1 = left[r + GROUP_Y]; a1 = step4(a1, v1, wa); if (COLUMNS > 4u) { b1 = step4(b1, v1, wb); }
        let v2 = left[r + 2u * GROUP_Y]; a2 = step4(a2, v2, wa); if (COLUMNS > 4u) { b2 = step4(b2, v2, wb); }
        let v3 = left[r + 3u * GROUP_Y]; a3 = step4(a3, v3, wa); if (COLUMNS > 4u) { b3 = step4(b3, v3, wb); }
        if (ROWS > 4u) {
          let v4 = left[r + 4u * GROUP_Y]; a4 = step4(a4, v4, wa); if (COLUMNS > 4u) { b4 = step4(b4, v4, wb); }
          let v5 = left[r + 5u * GROUP_Y]; a5 = step4(a5, v5, wa); if (COLUMNS > 4u) { b5 = step4(b5, v5, wb); }
          let v6 = left[r + 6u * GROUP_Y]; a6 = step4(a6, v6, wa); if (COLUMNS > 4u) { b6 = step4(b6, v6, wb); }
          let v7 = left[r + 7u * GROUP_Y]; a7 = step4(a7, v7, wa); if (COLUMNS > 4u) { b7 = step4(b7, v7, wb); }
        }
      }
      workgroupBarrier();
    }
    // A loop rather than 64 calls: compilers take long over as many stores.
    var sums = array<vec4f, 16>(a0, b0, a1, b1, a2, b2, a3, b3, a4, b4, a5, b5, a6, b6, a7, b7);
    for (var i = 0u; i < ROWS * COLUMNS; i++) {
      let j = i % COLUMNS;
      store(segment, row + (i / COLUMNS) * GROUP_Y, column + (j >> 2u) * 4u * GROUP_X + (j & 3u) * COLUMN_STEP, sums[2u * (i / COLUMNS) + (j >> 2u)][j & 3u]);
    }
  }
}
