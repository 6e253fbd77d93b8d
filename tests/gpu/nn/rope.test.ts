import { test } from "vitest";
import { rope } from "../../../src/kernels/nn/rope";
import * as reference from "../../reference/nn/rope";
import { expectClose, randomFloats } from "../../support/compare";
import { run } from "../../support/gpu";

const angle = (D: number) => (p: number, d: number): number => p * 10000 ** ((-2 * d) / D);

/** starts -> [rows, 2] of (start, end). */
const spansOf = (starts: number[]): Uint32Array => Uint32Array.from(starts.slice(0, -1).flatMap((start, s) => Array.from({ length: starts[s + 1]! - start }, () => [start, starts[s + 1]!]).flat()));

test.each([
  [1, 2, [0, 1]], [4, 16, [0, 3, 10]], [3, 80, [0, 65]], [2, 256, [0, 2, 4, 9]], [5, 6, [0, 7, 8]], [14, 64, [0, 33]], [1, 2, [0, 5000, 70_001]],
] as const)("rope H=%i D=%i starts %j", async (H, D, starts) => {
  const rows = starts.at(-1)!;
  const longest = Math.max(...starts.slice(1).map((end, s) => end - starts[s]!));
  const positions = Array.from({ length: rows }, (_, row) => row - Math.max(...starts.filter((s) => s <= row)));
  const table = (f: (v: number) => number): Float32Array => Float32Array.from({ length: (longest * D) / 2 }, (_, i) => f(angle(D)(Math.floor(i / (D / 2)), i % (D / 2))));
  const x = randomFloats(5, rows * H * D);
  for (const sign of [1, -1]) {
    const got = await run(rope, { cosine: table(Math.cos), sine: table(Math.sin), spans: spansOf([...starts]), x: x.slice() }, { rows, H, D, sign });
    expectClose(got.x!, reference.rope(x, H, D, positions, angle(D), sign), { rtol: 1e-6, atol: 3e-7 }, `sign ${sign}`);
  }
});
