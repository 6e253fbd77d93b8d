import { afterEach, expect, test } from "vitest";
import { lossBackwardPanel, lossFinish, lossForward, lossStateBytes } from "../../../src/kernels/nn/crossEntropy";
import { crossEntropy, crossEntropyBackward } from "../../reference/nn/crossEntropy";
import { expectClose, randomFloats } from "../../support/compare";
import { testGpu } from "../../support/gpu";

const held: GPUBuffer[] = [];
afterEach(async () => (await testGpu()).release(...held.splice(0)));
const hold = (buffer: GPUBuffer): GPUBuffer => (held.push(buffer), buffer);

/** Loss and gradient over panels of `step` vocabulary rows, put together on the CPU. */
async function byPanels(logits: Float32Array, targets: Uint32Array, weights: Float32Array, R: number, V: number, step: number, order: "up" | "down" = "up") {
  const gpu = await testGpu();
  const shared = { R, targets: hold(gpu.upload(targets)), state: hold(gpu.alloc(lossStateBytes(R))) };
  const weightsBuffer = hold(gpu.upload(weights));
  const panels = Array.from({ length: Math.ceil(V / step) }, (_, i) => {
    const row0 = i * step;
    const rows = Math.min(step, V - row0);
    const part = Float32Array.from({ length: R * rows }, (_, j) => logits[Math.floor(j / rows) * V + row0 + (j % rows)]!);
    return { row0, rows, logits: hold(gpu.upload(part)) };
  });
  if (order === "down") panels.reverse();
  panels.forEach((panel, i) => lossForward(gpu, { ...shared, ...panel, first: i === 0 }));
  const nll = hold(gpu.alloc(R * 4));
  lossFinish(gpu, { state: shared.state, weights: weightsBuffer, nll, R });
  for (const panel of panels) lossBackwardPanel(gpu, { ...shared, ...panel, weights: weightsBuffer });
  const dlogits = new Float32Array(R * V);
  for (const { row0, rows, logits: buffer } of panels) {
    const part = await gpu.readFloats(buffer, R * rows);
    for (let r = 0; r < R; r++) dlogits.set(part.subarray(r * rows, (r + 1) * rows), r * V + row0);
  }
  return { nll: await gpu.readFloats(nll, R), dlogits };
}

const pick = (R: number, V: number) => Uint32Array.from({ length: R }, (_, r) => (r === 0 ? V - 1 : (r * 7919) % V));
const weightsOf = (R: number) => Float32Array.from({ length: R }, (_, r) => (r % 3 === 1 ? 0 : 0.5 + r));

test.each([
  [1, 1, 1, "up"],
  [3, 2, 1, "up"],
  [5, 65, 64, "up"],
  [5, 65, 64, "down"],
  [67, 131, 40, "up"],
  [2, 70_001, 70_001, "up"],
  [2, 70_001, 30_000, "down"],
] as const)("R=%i V=%i, panels of %i, %s", async (R, V, step, order) => {
  const logits = randomFloats(1, R * V, 8);
  const [targets, weights] = [pick(R, V), weightsOf(R)];
  const got = await byPanels(logits, targets, weights, R, V, step, order);
  expectClose(got.nll, crossEntropy(logits, targets, weights, R, V), { rtol: 2e-6, atol: 2e-6 }, "nll");
  // exp is good to a few units in the last place of its argument's rounding: 16 * 2^-24 relative here.
  expectClose(got.dlogits, crossEntropyBackward(logits, targets, weights, R, V), { rtol: 5e-6, atol: 1e-6 * R }, "dlogits");
  for (let r = 0; r < R; r++) if (weights[r] === 0) expect(got.dlogits.subarray(r * V, (r + 1) * V).every((v) => v === 0)).toBe(true);
});

test("large and far-apart logits neither overflow nor lose the row", async () => {
  const [R, V] = [3, 6];
  const logits = Float32Array.of(3e4, -3e4, 0, 1, 2, 3, -3e4, -3e4, -3e4, -3e4, -3e4, -3e4, 88, 89, 90, -200, 500, 499);
  const [targets, weights] = [Uint32Array.of(1, 5, 5), Float32Array.of(1, 1, 1024)];
  for (const step of [1, 4, 6]) {
    const got = await byPanels(logits, targets, weights, R, V, step);
    expectClose(got.nll, crossEntropy(logits, targets, weights, R, V), { rtol: 1e-6 }, `nll, panels of ${step}`);
    expectClose(got.dlogits, crossEntropyBackward(logits, targets, weights, R, V), { rtol: 2e-6, atol: 1e-6 }, `dlogits, panels of ${step}`);
  }
});

test("a row of weight 0 may have no target in the vocabulary", async () => {
  const got = await byPanels(Float32Array.of(1, 2, 3, 4), Uint32Array.of(0xffffffff, 1), Float32Array.of(0, 1), 2, 2, 1);
  expect(got.nll[0]).toBe(0);
  expect(Array.from(got.dlogits.subarray(0, 2))).toEqual([0, 0]);
  expectClose([got.nll[1]!], [Math.log(1 + Math.exp(-1))], { rtol: 1e-6 });
});
