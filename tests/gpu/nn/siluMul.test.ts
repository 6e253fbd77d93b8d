import { expect, test } from "vitest";
import { add } from "../../../src/kernels/nn/add";
import { siluMul, siluMulBackward } from "../../../src/kernels/nn/siluMul";
import * as reference from "../../reference/nn/siluMul";
import { expectClose, randomFloats } from "../../support/compare";
import { run } from "../../support/gpu";

// WGSL's exp is good to 3 + 2|x| ulp, the widest of the errors here.
const close = { rtol: 5e-6, atol: 1e-7 };

test.each([1, 63, 513, 4864 * 3 + 1])("silu_mul and its backward, %i elements", async (count) => {
  const [g, u, dy] = [randomFloats(1, count, 8), randomFloats(2, count, 2), randomFloats(3, count)];
  const forward = await run(siluMul, { g, u, y: count }, { count });
  expectClose(forward.y!, reference.siluMul(g, u), close, "y");
  const backward = await run(siluMulBackward, { g, u, dy, dg: count, du: count }, { count });
  const want = reference.siluMulBackward(g, u, dy);
  // 1 + g (1 - s) crosses zero near g = -1.28, where only an absolute bound makes sense.
  expectClose(backward.dg!, want.dg, { rtol: 5e-6, atol: 1e-6 }, "dg");
  expectClose(backward.du!, want.du, close, "du");
});

test("silu_mul far from zero: no overflow of exp", async () => {
  const g = Float32Array.of(-200, -95, 95, 200, 0);
  const ones = new Float32Array(5).fill(1);
  const forward = await run(siluMul, { g, u: ones, y: 5 }, { count: 5 });
  expectClose(forward.y!, [0, 0, 95, 200, 0], { rtol: 1e-6, atol: 1e-30 }, "y");
  const backward = await run(siluMulBackward, { g, u: ones, dy: ones, dg: 5, du: 5 }, { count: 5 });
  expectClose(backward.dg!, [0, 0, 1, 1, 0.5], { rtol: 1e-6, atol: 1e-30 }, "dg");
});

test.each([1, 511, 70_001])("add, %i elements", async (count) => {
  const [x, y] = [randomFloats(1, count), randomFloats(2, count)];
  const got = await run(add, { x, y: y.slice() }, { count });
  expect(got.y).toEqual(Float32Array.from(x, (value, i) => Math.fround(value + y[i]!)));
});
