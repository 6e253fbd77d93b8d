/** float64, plain loops, from the formulas in shaders/stats. */

export function weigh(fisher: ArrayLike<number> | undefined, base: ArrayLike<number>, tuned: ArrayLike<number>, key: "fisher" | "magnitude") {
  const keys: number[] = [];
  const sums = { fisher: 0, delta2: 0, joint: 0, base2: 0 };
  for (let i = 0; i < base.length; i++) {
    const delta = tuned[i]! - base[i]!;
    const f = fisher ? fisher[i]! : 0;
    keys.push(key === "fisher" ? f * Math.abs(delta) : Math.abs(delta));
    sums.fisher += f;
    sums.delta2 += delta ** 2;
    sums.joint += f * delta ** 2;
    sums.base2 += base[i]! ** 2;
  }
  return { keys, sums };
}

export function maskedSums(keep: (i: number) => boolean, base: ArrayLike<number>, tuned: ArrayLike<number>) {
  const sums = { kept: 0, kept2: 0, dot: 0 };
  for (let i = 0; i < base.length; i++) {
    if (!keep(i)) continue;
    const delta = tuned[i]! - base[i]!;
    sums.kept += 1;
    sums.kept2 += delta ** 2;
    sums.dot += base[i]! * delta;
  }
  return sums;
}
