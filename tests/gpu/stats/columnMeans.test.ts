import { expect, test } from "vitest";
import { addColumnMeans } from "../../../src/kernels/stats/columnMeans";
import { columnMeans } from "../../reference/stats/columnMeans";
import { expectClose, randomFloats } from "../../support/compare";
import { testGpu } from "../../support/gpu";

async function onGpu(x: Float32Array, K: number, lengths: number[], rowsPerToken: number, before?: Float32Array): Promise<Float32Array> {
  const gpu = await testGpu();
  const starts = Uint32Array.from([0, ...lengths.map((_, s) => lengths.slice(0, s + 1).reduce((a, b) => a + b, 0))]);
  const buffers = { x: gpu.upload(x), starts: gpu.upload(starts), sums: gpu.upload(before ?? new Float32Array(K).fill(NaN)) };
  addColumnMeans(gpu, { ...buffers, K, rowsPerToken, startsCpu: starts, accumulate: before !== undefined });
  const sums = await gpu.readFloats(buffers.sums, K);
  gpu.release(...Object.values(buffers));
  return sums;
}

test.each([
  [1, [1], 1], [3, [2, 5], 1], [65, [64, 65, 1], 1], [37, [130, 3, 63, 129], 1], [6, [7, 30], 5], [128, [50], 14],
])("K=%i, lengths %j, %i rows a token", async (K, lengths, perToken) => {
  const rows = lengths.reduce((a, b) => a + b, 0) * perToken;
  const x = randomFloats(K + rows, rows * K, 3);
  const starts = [0, ...lengths.map((_, s) => lengths.slice(0, s + 1).reduce((a, b) => a + b, 0))];
  expectClose(await onGpu(x, K, lengths, perToken), columnMeans(x, K, starts, perToken), { rtol: 2e-6 });
});

test("sequences in two calls give the bits of one call", async () => {
  const [K, lengths] = [19, [70, 5, 129, 2]];
  const x = randomFloats(5, 206 * K);
  const first = await onGpu(x.slice(0, 75 * K), K, lengths.slice(0, 2), 1);
  expect(await onGpu(x.slice(75 * K), K, lengths.slice(2), 1, first)).toEqual(await onGpu(x, K, lengths, 1));
});
