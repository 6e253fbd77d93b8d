import { afterEach, describe, expect, test } from "vitest";
import { autotune, largestDifference, tuneKey, tuneKeyText, type Candidate, type TuneCase } from "../../../src/gpu/autotune";
import { defineKernel } from "../../../src/gpu/kernel";
import type { Gpu } from "../../../src/gpu/gpu";
import { everywhere, FORMS, formOf, HARDWARE_FORMS, TILES, useForms } from "../../../src/kernels/nn/forms";
import { formChoices, tuneKernels } from "../../../src/kernels/nn/tuning";
import { testGpu } from "../../support/gpu";

const held: GPUBuffer[] = [];
afterEach(async () => {
  const gpu = await testGpu();
  gpu.release(...held.splice(0));
  useForms(gpu, undefined);
});

const key = { vendor: "v", architecture: "a", device: "d", browserMajor: "Node 1" };
const COUNT = 256;

/** out[i] = value(i), repeated `turns` times to take long; `code` replaces the assignment, also by something invalid. */
function candidate(gpu: Gpu, out: GPUBuffer, id: string, code: string, turns = 1): Candidate {
  const kernel = defineKernel({
    name: `test/${id}`,
    wgsl: `struct Params { n: u32, group0: u32 }
      @group(0) @binding(0) var<storage, read_write> out: array<f32>;
      @group(0) @binding(1) var<uniform> params: Params;
      @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
        let i = id.x + params.group0;
        for (var turn = 0u; turn < ${turns}u; turn++) { ${code} }
      }`,
    inputs: [],
    outputs: ["out"],
    params: { n: "u32", group0: "u32" },
    workgroups: ({ n }) => Math.ceil(n / 64),
  });
  return { id, encode: () => gpu.run(kernel, { out }, { n: COUNT }) };
}

async function makeCase(make: (gpu: Gpu, out: GPUBuffer) => Candidate[]): Promise<[Gpu, TuneCase]> {
  const gpu = await testGpu();
  const out = gpu.alloc(COUNT * 4);
  held.push(out);
  return [gpu, { kernel: "k", shapeClass: "s", candidates: make(gpu, out), read: () => gpu.readFloats(out, COUNT), tolerance: 1e-6, flops: COUNT }];
}

describe("autotune", () => {
  test("takes the fastest, drops what does not compile and what differs", async () => {
    const [gpu, tuneCase] = await makeCase((g, out) => [
      candidate(g, out, "slow", "out[i] = f32(i + 1u) + 0.0 * f32(turn);", 20_000),
      candidate(g, out, "broken", "out[i] = no_such_name;"),
      candidate(g, out, "wrong", "out[i] = f32(i + 2u);"),
      candidate(g, out, "fast", "out[i] = f32(i + 1u);"),
    ]);
    const result = await autotune(gpu, [tuneCase], { key, evenSoftware: true, budgetMs: 60_000 });
    const [tuned] = result.cases;
    expect(tuned?.chosen).toBe("fast");
    expect(tuned?.candidates.map(({ id, dropped }) => [id, dropped !== undefined])).toEqual([["slow", false], ["broken", true], ["wrong", true], ["fast", false]]);
    expect(tuned?.candidates[1]?.dropped).toMatch(/no_such_name|invalid/i);
    expect(tuned?.candidates[2]?.dropped).toMatch(/differs from slow/);
    expect(tuned?.candidates[0]?.medianMs).toBeGreaterThan(tuned!.candidates[3]!.medianMs!);
    expect(JSON.parse(JSON.stringify(result)), "plain data").toEqual(result);
    await gpu.sync(); // a dropped candidate leaves no error behind
  });

  test("a first candidate that fails is not the reference", async () => {
    const [gpu, tuneCase] = await makeCase((g, out) => [candidate(g, out, "broken first", "nonsense;"), candidate(g, out, "good", "out[i] = 1.0;")]);
    expect((await autotune(gpu, [tuneCase], { key, evenSoftware: true })).cases[0]?.chosen).toBe("good");
  });

  test("without time left, and on a software adapter, the first candidates are taken unmeasured", async () => {
    const [gpu, tuneCase] = await makeCase((g, out) => [candidate(g, out, "default", "out[i] = 1.0;"), candidate(g, out, "other", "out[i] = 1.0;")]);
    const spent = await autotune(gpu, [tuneCase], { key, evenSoftware: true, budgetMs: 0 });
    expect(spent).toMatchObject({ stopped: "budget", cases: [{ chosen: "default", candidates: [{ id: "default" }, { id: "other" }] }] });
    expect(spent.cases[0]?.candidates[0]?.medianMs).toBeUndefined();
    if (gpu.software) expect(await autotune(gpu, [tuneCase], { key })).toMatchObject({ stopped: "software", cases: [{ chosen: "default" }] });
  });

  test("stops at the budget, between two cases", async () => {
    const [gpu, tuneCase] = await makeCase((g, out) => [candidate(g, out, "only", "out[i] = 1.0;")]);
    let time = 0;
    const result = await autotune(gpu, [tuneCase, { ...tuneCase, shapeClass: "later" }], { key, evenSoftware: true, budgetMs: 3, now: () => time++ });
    expect(result.stopped).toBe("budget");
    expect(result.cases.map(({ candidates }) => candidates[0]?.medianMs !== undefined)).toEqual([true, false]);
  });

  test("refuses five candidates", async () => {
    const [gpu, tuneCase] = await makeCase((g, out) => Array.from({ length: 5 }, (_, i) => candidate(g, out, `c${i}`, "out[i] = 1.0;")));
    await expect(autotune(gpu, [tuneCase], { key })).rejects.toMatchObject({ code: "internal" });
  });
});

