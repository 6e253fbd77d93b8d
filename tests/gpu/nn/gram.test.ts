import { expect, test } from "vitest";
import { addGram, addSquares, allocGram } from "../../../src/kernels/nn/gram";
import { gramOf } from "../../reference/merge/regmean";
import { expectClose, randomFloats } from "../../support/compare";
import { testGpu } from "../../support/gpu";

/** Rows with a common part and one loud channel, as activations have. */
const inputs = (seed: number, rows: number, K: number): Float32Array => randomFloats(seed, rows * K).map((v, at) => (v + 0.5) * (at % K === 1 ? 30 : 1));

test.each([
  [1, 1, [1], undefined],
  [5, 7, [3, 2], undefined],
  [70, 64, [40, 30], 4 * 64 * 24],
  [130, 100, [64, 1, 65], 4 * 100 * 64],
])("Gram matrix of %i rows of %i, sequences of %j, panels of at most %s bytes", async (rows, K, lengths, panelBytes) => {
  const gpu = await testGpu();
  const x = inputs(3, rows, K);
  const starts = Uint32Array.from([0, ...lengths.map((_, i) => lengths.slice(0, i + 1).reduce((a, b) => a + b, 0))]);
  const call = { x: gpu.upload(x), K, rows, starts: gpu.upload(starts), sequences: lengths.length };
  const panels = allocGram(gpu, K, panelBytes);
  const squares = gpu.alloc(4 * K);
  const read = async (): Promise<Float32Array> => {
    const out = new Float32Array(K * K);
    for (const { row0, rows: count, buffer } of panels) out.set(await gpu.readFloats(buffer, count * K), row0 * K);
    return out;
  };
  const want = gramOf(x, K).map((v) => v * rows);
  // An entry is a sum over rows: its roundings are relative to the sums of squares of its two columns.
  const close = (got: ArrayLike<number>, factor: number): void => {
    const scaled = (values: ArrayLike<number>): Float64Array => Float64Array.from({ length: K * K }, (_, at) => values[at]! / Math.sqrt(want[Math.floor(at / K) * (K + 1)]! * want[(at % K) * (K + 1)]!));
    expectClose(scaled(got), scaled(want.map((v) => factor * v)), { atol: factor * 6e-7 });
  };
  addGram(gpu, call, panels, false);
  addSquares(gpu, call, squares, false);
  const once = await read();
  close(once, 1);
  for (let i = 0; i < K; i++) for (let j = 0; j < i; j++) expect(once[i * K + j]).toBe(once[j * K + i]);
  addGram(gpu, call, panels, true);
  addSquares(gpu, call, squares, true);
  close(await read(), 2);
  expectClose(await gpu.readFloats(squares, K), Float64Array.from({ length: K }, (_, i) => 2 * want[i * (K + 1)]!), { rtol: 6e-7 });
  gpu.release(call.x, call.starts, squares, ...panels.map((p) => p.buffer));
});
