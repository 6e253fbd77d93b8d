import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { everywhere, FORMS, useForms } from "../../../src/kernels/nn/forms";
import { fisherBias, fisherEmbedding, fisherHead, fisherLinear, fisherNorm } from "../../../src/kernels/nn/fisher";
import * as reference from "../../reference/nn/fisher";
import { expectClose, randomFloats } from "../../support/compare";
import { inWhole } from "../../support/forms";
import { testGpu } from "../../support/gpu";

const held: GPUBuffer[] = [];
afterEach(async () => (await testGpu()).release(...held.splice(0)));
const hold = (buffer: GPUBuffer): GPUBuffer => (held.push(buffer), buffer);

/** Ragged on purpose: lengths 1, a prime, one past 64, and a sequence without any row. */
const BATCHES: Record<string, number[]> = { one: [1], ragged: [1, 7, 0, 3], long: [65, 2], single: [13] };
const startsOf = (lengths: number[]): Uint32Array => Uint32Array.from([0, ...lengths.map((_, i) => lengths.slice(0, i + 1).reduce((a, b) => a + b, 0))]);

// A square of a sum of at most 67 products of numbers in [-1, 1).
const TOLERANCE = { rtol: 3e-6, atol: 2e-6 };

describe.each(FORMS)("form %s", (form) => {
  beforeAll(async () => useForms(await testGpu(), everywhere(form)));
  afterAll(async () => useForms(await testGpu(), undefined));

  describe("fisherLinear", () => {
    test.each([
      ["one", 1, 1],
      ["one", 9, 5],
      ["ragged", 3, 5],
      ["ragged", 8, 8],
      ["ragged", 17, 12],
      ["ragged", 12, 33],
      ["long", 33, 65],
      ["long", 65, 36],
    ] as const)("%s, N=%i K=%i", async (batch, N, K) => {
      const gpu = await testGpu();
      const starts = startsOf(BATCHES[batch]!);
      const T = starts.at(-1)!;
      const x = randomFloats(1, T * K);
      const dy = randomFloats(2, T * N);
      const before = randomFloats(3, N * K);
      const want = reference.fisherLinear(x, dy, starts, N, K);
      const out = hold(gpu.upload(before));
      const call = { x: hold(gpu.upload(x)), dy: hold(gpu.upload(dy)), starts: hold(gpu.upload(starts)), sequences: starts.length - 1, N, K, row0: 0, rows: N, dyStride: N, dyColumn0: 0, out };
      fisherLinear(gpu, { ...call, accumulate: true, scale: 0.5 });
      expectClose(await gpu.readFloats(out, N * K), want.map((v, i) => before[i]! + 0.5 * v), TOLERANCE, "accumulate, scale");
      fisherLinear(gpu, { ...call, accumulate: false });
      expectClose(await gpu.readFloats(out, N * K), want, TOLERANCE, "overwrite");
      if (!inWhole(form) && N !== 65) return;
      fisherLinear(gpu, { ...call, accumulate: false, square: false });
      expectClose(await gpu.readFloats(out, N * K), reference.sequenceGradient(x, dy, 0, T, N, K), TOLERANCE, "plain gradient");
    });

    test("panels read their columns of dy and add up to the whole", async () => {
      const gpu = await testGpu();
      const starts = startsOf(BATCHES.ragged!);
      const T = starts.at(-1)!;
      const [N, K] = [21, 10];
      const x = randomFloats(4, T * K);
      const dy = randomFloats(5, T * N);
      const want = reference.fisherLinear(x, dy, starts, N, K);
      const call = { x: hold(gpu.upload(x)), dy: hold(gpu.upload(dy)), starts: hold(gpu.upload(starts)), sequences: starts.length - 1, N, K, dyStride: N };
      for (const [row0, panelRows] of [[0, 6], [6, 8], [14, 7]] as const) {
        const out = hold(gpu.alloc(panelRows * K * 4));
        fisherLinear(gpu, { ...call, row0, rows: panelRows, dyColumn0: row0, out, accumulate: false });
        expectClose(await gpu.readFloats(out, panelRows * K), want.subarray(row0 * K, (row0 + panelRows) * K), TOLERANCE);
      }
    });

    test("squares each sequence, not the sum of all", async () => {
      const gpu = await testGpu();
      const out = hold(gpu.alloc(4));
      // Gradients 3 and -3: the square of the sum would be 0, the sum of squared tokens 1 + 4 + 9.
      const one = hold(gpu.upload(Float32Array.of(1, 1, 1)));
      fisherLinear(gpu, { x: one, dy: hold(gpu.upload(Float32Array.of(1, 2, -3))), starts: hold(gpu.upload(Uint32Array.of(0, 2, 3))), sequences: 2, N: 1, K: 1, row0: 0, rows: 1, dyStride: 1, dyColumn0: 0, out, accumulate: false });
      expect((await gpu.readFloats(out, 1))[0]).toBe(18);
    });
  });

  test.each([[19, 5, 19], [40, 4, 16], [19, 8, 7]].slice(0, inWhole(form) ? 3 : 2) as [number, number, number][])("fisherHead, V=%i K=%i, panels of %i rows", async (V, K, step) => {
    const gpu = await testGpu();
    const starts = startsOf(BATCHES.ragged!);
    const T = starts.at(-1)!;
    const x = randomFloats(6, T * K);
    const dlogits = randomFloats(7, T * V);
    const dx = randomFloats(8, T * K);
    const tokens = Uint32Array.from({ length: T }, (_, t) => [0, V - 1, 3, 3, 7, 18][t % 6]!);
    const want = reference.fisherTied(x, dlogits, dx, tokens, starts, V, K);
    const untied = reference.fisherLinear(x, dlogits, starts, V, K);
    const shared = { x: hold(gpu.upload(x)), starts: hold(gpu.upload(starts)), sequences: starts.length - 1, K, accumulate: false };
    const embedding = { tokens, dx: hold(gpu.upload(dx)) };
    for (let row0 = 0; row0 < V; row0 += step) {
      const panelRows = Math.min(step, V - row0);
      // The head gives dlogits of the panel alone.
      const part = Float32Array.from({ length: T * panelRows }, (_, i) => dlogits[Math.floor(i / panelRows) * V + row0 + (i % panelRows)]!);
      const out = hold(gpu.alloc(panelRows * K * 4));
      const call = { ...shared, dy: hold(gpu.upload(part)), row0, rows: panelRows, out };
      fisherHead(gpu, { ...call, embedding });
      expectClose(await gpu.readFloats(out, panelRows * K), want.subarray(row0 * K, (row0 + panelRows) * K), TOLERANCE, `row0 ${row0}`);
      fisherHead(gpu, call);
      expectClose(await gpu.readFloats(out, panelRows * K), untied.subarray(row0 * K, (row0 + panelRows) * K), TOLERANCE, `untied, row0 ${row0}`);
    }
  });

  test("cutting the work into many dispatches changes no bit", async () => {
    const gpu = await testGpu();
    const starts = startsOf(BATCHES.ragged!);
    const T = starts.at(-1)!;
    const [N, K] = [130, 67];
    const x = hold(gpu.upload(randomFloats(16, T * K)));
    const dy = hold(gpu.upload(randomFloats(17, T * N)));
    const shared = { starts: hold(gpu.upload(starts)), sequences: starts.length - 1, accumulate: false };
    const submitCost = gpu.submitCost;
    const results: Float32Array[][] = [];
    try {
      for (const cost of [submitCost, 500]) {
        gpu.submitCost = cost;
        const [linear, bias] = [hold(gpu.alloc(N * K * 4)), hold(gpu.alloc(N * 4))];
        fisherLinear(gpu, { ...shared, x, dy, N, K, row0: 0, rows: N, dyStride: N, dyColumn0: 0, out: linear });
        fisherBias(gpu, { ...shared, dy, N, out: bias });
        results.push([await gpu.readFloats(linear, N * K), await gpu.readFloats(bias, N)]);
      }
    } finally {
      gpu.submitCost = submitCost;
    }
    expect(results[1]).toEqual(results[0]);
  });
});

