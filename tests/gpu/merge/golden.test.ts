import { expect, test } from "vitest";
import { applyOpGpu } from "../../../src/merge/gpu";
import { goldenCases, mergeTensor } from "../../reference/merge/golden";
import { expectClose } from "../../support/compare";
import { testGpu } from "../../support/gpu";

test.each(goldenCases.map((c) => [c.output, c] as const))("%s", async (_, c) => {
  const gpu = await testGpu();
  const got = await mergeTensor(c.method, c.params, c.base, c.experts, c.weights, (op, slice, dtype) => applyOpGpu(gpu, op, slice, dtype));
  expectClose(got, c.want, { atol: 1e-6 });
  expect(got).toEqual(await mergeTensor(c.method, c.params, c.base, c.experts, c.weights));
});