test("largestDifference", () => {
  expect(largestDifference(Float32Array.of(1, -4), Float32Array.of(1, -4))).toBe(0);
  expect(largestDifference(Float32Array.of(1, -3), Float32Array.of(1, -4))).toBe(0.25);
  expect(largestDifference(Float32Array.of(NaN), Float32Array.of(1))).toBe(Infinity);
  expect(largestDifference(Float32Array.of(1), Float32Array.of(1, 2))).toBe(Infinity);
});

test("a key tells adapters and browser versions apart", async () => {
  const { facts } = await testGpu();
  const text = tuneKeyText(tuneKey(facts, "Chrome 141"));
  expect(text).not.toBe(tuneKeyText(tuneKey(facts, "Chrome 142")));
  expect(text).not.toBe(tuneKeyText(tuneKey({ ...facts, architecture: "other" }, "Chrome 141")));
  expect(tuneKey(facts, "x").device).toBe(facts.description);
});

test("every tile stays within 256 invocations and 16 KiB of workgroup memory", () => {
  for (const { GROUP_X, GROUP_Y, ROWS, COLUMNS, DEPTH } of Object.values(TILES)) {
    expect(GROUP_X * GROUP_Y).toBeLessThanOrEqual(256);
    expect(4 * DEPTH * (GROUP_X * COLUMNS + GROUP_Y * ROWS)).toBeLessThanOrEqual(16_384);
    expect(DEPTH % 4).toBe(0);
  }
  expect(HARDWARE_FORMS.length).toBeLessThanOrEqual(4);
});

test("tuneKernels measures every kernel and class, sets the choice and keeps it as data", async () => {
  const gpu = await testGpu();
  expect(formOf(gpu, "gemm_nt", 512)).toBe(gpu.software ? "register" : HARDWARE_FORMS[0]);
  const forms = ["32x32/8x8", "register"] as const;
  const result = await tuneKernels(gpu, { key, forms, size: 64, rows: { "many rows": 128 }, evenSoftware: true, budgetMs: 60_000 });
  expect(result.stopped).toBeUndefined();
  expect(result.cases).toHaveLength(6);
  for (const { candidates } of result.cases) for (const { id, dropped, medianMs } of candidates) expect([id, dropped, medianMs! > 0]).toEqual([id, undefined, true]);
  for (const { kernel, shapeClass, chosen } of result.cases) expect(formOf(gpu, kernel as "gemm_nt", shapeClass === "few rows" ? 64 : 65)).toBe(chosen);
  useForms(gpu, formChoices({ ...result, cases: [{ kernel: "gemm_nt", shapeClass: "few rows", chosen: "of another version", candidates: [] }] }));
  expect(FORMS).toContain(formOf(gpu, "gemm_nt", 1));
  useForms(gpu, everywhere("64x64/8x8"));
  expect(formOf(gpu, "fisher_tn", 1)).toBe("64x64/8x8");
  if (gpu.software) {
    expect((await tuneKernels(gpu, { key })).stopped).toBe("software");
    expect(formOf(gpu, "fisher_tn", 1), "a software adapter goes back to its form").toBe("register");
  }
});
