import { beforeAll, describe, expect, test } from "vitest";
import type { Recipe, Reconciliation } from "../../../src/core/recipe";
import type { Checkpoint } from "../../../src/core/tensors";
import { openCheckpoint } from "../../../src/formats/checkpoint";
import { fisher as referenceFisher } from "../../reference/model/decoder";
import { expectClose, randomFloats } from "../../support/compare";
import { bench, fisherMemory, recipeFor, tensorBytesOf, valuesOf, watchedGpu, type Bench } from "../../support/engineBench";
import { jsonFile } from "../../support/models";
import { float64Parameters } from "../../support/nodeCheckpoint";
import { checkpointOf } from "../../support/perturbed";
import { randomModel, randomTokens, TINY, type RandomModel } from "../../support/tinyModel";

const HEAD = "lm_head.weight";
const EMBEDDING = "model.embed_tokens.weight";
const [V, C] = [TINY.qwen2Tied.vocab_size, TINY.qwen2Tied.hidden_size];
const TOKENS = randomTokens(3, V, [7, 5]);
const tokenizer = (names: Record<number, string>) => jsonFile("tokenizer_config.json", { tokenizer_class: "Qwen2Tokenizer", added_tokens_decoder: Object.fromEntries(Object.entries(names).map(([id, content]) => [id, { content, special: true }])) });

