import { describe, expect, test } from "vitest";
import { attentionBackward, attentionForward, headsPerCall, registerForm, rowForm, type AttentionOptions } from "../../../src/kernels/nn/attention";
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
  { H: 5, KV: 1, D: 7, starts: [0, 3, 4, 12, 43], window: 0 },
  { H: 6, KV: 3, D: 12, starts: [0, 83, 150], window: 17 },
  { H: 3, KV: 1, D: 6, starts: [0, 130], window: 0 },
  { H: 2, KV: 1, D: 80, starts: [0, 5, 12], window: 1 },
  { H: 2, KV: 1, D: 128, starts: [0, 17], window: 0 },
  { H: 1, KV: 1, D: 256, starts: [0, 6, 11], window: 100 },
  { H: 14, KV: 2, D: 64, starts: [0, 20, 33], window: 0 },
  { H: 2, KV: 2, D: 8, starts: [0, 30], window: 0, scale: 30 },
  { H: 6, KV: 2, D: 8, starts: [0, 7, 10], window: 0, maxBytes: 4 * 10 * 8 * 3 },
  { H: 6, KV: 2, D: 8, starts: [0, 7, 10], window: 4, maxBytes: 4 * 10 * 8 * 2 },
  { H: 6, KV: 2, D: 9, starts: [0, 7, 10], window: 0, maxBytes: 4 * 10 * 8 * 2 },
];

const names = ["y", "dq", "dk", "dv"] as const;
type Found = Record<(typeof names)[number], Float32Array>;

function inputs({ H, KV, D, starts, scale = 1 }: Case): Record<"q" | "k" | "v" | "dy", Float32Array> {
  const rows = starts.at(-1)!;
  return { q: randomFloats(1, rows * H * D, scale), k: randomFloats(2, rows * KV * D, scale), v: randomFloats(3, rows * KV * D), dy: randomFloats(4, rows * H * D) };
}

async function onGpu(one: Case, options: AttentionOptions): Promise<Found> {
  const gpu = await testGpu();
  const { q, k, v, dy } = inputs(one);
  const { H, KV, D, starts, window } = one;
  // Filled with large numbers: what is not overwritten shows.
  const big = (like: Float32Array): GPUBuffer => gpu.upload(new Float32Array(like.length).fill(1e6));
  const io = { q: gpu.upload(q), k: gpu.upload(k), v: gpu.upload(v), dy: gpu.upload(dy), y: big(q), dq: big(q), dk: big(k), dv: big(k) };
  const longest = Math.max(...starts.slice(1).map((end, s) => end - starts[s]!));
  const shape = { rows: starts.at(-1)!, H, KV, D, longest, window, spans: gpu.upload(spansOf(starts)) };
  attentionForward(gpu, io, shape, options);
  attentionBackward(gpu, io, shape, options);
  const found = { y: await gpu.readFloats(io.y, q.length), dq: await gpu.readFloats(io.dq, q.length), dk: await gpu.readFloats(io.dk, k.length), dv: await gpu.readFloats(io.dv, k.length) };
  gpu.release(...Object.values(io), shape.spans);
  return found;
}

describe.each(cases)("attention %j", (one) => {
  const maxBytes = one.maxBytes === undefined ? {} : { maxBytes: one.maxBytes };

  test.each([["rows", rowForm], ["register", registerForm]] as const)("form %s", async (_, form) => {
    const { q, k, v, dy } = inputs(one);
    const got = await onGpu(one, { ...maxBytes, form });
    const want = { y: reference.attention(q, k, v, one), ...reference.attentionBackward(q, k, v, one, dy) };
    // Scores of +-1000 lose digits in their sum before the softmax sees them: 1000 * 2^-24 is 6e-5.
    const slack = (one.scale ?? 1) > 1 ? 40 : 1;
    for (const name of names) {
      const top = want[name].reduce((m, x) => Math.max(m, Math.abs(x)), 0.5);
      expectClose(got[name], want[name], { rtol: 1e-5 * slack, atol: 2e-6 * slack * top }, name);
    }
  });

  test("the forms agree to the last digit, where the compiler does not contract", async () => {
    const [rows, register] = [await onGpu(one, { ...maxBytes, form: rowForm }), await onGpu(one, { ...maxBytes, form: registerForm })];
    const { software } = await testGpu();
    for (const name of names) expectClose(register[name], rows[name], software ? { rtol: 0, atol: 0 } : { rtol: 1e-4, atol: 1e-4 }, name);
  });
});

test("an adapter takes the row form where the padded rows of its own do not fit", async () => {
  const one: Case = { H: 2, KV: 1, D: 4, starts: [0, 9], window: 0 };
  const [tight, roomy] = [await onGpu(one, { maxBytes: 4 * 9 * 9 }), await onGpu(one, {})];
  for (const name of names) expectClose(tight[name], roomy[name], { rtol: 1e-6, atol: 1e-6 }, name);
});

test("heads of one call", () => {
  expect(headsPerCall(512, 64, 28)).toBe(28);
  expect(headsPerCall(4096, 4096, 32)).toBe(2);
  expect(headsPerCall(6000, 6000, 32)).toBe(0);
});
