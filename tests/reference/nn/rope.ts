type Vec = ArrayLike<number>;

/** Rotates (x[d], x[d + D/2]) by angle(position, d); x [rows, H, D]; `angle` is a function, so no table is shared with the code under test. */
export function rope(x: Vec, H: number, D: number, positions: Vec, angle: (position: number, d: number) => number, sign = 1): Float64Array {
  const y = new Float64Array(x.length);
  for (let row = 0; row < positions.length; row++)
    for (let h = 0; h < H; h++)
      for (let d = 0; d < D / 2; d++) {
        const at = (row * H + h) * D + d;
        const turn = angle(positions[row]!, d) * sign;
        y[at] = x[at]! * Math.cos(turn) - x[at + D / 2]! * Math.sin(turn);
        y[at + D / 2] = x[at + D / 2]! * Math.cos(turn) + x[at]! * Math.sin(turn);
      }
  return y;
}
