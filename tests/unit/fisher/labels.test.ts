import { describe, expect, test } from "vitest";
import { expandTokens, labelSampler } from "../../../src/fisher/labels";
import type { Gpu } from "../../../src/gpu/gpu";
import type { BatchState } from "../../../src/model/batchState";

describe("expandTokens", () => {
  test("one prefix per prediction, weighing its last prediction only", () => {
    const { sequences, weights, regroup } = expandTokens([[1, 2, 3], [4, 5]]);
    expect(sequences).toEqual([[1, 2], [1, 2, 3], [4, 5]]);
    expect(weights).toEqual([[1, 0], [0, 1, 0], [1, 0]]);
    expect(regroup([10, 20, 30])).toEqual([20, 30]);
  });
});

describe("labelSampler", () => {
  const V = 5;
  const logits = Float32Array.from([0, 1, -1, 2, 0.5]);
  /** Every position of every sequence has the same logits; they are shown in panels of the given widths. */
  const sample = async (sequences: number[][], seed: number, panels: number[]): Promise<number[][]> => {
    const rows = sequences.reduce((n, s) => n + s.length, 0);
    const starts = Uint32Array.from([0, ...sequences.map((_, s) => sequences.slice(0, s + 1).reduce((n, x) => n + x.length, 0))]);
    const gpu = { readFloats: async (buffer: unknown) => buffer as Float32Array } as unknown as Gpu;
    const sampler = labelSampler(gpu, sequences, seed);
    const state = { rows, batch: { sequences, firstSequence: 0, starts } } as unknown as BatchState;
    let row0 = 0;
    for (const width of panels) {
      const shown = new Float32Array(rows * width);
      for (let r = 0; r < rows; r++) shown.set(logits.subarray(row0, row0 + width), r * width);
      await sampler.onLogitsPanel({ panel: { row0, rows: width, buffer: undefined as never }, logits: shown as unknown as GPUBuffer }, state);
      row0 += width;
    }
    return sampler.targets();
  };

  test("labels follow the softmax", async () => {
    const labels = (await sample(Array.from({ length: 200 }, () => new Array<number>(100).fill(0)), 1, [V])).flat();
    const total = logits.reduce((a, l) => a + Math.exp(l), 0);
    logits.forEach((l, v) => {
      const p = Math.exp(l) / total;
      const share = labels.filter((x) => x === v).length / labels.length;
      expect(Math.abs(share - p)).toBeLessThan(4.5 * Math.sqrt((p * (1 - p)) / labels.length));
    });
  });

  test("panels do not matter, the seed does, and a sequence keeps its labels when others join", async () => {
    const sequences = [new Array<number>(40).fill(0), new Array<number>(30).fill(0)];
    const whole = await sample(sequences, 7, [V]);
    expect(await sample(sequences, 7, [2, 1, 2])).toEqual(whole);
    expect(await sample(sequences, 8, [V])).not.toEqual(whole);
    expect((await sample([sequences[0]!], 7, [V]))[0]).toEqual(whole[0]);
  });
});
