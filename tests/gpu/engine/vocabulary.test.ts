import { beforeAll, describe, expect, test } from "vitest";
import type { Recipe, Reconciliation } from "../../../src/core/recipe";
import type { Checkpoint } from "../../../src/core/tensors";
import { METHODS as REGISTERED } from "../../../src/merge/methods";
import { fisher as referenceFisher } from "../../reference/model/decoder";
import { mergeRows } from "../../reference/merge/vocabulary";
import { slerpReference } from "../../reference/merge/spherical";
import { percentileKeep, topKeep } from "../../reference/stats/trim";
import { expectClose } from "../../support/compare";
import { bench, recipeFor, tensorBytesOf, valuesOf, watchedGpu, type Bench } from "../../support/engineBench";
import { float64Parameters } from "../../support/nodeCheckpoint";
import { checkpointOf } from "../../support/perturbed";
import { randomModel, randomTokens, TINY, type RandomModel } from "../../support/tinyModel";

const [EMBEDDING, HEAD, C] = ["model.embed_tokens.weight", "lm_head.weight", TINY.qwen2Tied.hidden_size];
const [SHORT, LONG] = [47, 53];
const TOKENS = randomTokens(3, SHORT, [7, 5]);
type Vocabulary = NonNullable<Reconciliation["vocabulary"]>;
const VOCABULARIES: Vocabulary[] = ["base", "finetuned", "common"];

const METHODS: [string, Recipe["params"], (base: number[], tuned: number[]) => number[]][] = [
  ["task-arithmetic", { lambda: 0.7 }, (b, t) => b.map((v, i) => v + 0.7 * (t[i]! - v))],
  ["linear", { includeBase: true, baseWeight: 0.25 }, (b, t) => b.map((v, i) => (0.25 * v + t[i]!) / 1.25)],
  ["slerp", { t: 0.3 }, (b, t) => slerpReference(b, t, 0.3)],
  ["ties", { density: 0.4 }, (b, t) => {
    const keep = topKeep(t.map((v, i) => Math.abs(Math.fround(v - b[i]!))), Math.floor(0.4 * b.length));
    return b.map((v, i) => (keep[i] ? t[i]! : v));
  }],
];

/** Models by size and head, each of its own random weights. */
const models = new Map<string, RandomModel>();
const idOf = (rows: number, tied: boolean, seed: number): string => `${rows} ${tied ? "tied" : "untied"} ${seed}`;
let cpu: Bench;
let gpu: Bench;

beforeAll(async () => {
  for (const [seed, rows] of [[1, LONG], [2, SHORT], [1, SHORT], [2, LONG]] as const)
    for (const tied of [true, false]) models.set(idOf(rows, tied, seed), await randomModel({ ...TINY.qwen2Tied, vocab_size: rows, tie_word_embeddings: tied }, "F32", seed));
  const checkpoints = Object.fromEntries([...models].map(([id, m]) => [id, m.checkpoint]));
  // Slices of no whole number of rows: one of them lies on both sides of the end of the shorter model.
  cpu = bench(undefined, checkpoints, { sliceElements: 320 });
  gpu = bench((await watchedGpu()).gpu, checkpoints, { sliceElements: 320 });
});

interface Pair { baseTied: boolean; tunedTied: boolean; longer: "base" | "finetuned" }
const PAIRS: Pair[] = [
  { baseTied: true, tunedTied: true, longer: "base" }, { baseTied: true, tunedTied: false, longer: "finetuned" },
  { baseTied: false, tunedTied: true, longer: "base" }, { baseTied: false, tunedTied: false, longer: "finetuned" },
];
const rowsOf = ({ longer }: Pair, side: "base" | "finetuned"): number => (side === longer ? LONG : SHORT);
const recipe = (pair: Pair, method: string, params: Recipe["params"], reconciliation: Partial<Reconciliation>): Recipe => recipeFor(method, params, {
  base: { id: idOf(rowsOf(pair, "base"), pair.baseTied, 1), name: "base" }, models: [{ id: idOf(rowsOf(pair, "finetuned"), pair.tunedTied, 2), name: "tuned" }], reconciliation,
});
const sides = (pair: Pair): [Checkpoint, Checkpoint] => [models.get(idOf(rowsOf(pair, "base"), pair.baseTied, 1))!.checkpoint, models.get(idOf(rowsOf(pair, "finetuned"), pair.tunedTied, 2))!.checkpoint];
const plain = async (checkpoint: Checkpoint, name: string): Promise<number[]> => [...(await valuesOf(checkpoint, checkpoint.tensors.has(name) ? name : EMBEDDING))];
const outRows = (pair: Pair, vocabulary: Vocabulary): number => (vocabulary === "common" ? SHORT : rowsOf(pair, vocabulary));
const say = ({ baseTied, tunedTied, longer }: Pair): string => `base ${baseTied ? "tied" : "untied"}, fine-tuned ${tunedTied ? "tied" : "untied"}, ${longer} longer`;