test.each([["one", 1], ["ragged", 65], ["long", 131], ["single", 64]] as const)("fisherBias, %s, N=%i", async (batch, N) => {
  const gpu = await testGpu();
  const starts = startsOf(BATCHES[batch]!);
  const T = starts.at(-1)!;
  const dy = randomFloats(9, T * N);
  const before = randomFloats(10, N);
  const want = reference.fisherBias(dy, starts, N);
  const out = hold(gpu.upload(before));
  const call = { dy: hold(gpu.upload(dy)), starts: hold(gpu.upload(starts)), sequences: starts.length - 1, N, out };
  fisherBias(gpu, { ...call, accumulate: true });
  expectClose(await gpu.readFloats(out, N), want.map((v, i) => v + before[i]!), TOLERANCE);
  fisherBias(gpu, { ...call, accumulate: false, scale: 0.25 });
  expectClose(await gpu.readFloats(out, N), want.map((v) => v * 0.25), TOLERANCE);
});

test.each([["one", 1, 1], ["ragged", 67, 1], ["ragged", 8, 3], ["long", 5, 2]] as const)("fisherNorm, %s, C=%i, %i rows a token", async (batch, C, rowsPerToken) => {
  const gpu = await testGpu();
  const starts = startsOf(BATCHES[batch]!);
  const R = starts.at(-1)! * rowsPerToken;
  const x = randomFloats(11, R * C);
  const dy = randomFloats(12, R * C);
  const rstd = randomFloats(13, R).map(Math.abs);
  const before = randomFloats(14, C);
  const want = reference.fisherNorm(x, rstd, dy, starts, C, rowsPerToken);
  const out = hold(gpu.upload(before));
  const call = { x: hold(gpu.upload(x)), rstd: hold(gpu.upload(rstd)), dy: hold(gpu.upload(dy)), starts: hold(gpu.upload(starts)), sequences: starts.length - 1, C, rowsPerToken, out };
  fisherNorm(gpu, { ...call, accumulate: true });
  expectClose(await gpu.readFloats(out, C), want.map((v, i) => v + before[i]!), TOLERANCE);
  fisherNorm(gpu, { ...call, accumulate: false });
  expectClose(await gpu.readFloats(out, C), want, TOLERANCE);
});

