import { expect } from "vitest";

/**
 * Fails unless |got - want| <= atol + rtol * |want| for every element. Reports the worst index, both values and the
 * normalised squared error sum (got - want)^2 / sum want^2.
 */
export function expectClose(got: ArrayLike<number>, want: ArrayLike<number>, tolerance: { rtol?: number; atol?: number }, label = ""): void {
  const { rtol = 0, atol = 0 } = tolerance;
  expect(got.length, `${label} length`).toBe(want.length);
  let worst = -1;
  let worstExcess = 0;
  let error2 = 0;
  let want2 = 0;
  for (let i = 0; i < want.length; i++) {
    const g = got[i]!;
    const w = want[i]!;
    const difference = Math.abs(g - w);
    error2 += difference * difference;
    want2 += w * w;
    const excess = Number.isFinite(g) ? difference - (atol + rtol * Math.abs(w)) : Infinity;
    if (excess > worstExcess) {
      worstExcess = excess;
      worst = i;
    }
  }
  if (worst >= 0)
    expect.fail(`${label} element ${worst} of ${want.length}: got ${got[worst]}, want ${want[worst]} (rtol ${rtol}, atol ${atol}); normalised squared error ${(error2 / (want2 || 1)).toExponential(3)}`);
}

/** Seeded uniform numbers in [-1, 1): a 32-bit xorshift, the same on every machine. */
export function randomFloats(seed: number, count: number, scale = 1): Float32Array {
  let s = (seed * 2654435761 + 12345) >>> 0 || 1;
  return Float32Array.from({ length: count }, () => {
    s ^= s << 13;
    s >>>= 0;
    s ^= s >>> 17;
    s ^= s << 5;
    s >>>= 0;
    return ((s / 2147483648) - 1) * scale;
  });
}