describe.each(PAIRS.map((pair) => [say(pair), pair] as const))("%s", (_, pair) => {
  test.each(METHODS)("%s %j: every choice against float64, row by row, read back", async (method, params, merge) => {
    const [base, tuned] = sides(pair);
    for (const vocabulary of VOCABULARIES) {
      const { checkpoint, report } = await cpu.merge(recipe(pair, method, params, { vocabulary }));
      expect(report.checks.filter((c) => c.verdict !== "pass")).toEqual([]);
      const rows = outRows(pair, vocabulary);
      expect(checkpoint.config.vocab_size).toBe(rows);
      expect(report.checks.find((c) => c.id === "parameters")!.found).toContain(`${rows} token rows and vocab_size ${rows}`);
      for (const [name, { shape }] of checkpoint.tensors) {
        const [a, b] = [await plain(base, name), await plain(tuned, name)];
        const token = name === EMBEDDING || name === HEAD;
        if (token) expect(shape).toEqual([rows, C]);
        const want = token ? mergeRows(a, b, C, rows, merge) : merge(a, b);
        const got = await valuesOf(checkpoint, name);
        expectClose(got, Float64Array.from(want), { atol: 1e-6, rtol: 1e-6 }, `${method}, ${vocabulary}, ${name}`);
        // What only one model has is its own, bit by bit.
        if (token) expect([...got.subarray(SHORT * C)]).toEqual(want.slice(SHORT * C));
      }
    }
  });

  test("the GPU and other slices write the same bytes", async () => {
    for (const [method, params] of METHODS) {
      const wanted = recipe(pair, method, params, { vocabulary: pair.longer });
      const want = await tensorBytesOf((await cpu.merge(wanted)).checkpoint);
      const { checkpoint, report } = await gpu.merge(wanted);
      expect(await tensorBytesOf(checkpoint), method).toEqual(want);
      // Both sides of each tile that is computed again are read where they are drawn.
      expect(report.reads, "every other read is planned, none in vain").toMatchObject({ unplanned: 2 * report.tiles.compared, dropped: 0 });
    }
    const whole = bench(undefined, Object.fromEntries([...models].map(([id, m]) => [id, m.checkpoint])));
    const wanted = recipe(pair, "ties", { density: 0.4, scope: "model" }, { vocabulary: pair.longer });
    expect(await tensorBytesOf((await whole.merge(wanted)).checkpoint)).toEqual(await tensorBytesOf((await cpu.merge(wanted)).checkpoint));
  });

  test("FIM-TIES: one pass for every choice, sums and masks over the rows in common", async () => {
    const [base, tuned] = sides(pair);
    const params = { r: 0.3, outsideT: 0.4, calib: "off", trimEmbed: "magnitude" };
    const merge = (b: number[], t: number[]): number[] => {
      const keep = percentileKeep(t.map((v, i) => Math.abs(Math.fround(v - b[i]!))), 0.3);
      return b.map((v, i) => v + (keep[i] ? 0.4 * (t[i]! - v) : 0));
    };
    const passes = new Set<string>();
    for (const vocabulary of VOCABULARIES) {
      const wanted: Recipe = { ...recipe(pair, "fim-ties", params, { vocabulary }), tokens: TOKENS };
      passes.add((await gpu.measure(wanted)).key);
      const { checkpoint, report } = await gpu.merge(wanted);
      expect(report.checks.filter((c) => c.verdict !== "pass")).toEqual([]);
      for (const name of [EMBEDDING, HEAD].filter((n) => checkpoint.tensors.has(n))) {
        const want = mergeRows(await plain(base, name), await plain(tuned, name), C, outRows(pair, vocabulary), merge);
        expectClose(await valuesOf(checkpoint, name), Float64Array.from(want), { atol: 1e-6 }, `${vocabulary}, ${name}`);
      }
      const { config } = models.get(wanted.base.id!)!;
      const F = referenceFisher(config, await float64Parameters(base), TOKENS);
      for (const row of (await gpu.shape(wanted)).experts[0]!.tensors.filter((t) => t.name === EMBEDDING || t.name === HEAD)) {
        const values = F.get(base.tensors.has(row.name) ? row.name : EMBEDDING)!.slice(0, SHORT * C);
        const mean = values.reduce((a, v) => a + v, 0) / values.length;
        expect(row.elements).toBe(SHORT * C);
        expect(Math.abs(row.fisherMean! - mean), row.name).toBeLessThan(1e-3 * mean);
      }
    }
    expect(passes.size).toBe(1);
  });
});