describe("fisherEmbedding", () => {
  test.each([["one", 1], ["ragged", 5], ["long", 67]] as const)("%s, C=%i", async (batch, C) => {
    const gpu = await testGpu();
    const starts = startsOf(BATCHES[batch]!);
    const T = starts.at(-1)!;
    const V = 11;
    const tokens = Uint32Array.from({ length: T }, (_, t) => (t * 7 + (t >> 1)) % V);
    const dx = randomFloats(15, T * C);
    const ids = Uint32Array.from(new Set(tokens)).sort();
    const whole = reference.fisherEmbedding(dx, tokens, starts, V, C);
    const want = Array.from(ids).flatMap((id) => Array.from(whole.subarray(id * C, (id + 1) * C)));
    const out = hold(gpu.alloc(want.length * 4));
    const dxBuffer = hold(gpu.upload(dx));
    fisherEmbedding(gpu, { dx: dxBuffer, tokens, startsCpu: starts, ids, C, out, accumulate: false });
    expectClose(await gpu.readFloats(out, want.length), want, TOLERANCE);
    fisherEmbedding(gpu, { dx: dxBuffer, tokens, startsCpu: starts, ids, C, out, accumulate: true, scale: 2 });
    expectClose(await gpu.readFloats(out, want.length), want.map((v) => 3 * v), TOLERANCE);
  });

  test("a fixed list leaves other tokens out and gives zero to absent ones", async () => {
    const gpu = await testGpu();
    const starts = Uint32Array.of(0, 2, 3);
    const dx = hold(gpu.upload(Float32Array.of(1, 2, 4)));
    const out = hold(gpu.alloc(12));
            fisherEmbedding(gpu, { dx, tokens: Uint32Array.of(70_000, 5, 70_000), startsCpu: starts, ids: Uint32Array.of(2, 9, 70_000), C: 1, out });
    expect(Array.from(await gpu.readFloats(out, 3))).toEqual([0, 0, 17]);
  });
});
