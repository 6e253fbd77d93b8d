import { expect, test } from "vitest";
import { rmsnorm, rmsnormBackward, rmsnormBackwardRegister, rmsnormRegister } from "../../../src/kernels/nn/rmsnorm";
import * as reference from "../../reference/nn/rmsnorm";
import { expectClose, randomFloats } from "../../support/compare";
import { run, testGpu } from "../../support/gpu";

const sizes = [[1, 1], [3, 64], [5, 896], [2, 1537], [7, 63], [65_537, 2], [9, 4], [17, 132]] as const;

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

test.each(sizes.filter(([, C]) => C % 4 === 0))("the forms agree to the last digit, where the compiler does not contract: N=%i C=%i", async (N, C) => {
  const tolerance = (await testGpu()).software ? {} : { rtol: 1e-5, atol: 1e-5 };
  const [x, weight, dy, before] = [randomFloats(1, N * C, 3), randomFloats(2, C), randomFloats(3, N * C), randomFloats(4, N * C)];
  const forward = { x, weight, y: N * C, rstd: N };
  const [want, got] = [await run(rmsnorm, forward, { N, C, eps: 1e-6 }), await run(rmsnormRegister, forward, { N, C, eps: 1e-6 })];
  expectClose(got.y!, want.y!, tolerance, "y");
  expectClose(got.rstd!, want.rstd!, tolerance, "rstd");
  const backward = { x, weight, rstd: want.rstd!, dy, dx: before };
  for (const accumulate of [0, 1]) {
    const [rows, register] = [await run(rmsnormBackward, backward, { N, C, accumulate }), await run(rmsnormBackwardRegister, backward, { N, C, accumulate })];
    expectClose(register.dx!, rows.dx!, tolerance, `dx, accumulate ${accumulate}`);
  }
});

test("a row of zeros stays zero", async () => {
  const got = await run(rmsnorm, { x: new Float32Array(64), weight: randomFloats(1, 64), y: 64, rstd: 1 }, { N: 1, C: 64, eps: 1e-6 });
  expect([...got.y!].every((value) => value === 0)).toBe(true);
  expect(got.rstd![0]).toBeCloseTo(1000, 1);
});