test.each(PAIRS.filter((p) => !p.baseTied).map((pair) => [say(pair), pair] as const))("Fisher at the fine-tuned model: its means are over the rows in common, and its ids are those it has; %s", async (_, pair) => {
  const tuned = sides(pair)[1];
  const F = referenceFisher(models.get(idOf(rowsOf(pair, "finetuned"), pair.tunedTied, 2))!.config, await float64Parameters(tuned), TOKENS);
  const report = await gpu.measure({ ...recipe(pair, "fim-ta", { fisherAt: "finetuned" }, {}), tokens: TOKENS });
  expect(report.reads).toMatchObject({ dropped: 0 });
  for (const row of (await gpu.shape({ ...recipe(pair, "fim-ta", { fisherAt: "finetuned" }, {}), tokens: TOKENS })).experts[0]!.tensors.filter((t) => t.name === EMBEDDING || t.name === HEAD)) {
    const values = F.get(tuned.tensors.has(row.name) ? row.name : EMBEDDING)!.slice(0, SHORT * C);
    const mean = values.reduce((a, v) => a + v, 0) / values.length;
    expect(Math.abs(row.fisherMean! - mean), row.name).toBeLessThan(1e-3 * mean);
  }
  // Random ids: as many as the shorter vocabulary has.
  expect((await gpu.measure(recipe(pair, "fim-ta", { fisherAt: "finetuned", N: 2, len: 40 }, {}))).losses.every(Number.isFinite)).toBe(true);
});

test("two models of different sizes: merged as far as all reach, the rest is the first one's", async () => {
  const models = [idOf(LONG, false, 2), idOf(SHORT, false, 2)].map((id) => ({ id, name: id }));
  const base = { id: idOf(SHORT, false, 1), name: "base" };
  const { checkpoint, report } = await cpu.merge(recipeFor("task-arithmetic", { lambda: 0.5 }, { base, models, reconciliation: { vocabulary: "finetuned" } }));
  expect(report.checks.filter((c) => c.verdict !== "pass")).toEqual([]);
  for (const name of [EMBEDDING, HEAD]) {
    const [a, b, c] = await Promise.all([base, ...models].map(({ id }) => plain(cpu.models.get(id)!, name)));
    const want = b!.map((v, i) => (i < SHORT * C ? a![i]! + 0.5 * (v - a![i]! + c![i]! - a![i]!) : v));
    expectClose(await valuesOf(checkpoint, name), Float64Array.from(want), { atol: 1e-6 }, name);
    expect((await plain(checkpoint, name)).slice(SHORT * C)).toEqual(b!.slice(SHORT * C));
  }
});

test("heads that are copied have the rows of the result", async () => {
  const pair = PAIRS[1]!;
  const [base, tuned] = sides(pair);
  for (const vocabulary of VOCABULARIES) {
    const { checkpoint, report } = await cpu.merge(recipe(pair, "task-arithmetic", { lambda: 0.5 }, { vocabulary, tied: "head-from-finetuned" }));
    expect(report.checks.filter((c) => c.verdict !== "pass")).toEqual([]);
    expect(await plain(checkpoint, HEAD)).toEqual((await plain(tuned, HEAD)).slice(0, outRows(pair, vocabulary) * C));
  }
  const other = PAIRS[2]!;
  const short: Pair = { ...other, longer: "finetuned" };
  const { checkpoint } = await cpu.merge(recipe(short, "task-arithmetic", { lambda: 0.5 }, { vocabulary: "finetuned", tied: "tie-as-base" }));
  const [kept, extra] = [await plain(sides(short)[0], HEAD), await plain(sides(short)[1], EMBEDDING)];
  expect(await plain(checkpoint, HEAD)).toEqual([...kept, ...extra.slice(SHORT * C)]);
  expect(base.tensors.has(HEAD)).toBe(false);
});

