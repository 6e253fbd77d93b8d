// What the workgroup-memory forms share. GROUP_X by GROUP_Y invocations make a tile of GROUP_Y * ROWS by GROUP_X * COLUMNS
// sums, ROWS by COLUMNS (4 or 8) of them each in registers. Pieces of both factors, DEPTH values of the summed index deep,
// go through workgroup memory, so that one load serves the whole tile.
override GROUP_X: u32 = 16u;
override GROUP_Y: u32 = 16u;
override ROWS: u32 = 4u;
override COLUMNS: u32 = 4u;
override DEPTH: u32 = 16u;
override TILE_ROWS: u32 = GROUP_Y * ROWS;
override TILE_COLUMNS: u32 = GROUP_X * COLUMNS;

var<workgroup> left: array<vec4f, TILE_ROWS * DEPTH / 4u>;
var<workgroup> right: array<vec4f, TILE_COLUMNS * DEPTH / 4u>;

// The first `count` values, then zeros.
fn upto(count: u32, v: vec4f) -> vec4f { return select(vec4f(), v, vec4u(0u, 1u, 2u, 3u) < vec4u(count)); }
