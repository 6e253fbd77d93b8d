import { expect, test } from "vitest";
import { rmsnorm, rmsnormBackward } from "../../../src/kernels/nn/rmsnorm";
import * as reference from "../../reference/nn/rmsnorm";
import { expectClose, randomFloats } from "../../support/compare";
import { run } from "../../support/gpu";

const sizes = [[1, 1], [3, 64], [5, 896], [2, 1537], [7, 63], [65_537, 2]] as const;

test.each(sizes)("rmsnorm N=%i C=%i", async (N, C) => {
  const [x, weight] = [randomFloats(7, N * C, 3), randomFloats(8, C)];
  const got = await run(rmsnorm, { x, weight, y: N * C, rstd: N }, { N, C, eps: 1e-6 });
  const want = reference.rmsnorm(x, weight, Math.fround(1e-6));
  expectClose(got.y!, want.y, { rtol: 2e-6, atol: 1e-7 }, "y");
  expectClose(got.rstd!, want.rstd, { rtol: 2e-6 }, "rstd");
});

test.each(sizes)("rmsnorm_backward N=%i C=%i", async (N, C) => {
  const [x, weight, dy, before] = [randomFloats(1, N * C, 3), randomFloats(2, C), randomFloats(3, N * C), randomFloats(4, N * C)];
  const eps = Math.fround(1e-5);
  const rstd = Float32Array.from(reference.rmsnorm(x, weight, eps).rstd);
  const { dx } = reference.rmsnormBackward(x, weight, eps, dy);
  // The two terms cancel (for C = 1 nearly wholly), so the bound is on the size of the terms.
  const scale = dy.reduce((top, value, i) => Math.max(top, Math.abs(value * weight[i % C]! * rstd[Math.floor(i / C)]!)), 0);
  const got = await run(rmsnormBackward, { x, weight, rstd, dy, dx: before }, { N, C, accumulate: 0 });
  expectClose(got.dx!, dx, { rtol: 1e-5, atol: 1e-6 * scale }, "overwritten");
  const added = await run(rmsnormBackward, { x, weight, rstd, dy, dx: before }, { N, C, accumulate: 1 });
  expectClose(added.dx!, dx.map((value, i) => value + before[i]!), { rtol: 1e-5, atol: 1e-6 * (scale + 1) }, "accumulated");
});

test("a row of zeros stays zero", async () => {
  const got = await run(rmsnorm, { x: new Float32Array(64), weight: randomFloats(1, 64), y: 64, rstd: 1 }, { N: 1, C: 64, eps: 1e-6 });
  expect([...got.y!].every((value) => value === 0)).toBe(true);
  expect(got.rstd![0]).toBeCloseTo(1000, 1);
});
