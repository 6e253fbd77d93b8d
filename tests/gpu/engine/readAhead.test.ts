import { beforeAll, expect, test } from "vitest";
import type { Recipe } from "../../../src/core/recipe";
import type { Checkpoint } from "../../../src/core/tensors";
import type { ExportReport, MeasureReport } from "../../../src/engine/api";
import { bench, digest, recipeFor, watchedGpu } from "../../support/engineBench";
import { randomModel, randomTokens, TINY } from "../../support/tinyModel";
import { wrappedGpu } from "../../support/wrappedGpu";

/** Matrices above the size of a small read, and an embedding of several slices. */
const CONFIG = { ...TINY.qwen2Tied, tie_word_embeddings: false, hidden_size: 128, num_attention_heads: 4, num_key_value_heads: 2, intermediate_size: 384, num_hidden_layers: 3, vocab_size: 1501 };

let gpu: GPU;
let models: Record<string, Checkpoint>;
beforeAll(async () => {
  gpu = (await watchedGpu()).gpu;
  models = { base: (await randomModel(CONFIG, "BF16", 1)).checkpoint, finetuned: (await randomModel(CONFIG, "BF16", 2)).checkpoint };
});

/** What is in memory answers at once; a disk does not. `reading` counts reads on their way. */
function slow(checkpoint: Checkpoint, reading: { now: number }): Checkpoint {
  return {
    ...checkpoint, tensors: checkpoint.tensors, text: (path) => checkpoint.text(path),
    read: async (name, offset, length, into) => {
      reading.now++;
      await new Promise((resolve) => setTimeout(resolve, 2));
      reading.now--;
      return checkpoint.read(name, offset, length, into);
    },
  };
}

interface Run {
  measured: MeasureReport;
  report: ExportReport;
  files: Record<string, string>;
  /** Submits that were made while at least one read was on its way, and all of them. */
  submits: { reading: number; all: number };
}

let device: GPUDevice | undefined;
const reading = { now: 0 };
const submits = { reading: 0, all: 0 };

/** One device for all runs, so that kernels are compiled once; its submits are counted. */
const watched = (): GPU =>
  wrappedGpu(gpu, async (request) => {
    if (device) return device;
    device = await request();
    const submit = device.queue.submit.bind(device.queue);
    device.queue.submit = (commands) => {
      submits.all++;
      if (reading.now > 0) submits.reading++;
      submit(commands);
    };
    return device;
  });

async function run(recipe: Recipe, readAhead: number): Promise<Run> {
  const before = { ...submits };
  const b = bench(watched(), { base: slow(models.base!, reading), finetuned: slow(models.finetuned!, reading) }, { readAhead, sliceElements: 64 * 640 });
  const measured = await b.measure(recipe);
  const { report, files } = await b.merge(recipe);
  expect(report.checks.filter((c) => c.verdict !== "pass")).toEqual([]);
  return {
    measured, report,
    files: Object.fromEntries([...files].filter(([path]) => path.endsWith(".safetensors")).map(([path, bytes]) => [path, digest(bytes)])),
    submits: { reading: submits.reading - before.reading, all: submits.all - before.all },
  };
}

const fisher = recipeFor("fim-ties", { r: 0.2 }, { tokens: randomTokens(1, 1501, [8, 6]) });
/** The Fisher merge with a ring of this size, run once. */
const known = new Map<number, Promise<Run>>();
const fisherRun = (buffers: number): Promise<Run> => {
  const made = known.get(buffers) ?? run(fisher, buffers);
  known.set(buffers, made);
  return made;
};
const sum = (counts: NonNullable<MeasureReport["reads"]>): number => counts.ahead + counts.late + counts.unplanned;

test("the same bytes with a ring of 1, 2 and 4 buffers, and without one; reads go on while the GPU computes", async () => {
  const off = await fisherRun(0);
  expect(off.measured.reads).toMatchObject({ ahead: 0, dropped: 0 });
  expect(off.report.reads).toMatchObject({ ahead: 0, dropped: 0 });
  expect(off.submits.reading).toBe(0);
  for (const buffers of [1, 2, 4]) {
    const ring = await fisherRun(buffers);
    expect(ring.files, `${buffers} buffers`).toEqual(off.files);
    expect(ring.measured.losses).toEqual(off.measured.losses);
    expect(ring.submits.reading, `${buffers} buffers`).toBeGreaterThan(0);
    expect(sum(ring.measured.reads!)).toBe(sum(off.measured.reads!));
  }
}, 240_000);

test("the plan of a pass names every read of its models, and nearly all are made ahead", async () => {
  const { measured, report } = await fisherRun(4);
  // What an embedding without a tied head changes is walked slice by slice, outside the plan.
  expect(measured.reads!.dropped).toBe(0);
  expect(measured.reads!.unplanned).toBeLessThan(0.1 * sum(measured.reads!));
  expect(measured.reads!.ahead).toBeGreaterThan(0.8 * sum(measured.reads!));
  expect(report.reads!.dropped).toBe(0);
  expect(report.reads!.ahead).toBeGreaterThan(report.reads!.late);
});

test.each([["ties", { density: 0.3 }], ["linear", {}], ["task-arithmetic", { lambda: 0.5 }]] as const)("%s: the same bytes with and without, and nothing is read in vain", async (method, params) => {
  const recipe = recipeFor(method, params);
  const off = await run(recipe, 0);
  const on = await run(recipe, 4);
  expect(on.files).toEqual(off.files);
  expect(on.report.reads!.dropped).toBe(0);
});

test("reports say what each phase's time went to", async () => {
  const { measured, report } = await fisherRun(4);
  const phase = (from: MeasureReport | ExportReport, id: string) => from.phases!.find((p) => p.phase === id)!;
  const stages = (from: MeasureReport | ExportReport, id: string) => Object.fromEntries(phase(from, id).stages.map((s) => [s.stage, s]));
  const bytes = [...models.base!.tensors.values()].reduce((total, t) => total + t.end - t.begin, 0);
  const inBlocks = [...models.base!.tensors.values()].filter((t) => t.name.startsWith("model.layers")).reduce((total, t) => total + t.end - t.begin, 0);
  const forward = stages(measured, "forward");
  expect(forward.upload!.bytes).toBeGreaterThanOrEqual(inBlocks);
  const pass = ["forward", "backward"].map((id) => stages(measured, id));
  expect(pass.reduce((total, s) => total + s.read!.bytes, 0)).toBeGreaterThan(2 * bytes);
  for (const s of pass) expect(s.compute!.busyMs).toBeGreaterThan(0);
  expect(pass[1]!.readback!.bytes).toBeGreaterThan(0);
  expect(stages(report, "write").read!.bytes).toBe(2 * bytes);
  expect(stages(report, "write").readback!.bytes).toBe(bytes);
  expect(stages(report, "verify").hash!.bytes).toBeGreaterThanOrEqual(bytes);
  for (const from of [measured, report])
    for (const { wallMs, stages: all } of from.phases!) for (const { stage, busyMs } of all) if (stage !== "hash" && stage !== "write") expect(busyMs, stage).toBeLessThanOrEqual(wallMs + 1);
});
