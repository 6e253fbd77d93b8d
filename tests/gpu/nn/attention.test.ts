import { expect, test } from "vitest";
import { attentionBackward, attentionForward, headsPerCall } from "../../../src/kernels/nn/attention";
import * as reference from "../../reference/nn/attention";
import { expectClose, randomFloats } from "../../support/compare";
import { testGpu } from "../../support/gpu";

const spansOf = (starts: readonly number[]): Uint32Array => Uint32Array.from(starts.slice(0, -1).flatMap((start, s) => Array.from({ length: starts[s + 1]! - start }, () => [start, starts[s + 1]!]).flat()));

interface Case {
  H: number;
  KV: number;
  D: number;
  starts: number[];
  window: number;
  scale?: number;
  /** Bytes that the probabilities may take: small values force several calls over parts of the heads. */
  maxBytes?: number;
}

const cases: Case[] = [
  { H: 1, KV: 1, D: 2, starts: [0, 1], window: 0 },
  { H: 4, KV: 2, D: 16, starts: [0, 16, 19, 24], window: 0 },
  { H: 4, KV: 2, D: 16, starts: [0, 9, 23], window: 3 },
  { H: 2, KV: 2, D: 32, starts: [0, 70, 71], window: 65 },
  { H: 3, KV: 1, D: 6, starts: [0, 130], window: 0 },
  { H: 2, KV: 1, D: 80, starts: [0, 5, 12], window: 1 },
  { H: 2, KV: 1, D: 128, starts: [0, 17], window: 0 },
  { H: 1, KV: 1, D: 256, starts: [0, 6, 11], window: 100 },
  { H: 14, KV: 2, D: 64, starts: [0, 20, 33], window: 0 },
  { H: 2, KV: 2, D: 8, starts: [0, 30], window: 0, scale: 30 },
  { H: 6, KV: 2, D: 8, starts: [0, 7, 10], window: 0, maxBytes: 4 * 10 * 7 * 3 },
  { H: 6, KV: 2, D: 8, starts: [0, 7, 10], window: 4, maxBytes: 4 * 10 * 7 * 2 },
];

test.each(cases)("attention %j", async ({ H, KV, D, starts, window, scale = 1, maxBytes }) => {
  const gpu = await testGpu();
  const rows = starts.at(-1)!;
  const [q, k, v, dy] = [randomFloats(1, rows * H * D, scale), randomFloats(2, rows * KV * D, scale), randomFloats(3, rows * KV * D), randomFloats(4, rows * H * D)];
  const longest = Math.max(...starts.slice(1).map((end, s) => end - starts[s]!));
  const io = {
    q: gpu.upload(q), k: gpu.upload(k), v: gpu.upload(v), dy: gpu.upload(dy),
    // Filled with large numbers: what is not overwritten shows.
    y: gpu.upload(new Float32Array(q.length).fill(1e6)), dq: gpu.upload(new Float32Array(q.length).fill(1e6)), dk: gpu.upload(new Float32Array(k.length).fill(1e6)), dv: gpu.upload(new Float32Array(k.length).fill(1e6)),
  };
  const shape = { rows, H, KV, D, longest, window, spans: gpu.upload(spansOf(starts)) };
  attentionForward(gpu, io, shape, maxBytes);
  attentionBackward(gpu, io, shape, maxBytes);
  const sizes = { H, KV, D, starts, window };
  const want = { y: reference.attention(q, k, v, sizes), ...reference.attentionBackward(q, k, v, sizes, dy) };
  // Scores of +-1000 lose digits in their sum before the softmax sees them: 1000 * 2^-24 is 6e-5.
  const slack = scale > 1 ? 40 : 1;
  for (const name of ["y", "dq", "dk", "dv"] as const) {
    const top = want[name].reduce((m, x) => Math.max(m, Math.abs(x)), 0.5);
    expectClose(await gpu.readFloats(io[name], want[name].length), want[name], { rtol: 1e-5 * slack, atol: 2e-6 * slack * top }, name);
  }
  gpu.release(...Object.values(io), shape.spans);
});

test("heads of one call", () => {
  expect(headsPerCall(512, 64, 28)).toBe(28);
  expect(headsPerCall(4096, 4096, 32)).toBe(2);
  expect(headsPerCall(6000, 6000, 32)).toBe(0);
});
