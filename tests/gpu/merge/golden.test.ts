import { expect, test } from "vitest";
import { goldenCases } from "../../reference/merge/golden";
import { expectClose } from "../../support/compare";
import { watchedGpu } from "../../support/engineBench";
import { mergeOneTensor } from "../../support/oneTensor";

const merged = (c: (typeof goldenCases)[number], gpu?: GPU) => mergeOneTensor(c.method, c.params, c.base, c.experts, { shape: c.shape, weights: c.weights, gpu });

test.each(goldenCases.map((c) => [c.output, c] as const))("%s", async (_, c) => {
  const got = await merged(c, (await watchedGpu()).gpu);
  expectClose(got, c.want, { atol: 1e-6 });
  expect(got).toEqual(await merged(c));
});