/** The case of METHODS 8.4 in miniature: a tied base of short context, an untied fine-tuned model of long context. */
describe("a tied base and an untied fine-tuned model", () => {
  let b: Bench;
  let base: RandomModel;
  let tuned: RandomModel;
  const kept = fisherMemory();

  beforeAll(async () => {
    base = await randomModel(TINY.qwen2Tied, "F32", 1);
    tuned = await randomModel({ ...TINY.qwen2Tied, tie_word_embeddings: false, max_position_embeddings: 4096 }, "F32", 2);
    base.checkpoint = await openCheckpoint("base", [...base.checkpoint.files, tokenizer({ 5: "<a>", 6: "<same>", 9: "<c>" })]);
    tuned.checkpoint = await openCheckpoint("tuned", [...tuned.checkpoint.files, tokenizer({ 5: "<x>", 6: "<same>", 9: "<y>", 11: "<only here>" })]);
    const otherTied = (await randomModel(TINY.qwen2Tied, "F32", 3)).checkpoint;
    b = bench((await watchedGpu()).gpu, { base: base.checkpoint, finetuned: tuned.checkpoint, otherTied }, { fisherFile: kept.fisherFile });
  });

  const merged = async (tied: Reconciliation["tied"], lambda: number, change: Partial<Reconciliation> = {}) => b.merge(recipeFor("task-arithmetic", { lambda }, { reconciliation: { tied, ...change } }));
  const count = (checkpoint: Checkpoint): number => [...checkpoint.tensors.values()].reduce((sum, t) => sum + t.elements, 0);
  const at = async (model: RandomModel, name: string) => valuesOf(model.checkpoint, name);
  const between = async (alpha: number) => {
    const [e0, h1] = [await at(base, EMBEDDING), await at(tuned, HEAD)];
    return e0.map((v, i) => v + alpha * (h1[i]! - v));
  };

  test("untie: the head is merged from the embedding and the fine-tuned head, exact at both ends", async () => {
    for (const lambda of [0, 0.5, 1]) {
      const { checkpoint, report } = await merged("untie", lambda);
      expect(report.checks.filter((c) => c.verdict === "fail")).toEqual([]);
      expect(checkpoint.config).toMatchObject({ tie_word_embeddings: false, max_position_embeddings: 4096 });
      expect(count(checkpoint)).toBe(count(base.checkpoint) + V * C);
      const head = await valuesOf(checkpoint, HEAD);
      if (lambda === 0.5) expectClose(head, await between(0.5), { atol: 1e-6 }, HEAD);
      else expect(head).toEqual(lambda === 0 ? await at(base, EMBEDDING) : await at(tuned, HEAD));
    }
  });

  test("tie-as-base: no head, and the parameters of the base", async () => {
    const { checkpoint } = await merged("tie-as-base", 0.5, { context: "base" });
    expect(checkpoint.config).toMatchObject({ tie_word_embeddings: true, max_position_embeddings: 128 });
    expect(checkpoint.tensors.has(HEAD)).toBe(false);
    expect(count(checkpoint)).toBe(count(base.checkpoint));
  });

  test("head-from-finetuned: its head, bit by bit", async () => {
    const { checkpoint } = await merged("head-from-finetuned", 0.5);
    expect(checkpoint.config.tie_word_embeddings).toBe(false);
    expect(await valuesOf(checkpoint, HEAD)).toEqual(await at(tuned, HEAD));
  });

  test("two tied models stay tied", async () => {
    const { checkpoint } = await b.merge(recipeFor("task-arithmetic", { lambda: 1 }, { models: [{ id: "otherTied", name: "other" }] }));
    expect(checkpoint.tensors.has(HEAD)).toBe(false);
    expect(await tensorBytesOf(checkpoint)).toEqual(await tensorBytesOf(b.models.get("otherTied")!));
  });

  test("FIM-TIES unties with alpha outside the blocks; the measured Fisher is that of the tied matrix", async () => {
    const recipe = recipeFor("fim-ties", { r: 0.3, outsideT: 0.4, calib: "off", keepFisher: true }, { tokens: TOKENS });
    const { checkpoint } = await b.merge(recipe);
    expectClose(await valuesOf(checkpoint, HEAD), await between(0.4), { atol: 1e-6 }, HEAD);
    const want = referenceFisher(base.config, await float64Parameters(base.checkpoint), TOKENS).get(EMBEDDING)!;
    const file = await kept.tensors();
    expect(file.tensors.has(HEAD)).toBe(false);
    expectClose(await valuesOf(file, EMBEDDING), want, { atol: 1e-4 * Math.max(...want), rtol: 1e-3 }, EMBEDDING);
    const rows = new Map((await b.shape(recipe)).experts[0]!.tensors.map((t) => [t.name, t]));
    expect(rows.get(HEAD)!.fisherMean).toBe(rows.get(EMBEDDING)!.fisherMean);
    expect(rows.get(HEAD)!.delta2Mean).not.toBe(rows.get(EMBEDDING)!.delta2Mean);
  });

  test("Fisher at the untied fine-tuned model keeps that of its own head", async () => {
    const recipe: Recipe = recipeFor("fim-ta", { fisherAt: "finetuned", keepFisher: true }, { tokens: TOKENS });
    await b.measure(recipe);
    const want = referenceFisher(tuned.config, await float64Parameters(tuned.checkpoint), TOKENS);
    const file = await kept.tensors();
    for (const name of [HEAD, EMBEDDING]) expectClose(await valuesOf(file, name), want.get(name)!, { atol: 1e-4 * Math.max(...want.get(name)!), rtol: 1e-3 }, name);
  });

  test.each(["mix", "base", "finetuned"] as const)("rows of ids with two meanings: %s", async (clashRows) => {
    const { checkpoint } = await merged("untie", 0.5, { clashRows });
    const mixed = (await merged("untie", 0.5)).checkpoint;
    for (const name of [EMBEDDING, HEAD]) {
      const [got, mix] = [await valuesOf(checkpoint, name), await valuesOf(mixed, name)];
      const theta0 = await at(base, EMBEDDING);
      const theta1 = await at(tuned, name);
      for (let row = 0; row < V; row++) {
        const clash = row === 5 || row === 9;
        const want = clash && clashRows === "base" ? theta0 : clash && clashRows === "finetuned" ? theta1 : mix;
        expect(got.subarray(row * C, (row + 1) * C), `${name} row ${row}`).toEqual(want.subarray(row * C, (row + 1) * C));
      }
    }
  });
});

test("a fused gate of an unknown architecture is a matrix like any other without Fisher", async () => {
  const name = "model.layers.0.mlp.gate_up_proj.weight";
  const make = (seed: number) => checkpointOf("fused", [{ name, dtype: "BF16", shape: [10, 6], values: randomFloats(seed, 60) }, { name: "model.norm.weight", dtype: "BF16", shape: [6], values: randomFloats(seed + 9, 6) }], [jsonFile("config.json", { architectures: ["Phi3ForCausalLM"], model_type: "phi3" })]);
  const [base, finetuned] = [await make(1), await make(2)];
  const b = bench(undefined, { base, finetuned });
  const { checkpoint } = await b.merge(recipeFor("task-arithmetic", { lambda: 0.25 }, { output: { dtype: "F32" } }));
  const [theta0, theta1] = [await valuesOf(base, name), await valuesOf(finetuned, name)];
  expectClose(await valuesOf(checkpoint, name), theta0.map((v, i) => v + 0.25 * (theta1[i]! - v)), { atol: 1e-7 }, name);
  await expect(bench((await watchedGpu()).gpu, { base, finetuned }).measure(recipeFor("fim-ta"))).rejects.toMatchObject({ code: "unknown-architecture", message: expect.stringContaining("Phi3ForCausalLM") as string });
});
