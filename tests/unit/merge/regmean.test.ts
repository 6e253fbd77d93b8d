import { describe, expect, test } from "vitest";
import { breather, cholesky, solveRows } from "../../../src/merge/cholesky";
import { diagonalShares, projections } from "../../../src/merge/regmean";
import { gramOf, regmean, solve } from "../../reference/merge/regmean";
import { expectClose, randomFloats } from "../../support/compare";

const breathe = breather();
const positive = (seed: number, d: number): Float64Array => gramOf(randomFloats(seed, 2 * d * d), d);

describe("the Cholesky factor", () => {
  test.each([1, 2, 3, 63, 64, 65, 130, 200])("of %i rows: L L^T is the matrix, and rows are solved", async (n) => {
    const s = positive(n, n);
    const factor = s.slice();
    expect(await cholesky(factor, n, breathe)).toBeUndefined();
    const product = new Float64Array(n * n);
    for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) for (let k = 0; k <= Math.min(i, j); k++) product[i * n + j]! += factor[i * n + k]! * factor[j * n + k]!;
    expectClose(product, s, { atol: 1e-14 * n }, "L L^T");
    for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) expect(factor[j * n + i]).toBe(factor[i * n + j]);

    const rows = 67;
    const b = Float64Array.from(randomFloats(7, rows * n));
    const x = b.slice();
    await solveRows(factor, n, x, breathe);
    const turned = Float64Array.from({ length: n * rows }, (_, at) => b[(at % rows) * n + Math.floor(at / rows)]!);
    const want = solve(s, turned, n, rows);
    expectClose(x, Float64Array.from(x, (_, at) => want[(at % n) * rows + Math.floor(at / n)]!), { rtol: 1e-8, atol: 1e-8 }, "x S = b");
  });

  test("says where a matrix is not positive", async () => {
    expect(await cholesky(Float64Array.of(1, 0, 0, 0, 1, 0, 0, 0, -1), 3, breathe)).toBe(2);
    expect(await cholesky(new Float64Array(4), 2, breathe)).toBe(0);
    expect(await cholesky(Float64Array.of(NaN), 1, breathe)).toBe(0);
  });

  test("stops when it is cancelled", async () => {
    const abort = new AbortController();
    abort.abort();
    await expect(projections([{ gram: positive(1, 8), coefficient: 1 }, { gram: positive(2, 8), coefficient: 1 }], 8, [1], { offDiagonal: 1, ridge: 0 }, abort.signal)).rejects.toMatchObject({ code: "cancelled" });
  });

  test("lets others have their turn while it works, and hears a cancel then", async () => {
    const d = 600;
    const gram = Float32Array.from({ length: d * d }, (_, at) => 1 / (1 + Math.abs(Math.floor(at / d) - (at % d))));
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 10);
    await expect(projections([{ gram, coefficient: 1 }, { gram, coefficient: 2 }], d, [1], { offDiagonal: 1, ridge: 1e-3 }, abort.signal)).rejects.toMatchObject({ code: "cancelled" });
  });
});

/** sum_k A_k w_k of rows [rows, d]. */
function apply(matrices: readonly ArrayLike<number>[], weights: readonly ArrayLike<number>[], d: number): Float64Array {
  const out = new Float64Array(weights[0]!.length);
  matrices.forEach((a, k) => {
    for (let at = 0; at < out.length; at++) for (let j = 0; j < d; j++) out[at]! += a[(at % d) * d + j]! * weights[k]![at - (at % d) + j]!;
  });
  return out;
}

