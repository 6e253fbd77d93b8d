import { expect, test } from "vitest";
import { throwIfCancelled, type StudioError } from "../../../src/core/errors";
import type { Dtype, TensorSource } from "../../../src/core/tensors";
import { gatherEmbeddingRows, loadVector, loadWeight, releaseWeight } from "../../../src/model/weights";
import { fromFloat32 } from "../../../src/formats/dtypes";
import { randomFloats } from "../../support/compare";
import { testGpu } from "../../support/gpu";

/** A source of one tensor "t", counting reads. */
function sourceOf(bytes: Uint8Array, dtype: Dtype, shape: number[]): { source: TensorSource; reads: [number, number][] } {
  const reads: [number, number][] = [];
  const info = { name: "t", dtype, shape, elements: shape.reduce((a, b) => a * b, 1), file: "f", begin: 0, end: bytes.byteLength };
  const read = async (_: string, offset: number, length: number, into?: Uint8Array): Promise<Uint8Array> => {
    reads.push([offset, length]);
    if (!into) return bytes.slice(offset, offset + length);
    into.set(bytes.subarray(offset, offset + length));
    return into;
  };
  return { source: { tensors: new Map([["t", info]]), read }, reads };
}

test.each([["F32", 7, 5], ["BF16", 7, 5], ["F16", 131, 33], ["BF16", 1, 1]] as const)("loadWeight %s [%i, %i] in panels", async (dtype, rows, cols) => {
  const gpu = await testGpu();
  const bytes = fromFloat32(randomFloats(1, rows * cols), dtype);
  const { source } = sourceOf(bytes, dtype, [rows, cols]);
  const weight = await loadWeight(gpu, source, "t", undefined, 4 * cols * 64);
  expect(weight.panels.reduce((sum, p) => sum + p.rows, 0)).toBe(rows);
  const got: number[] = [];
  for (const panel of weight.panels) got.push(...(await gpu.read(panel.buffer, (panel.rows * bytes.byteLength) / rows)));
  expect(Uint8Array.from(got)).toEqual(bytes);
  releaseWeight(gpu, weight);
});

test("loads that run at the same time do not share their staging", async () => {
  const gpu = await testGpu();
  const sources = [1, 2, 3].map((seed) => sourceOf(fromFloat32(randomFloats(seed, 4000), "F32"), "F32", [40, 100]));
  const weights = await Promise.all(sources.map(({ source }) => loadWeight(gpu, source, "t")));
  for (const [i, weight] of weights.entries()) expect(await gpu.readFloats(weight.panels[0]!.buffer, 4000)).toEqual(randomFloats(i + 1, 4000));
  weights.forEach((weight) => releaseWeight(gpu, weight));
});

test("loadVector gives f32", async () => {
  const gpu = await testGpu();
  const buffer = await loadVector(gpu, sourceOf(fromFloat32(Float32Array.of(1, -0.5, 3), "BF16"), "BF16", [3]).source, "t");
  expect([...(await gpu.readFloats(buffer, 3))]).toEqual([1, -0.5, 3]);
  gpu.release(buffer);
});

test("gatherEmbeddingRows reads each needed row once", async () => {
  const table = randomFloats(3, 50 * 6);
  const { source, reads } = sourceOf(fromFloat32(table, "F32"), "F32", [50, 6]);
  const got = await gatherEmbeddingRows(source, "t", [49, 3, 4, 3, 0]);
  expect([...got]).toEqual([49, 3, 4, 3, 0].flatMap((id) => [...table.subarray(id * 6, id * 6 + 6)]));
  expect(reads).toEqual([[0, 24], [72, 48], [1176, 24]]);
});

test("a missing tensor, a dtype without arithmetic and a cancelled load have their sentence", async () => {
  const gpu = await testGpu();
  const { source } = sourceOf(new Uint8Array(8), "I64", [1]);
  await expect(loadWeight(gpu, source, "u")).rejects.toThrow(/tensor "u" is missing/);
  await expect(loadWeight(gpu, source, "t")).rejects.toThrow(/dtype is I64, expected F32, F16 or BF16/);
  const stopped = new AbortController();
  stopped.abort();
  expect(() => throwIfCancelled(stopped.signal)).toThrow();
  await expect(loadWeight(gpu, sourceOf(new Uint8Array(16), "F32", [2, 2]).source, "t", stopped.signal)).rejects.toMatchObject({ code: "cancelled" } satisfies Partial<StudioError>);
});