test("the output's dtype holds for every row, rounded once", async () => {
  const pair = PAIRS[3]!;
  const { checkpoint } = await cpu.merge({ ...recipe(pair, "task-arithmetic", { lambda: 1 }, { vocabulary: "finetuned" }), output: { dtype: "BF16", maxShardBytes: 5e9, name: "merged" } });
  expect(checkpoint.tensors.get(EMBEDDING)!.dtype).toBe("BF16");
  const want = await plain(sides(pair)[1], EMBEDDING);
  (await valuesOf(checkpoint, EMBEDDING)).forEach((v, i) => expect(Math.abs(v - want[i]!)).toBeLessThanOrEqual(Math.abs(want[i]!) / 256));
});

test("NaN in rows that only one model has is copied and named; in rows in common it ends the merge", async () => {
  const pair = PAIRS[0]!;
  const [base, tuned] = sides(pair);
  const withNaN = async (row: number): Promise<Bench> => {
    const tensors = await Promise.all([...base.tensors.values()].map(async ({ name, shape }) => ({ name, dtype: "F32" as const, shape, values: await valuesOf(base, name) })));
    tensors.find((t) => t.name === EMBEDDING)!.values[row * C + 1] = NaN;
    return bench(undefined, { base: await checkpointOf("base", tensors, base.files), finetuned: tuned });
  };
  const wanted = recipeFor("task-arithmetic", { lambda: 0.5 }, { reconciliation: { vocabulary: "base" } });
  const { report } = await (await withNaN(SHORT)).merge(wanted);
  expect(report.checks.find((c) => c.id === "values")).toMatchObject({ verdict: "pass", found: expect.stringMatching(/copied with the NaN or infinite values of the input: model\.embed_tokens\.weight \(1, first at/) as string });
  await expect((await withNaN(SHORT - 1)).merge(wanted)).rejects.toMatchObject({ code: "bad-file", message: expect.stringContaining(EMBEDDING) as string });
});

test("single rows take their own choice, in embedding and head", async () => {
  const pair = PAIRS[3]!;
  const [base, tuned] = sides(pair);
  const rows = { 3: "base", 4: "base", 5: "finetuned", 20: "mix" } as const;
  const { checkpoint } = await gpu.merge(recipe(pair, "task-arithmetic", { lambda: 0.5 }, { vocabulary: "finetuned", rows }));
  const mixed = (await gpu.merge(recipe(pair, "task-arithmetic", { lambda: 0.5 }, { vocabulary: "finetuned" }))).checkpoint;
  for (const name of [EMBEDDING, HEAD]) {
    const [got, mix, a, b] = await Promise.all([checkpoint, mixed, base, tuned].map((c) => plain(c, name)));
    for (let row = 0; row < LONG; row++) {
      const want = row === 3 || row === 4 ? a! : row === 5 ? b! : mix!;
      expect(got!.slice(row * C, (row + 1) * C), `${name} row ${row}`).toEqual(want.slice(row * C, (row + 1) * C));
    }
  }
  await expect(cpu.merge(recipe(pair, "task-arithmetic", {}, { rows: { [SHORT]: "base" } }))).rejects.toMatchObject({ code: "bad-recipe", message: expect.stringContaining(`reconciliation.rows.${SHORT}`) as string });
});

test("every registered method merges the rows in common and keeps the others", async () => {
  const base = { id: idOf(LONG, false, 1), name: "base" };
  const [one, two] = [{ id: idOf(SHORT, false, 2), name: "one" }, { id: idOf(LONG, false, 2), name: "two" }];
  const b = gpu.models.get(base.id)!;
  const want = await plain(b, EMBEDDING);
  for (const method of REGISTERED) {
    const alone = method.needs.maxModels < 2;
    // Methods without gradients and calibration have been seen to write the GPU's bytes on the CPU, which needs no kernels.
    const reads = method.needs.fisher || method.gpuPass !== undefined;
    const { checkpoint, report } = await (reads ? gpu : cpu).merge(recipeFor(method.id, {}, { base, models: alone ? [one] : [one, two], reconciliation: { vocabulary: "base" }, ...(reads ? { tokens: TOKENS } : {}) }));
    expect(report.checks.filter((c) => c.verdict !== "pass"), method.id).toEqual([]);
    for (const name of [EMBEDDING, HEAD]) expect([...(await valuesOf(checkpoint, name)).subarray(SHORT * C)], `${method.id}, ${name}`).toEqual((name === EMBEDDING ? want : await plain(b, HEAD)).slice(SHORT * C));
  }
});
