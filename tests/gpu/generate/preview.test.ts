import { expect, test } from "vitest";
import type { Checkpoint } from "../../../src/core/tensors";
import { openRecipe } from "../../../src/engine/context";
import { PassStore } from "../../../src/engine/passStore";
import { planWork } from "../../../src/engine/work";
import { virtualCheckpoint } from "../../../src/export/virtual";
import { createGenerator } from "../../../src/generate/generator";
import { stopIds } from "../../../src/generate/stopIds";
import { parseModelConfig } from "../../../src/model/config";
import { createDecoder } from "../../../src/model/decoder";
import { tokenizerOf } from "../../../src/text/tokenizer";
import { bench, recipeFor, tensorBytesOf, watchedGpu } from "../../support/engineBench";
import { sampleCheckpoint, sampleProblems } from "../../support/nodeCheckpoint";
import { testGpu } from "../../support/gpu";


const problems = sampleProblems(2).map((p) => p.prompt);

/** The merge of a pair that is never written, and the same merge written and opened again. */
test("a preview of FIM-TIES answers as its export does, from the same bytes", async () => {
  const [base, finetuned] = [await sampleCheckpoint("base"), await sampleCheckpoint("long-cot")];
  const b = bench((await watchedGpu()).gpu, { base, finetuned });
  const recipe = recipeFor("fim-ties", { N: 2, len: 16 });
  const { signal } = new AbortController();
  const { checkpoint: written } = await b.merge(recipe);
  const context = await openRecipe(recipe, async (id) => b.models.get(id)!);
  const shape = await b.shape(recipe);
  const store = new PassStore(b.env.passes);
  const key = [...b.passes.keys()].find((k) => k.startsWith("pass/"))?.slice("pass/".length);
  const pass = (await store.get(key!))!;
  const gpu = await testGpu();
  const measured = { stats: new Map(pass.stats.map((s) => [s.name, s])), masks: store.masks(pass.key), arrays: store.arrays(pass.key) };
  const merged = virtualCheckpoint({ gpu, sources: { base, experts: [finetuned] }, recipe: context.recipe, plan: context.plan, workOf: await planWork(context, shape, measured, signal), signal });

  const tokenizer = await tokenizerOf(base);
  const prompts = problems.map((text) => tokenizer.encode(text));
  const stops = (await stopIds(base)).map(({ id }) => id);
  const answers = async (model: Checkpoint) => {
    const generator = await createGenerator(gpu, model, parseModelConfig(model.config));
    const found = await generator.generate(prompts, { maxNewTokens: 60, stopIds: stops });
    generator.end();
    return found.map(({ ids, stop }) => ({ ids, stop }));
  };
  const before = gpu.liveBytes;
  const preview = await answers(merged);
  expect(gpu.liveBytes, "bytes held after the preview").toBe(before);
  expect(preview).toEqual(await answers(written));
  expect(preview.some(({ stop }) => stop === "stop id")).toBe(true);
  expect(await tensorBytesOf(merged)).toEqual(await tensorBytesOf(written));

  // The whole computation of the same tokens chooses each of them again.
  const sequence = [...prompts[0]!, ...preview[0]!.ids];
  const { logits } = await createDecoder(gpu, written, parseModelConfig(written.config)).forward([sequence], { loss: false, logitsOf: (_, position) => position >= prompts[0]!.length - 1 && position + 1 < sequence.length });
  expect(logits.map(({ values }) => values.reduce((best, v, id) => (v > values[best]! ? id : best), 0))).toEqual(preview[0]!.ids);
});