describe("projections", () => {
  test("the worked example of METHODS 10: G = 4 and 1, w = 1 and 2 give 1.2", async () => {
    for (const ridge of [0, 1e-4]) {
      const { matrices } = await projections([{ gram: [4], coefficient: 1 }, { gram: [1], coefficient: 1 }], 1, [0, 1], { offDiagonal: 1, ridge });
      expect(apply(matrices, [[1], [2]], 1)[0]).toBeCloseTo(1.2, 6);
      const shares = diagonalShares([{ gram: [4], coefficient: 1 }, { gram: [1], coefficient: 1 }], 1, [0, 1], ridge);
      expect(shares[0]![0]! * 1 + shares[1]![0]! * 2).toBeCloseTo(1.2, 6);
    }
  });

  test.each([[5, 1, 0], [5, 0.1, 0], [70, 1, 1e-4], [70, 0.5, 1e-2]])("d = %i, a = %f, eps = %f: as the formula in float64", async (d, a, eps) => {
    const grams = [3, 4, 5].map((seed) => positive(seed, d));
    const c = [1, 0.5, 2];
    const weights = [6, 7, 8].map((seed) => randomFloats(seed, 4 * d));
    const parts = grams.map((gram, k) => ({ gram, coefficient: c[k]! }));
    const { matrices, ridge } = await projections(parts, d, [0, 1, 2], { offDiagonal: a, ridge: eps });
    expect(ridge).toBe(eps);
    const want = regmean(grams, weights, c, d, a, eps);
    expectClose(apply(matrices, weights, d), want, { rtol: 1e-5, atol: 2e-6 }, "all");
    // The base takes part and is added by itself: w_0 + sum_k A_k (w_k - w_0).
    const some = await projections(parts, d, [1, 2], { offDiagonal: a, ridge: eps });
    const changes = [1, 2].map((k) => weights[k]!.map((w, i) => w - weights[0]![i]!));
    expectClose(apply(some.matrices, changes, d).map((v, i) => v + weights[0]![i]!), want, { rtol: 1e-5, atol: 2e-6 }, "from the base");
  });

  test("fewer tokens than inputs: the ridge makes it solvable, and directions nobody saw take the mean", async () => {
    const d = 12;
    const x = randomFloats(1, 3 * d).map((v, at) => (at % d < 10 ? v : 0));
    const grams = [gramOf(x, d), gramOf(x.map((v) => 2 * v), d)];
    const parts = grams.map((gram) => ({ gram, coefficient: 1 }));
    const weights = [randomFloats(2, d), randomFloats(3, d)];
    const { matrices } = await projections(parts, d, [0, 1], { offDiagonal: 1, ridge: 1e-3 });
    expectClose(apply(matrices, weights, d), regmean(grams, weights, [1, 1], d, 1, 1e-3), { rtol: 1e-5, atol: 1e-5 });
    // Inputs 10 and 11 are always 0: their weights are shared as the ridges are, 1 to 4.
    const got = apply(matrices, weights, d);
    for (const j of [10, 11]) expect(got[j]).toBeCloseTo((weights[0]![j]! + 4 * weights[1]![j]!) / 5, 5);

    const bare = await projections(parts, d, [0, 1], { offDiagonal: 1, ridge: 0 });
    expect(bare.ridge).toBeGreaterThan(0);
    expect(apply(bare.matrices, weights, d).every(Number.isFinite)).toBe(true);
  });

  test("equal models keep their weights; a = 0 equals the diagonal; a factor on all Gram matrices changes nothing", async () => {
    const d = 9;
    const grams = [positive(1, d), positive(2, d)];
    const parts = (scale = 1) => grams.map((gram, k) => ({ gram: gram.map((v) => scale * v), coefficient: k + 1 }));
    const w = randomFloats(3, 2 * d);
    const { matrices } = await projections(parts(), d, [0, 1], { offDiagonal: 1, ridge: 1e-4 });
    expectClose(apply(matrices, [w, w], d), w, { atol: 1e-6 });

    const shares = diagonalShares(parts(), d, [0, 1], 1e-4);
    const none = await projections(parts(), d, [0, 1], { offDiagonal: 0, ridge: 1e-4 });
    none.matrices.forEach((a, k) => a.forEach((v, at) => expect(v).toBeCloseTo(at % (d + 1) === 0 ? shares[k]![at % d]! : 0, 7)));
    const onlyDiagonals = diagonalShares(parts().map((p) => ({ ...p, gram: p.gram.filter((_, at) => at % (d + 1) === 0) })), d, [0, 1], 1e-4);
    expect(onlyDiagonals).toEqual(shares);

    const scaled = await projections(parts(1024), d, [0, 1], { offDiagonal: 1, ridge: 1e-4 });
    expect(scaled.matrices).toEqual(matrices);
  });

  test("one model alone is itself; nothing seen at all is the mean", async () => {
    expect(Array.from((await projections([{ gram: positive(1, 2), coefficient: 3 }], 2, [0], { offDiagonal: 1, ridge: 0 })).matrices[0]!)).toEqual([1, 0, 0, 1]);
    const nothing = [1, 3].map((coefficient) => ({ gram: new Float64Array(4), coefficient }));
    expect(Array.from((await projections(nothing, 2, [1], { offDiagonal: 1, ridge: 1e-3 })).matrices[0]!)).toEqual([0.75, 0, 0, 0.75]);
    expect(Array.from(diagonalShares(nothing, 2, [1], 1e-3)[0]!)).toEqual([0.75, 0.75]);
  });
});
