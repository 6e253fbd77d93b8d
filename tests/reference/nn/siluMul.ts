type Vec = ArrayLike<number>;
const sigmoid = (g: number): number => 1 / (1 + Math.exp(-g));

/** y = g sigmoid(g) u. float64. */
export const siluMul = (g: Vec, u: Vec): Float64Array => Float64Array.from({ length: g.length }, (_, i) => g[i]! * sigmoid(g[i]!) * u[i]!);

/** d silu / dg = s + g s (1 - s). */
export function siluMulBackward(g: Vec, u: Vec, dy: Vec): { dg: Float64Array; du: Float64Array } {
  const dg = Float64Array.from({ length: g.length }, (_, i) => {
    const s = sigmoid(g[i]!);
    return dy[i]! * u[i]! * (s + g[i]! * s * (1 - s));
  });
  const du = Float64Array.from({ length: g.length }, (_, i) => dy[i]! * g[i]! * sigmoid(g[i]!));
  return { dg, du };
}
