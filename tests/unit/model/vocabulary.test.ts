import { describe, expect, test } from "vitest";
import type { Checkpoint } from "../../../src/core/tensors";
import type { Reconciliation } from "../../../src/core/recipe";
import { preflight } from "../../../src/analysis/preflight";
import { outputConfig } from "../../../src/export/config";
import { planOutput } from "../../../src/export/plan";
import { bodyElements, bodyShape } from "../../../src/model/pairing";
import { chooseRows, vocabularyOf } from "../../../src/model/vocabulary";
import { tinyModel } from "../../support/models";
import { tinyRecipe } from "../../support/recipes";

const [WIDTH, EMBEDDING, HEAD] = [8, "model.embed_tokens.weight", "lm_head.weight"];
const model = (name: string, rows: number, tied = false): Promise<Checkpoint> => tinyModel(name, { config: { vocab_size: rows, tie_word_embeddings: tied } });
const planned = (base: Checkpoint, tuned: Checkpoint[], reconciliation: Partial<Reconciliation>) => {
  const plan = planOutput(base, tuned, tinyRecipe({ reconciliation }));
  const of = (name: string) => {
    const tensor = plan.tensors.find((t) => t.name === name);
    return tensor && { rows: tensor.shape[0], action: tensor.action, from: tensor.from, body: bodyElements(tensor) / WIDTH, rest: tensor.rest };
  };
  return { plan, of };
};

describe("rows where the vocabularies differ in size", () => {
  test.each<[string, [number, number], NonNullable<Reconciliation["vocabulary"]>, number, "base" | "finetuned" | undefined]>([
    ["the base is longer, as the base", [24, 20], "base", 24, "base"],
    ["the base is longer, as the fine-tuned", [24, 20], "finetuned", 20, undefined],
    ["the fine-tuned is longer, as the base", [20, 24], "base", 20, undefined],
    ["the fine-tuned is longer, as the fine-tuned", [20, 24], "finetuned", 24, "finetuned"],
    ["in common", [24, 20], "common", 20, undefined],
  ])("%s", async (_, [a, b], vocabulary, rows, rest) => {
    const { plan, of } = planned(await model("base", a), [await model("tuned", b)], { vocabulary });
    for (const name of [EMBEDDING, HEAD]) expect(of(name)).toEqual({ rows, action: "merge", from: "base", body: 20, rest: rest && { at: 20 * WIDTH, from: rest } });
    expect(plan.vocab).toBe(rows);
    expect(outputConfig(await model("base", a), [await model("tuned", b)], tinyRecipe(), plan).vocab_size).toBe(rows);
  });

  test("the tokenizer decides where nothing is chosen", () => {
    expect([vocabularyOf({ tokenizer: "finetuned" }), vocabularyOf({ tokenizer: "base" }), vocabularyOf({ tokenizer: "base", vocabulary: "common" })]).toEqual(["finetuned", "base", "common"]);
  });

  test("equal sizes change nothing, whatever is chosen", async () => {
    const pair = [await model("base", 20, true), await model("tuned", 20)] as const;
    const plain = planned(pair[0], [pair[1]], {}).plan;
    for (const vocabulary of ["base", "finetuned", "common"] as const) expect(planned(pair[0], [pair[1]], { vocabulary }).plan.tensors).toEqual(plain.tensors);
    expect(plain.vocab).toBeUndefined();
  });

  test("several models: merged as far as all reach, the rest is that of the model whose vocabulary it is", async () => {
    const tuned = [await model("one", 24), await model("two", 18)];
    const base = await model("base", 22);
    expect(planned(base, tuned, { vocabulary: "base" }).of(EMBEDDING)).toMatchObject({ rows: 22, body: 18, rest: { from: "base" } });
    expect(planned(base, tuned, { vocabulary: "finetuned" }).of(HEAD)).toMatchObject({ rows: 24, body: 18, rest: { from: "finetuned" } });
    expect(planned(base, tuned, { vocabulary: "common" }).of(HEAD)).toMatchObject({ rows: 18, body: 18, rest: undefined });
  });

  test.each([[true, true], [true, false], [false, true], [false, false]])("tied base %s, tied fine-tuned %s: every choice has one number of rows and of parameters", async (baseTied, tunedTied) => {
    for (const [a, b] of [[24, 20], [20, 24]] as const) {
      const pair = [await model("base", a, baseTied), await model("tuned", b, tunedTied)] as const;
      for (const tied of ["untie", "tie-as-base", "head-from-finetuned"] as const)
        for (const vocabulary of ["base", "finetuned", "common"] as const) {
          const { plan, of } = planned(pair[0], [pair[1]], { tied, vocabulary });
          const rows = { base: a, finetuned: b, common: 20 }[vocabulary];
          const [embedding, head] = [of(EMBEDDING)!, of(HEAD)];
          expect([embedding.rows, plan.vocab]).toEqual([rows, rows]);
          if (head) expect(head.rows).toBe(rows);
          expect(head === undefined).toBe(plan.tied);
          const check = await preflight(pair[0], [pair[1]], { tied, vocabulary, tokenizer: "base" });
          expect([check.parameters, check.vocab]).toEqual([plan.parameters, rows]);
        }
    }
  });

  test("a copied head takes its own rows first", async () => {
    const [base, tuned] = [await model("base", 24, true), await model("tuned", 20)];
    const copied = planned(base, [tuned], { tied: "head-from-finetuned", vocabulary: "base" });
    expect(copied.of(HEAD)).toEqual({ rows: 24, action: "copy", from: "finetuned", body: 20, rest: { at: 20 * WIDTH, from: "base" } });
    const kept = planned(await model("base", 20), [await model("tuned", 24, true)], { tied: "tie-as-base", vocabulary: "finetuned" });
    expect(kept.of(HEAD)).toEqual({ rows: 24, action: "copy", from: "base", body: 20, rest: { at: 20 * WIDTH, from: "finetuned" } });
  });

  test("an embedding that the recipe leaves to the base is lengthened and cut too", async () => {
    const [base, tuned] = [await model("base", 20), await model("tuned", 24)];
    const plan = (vocabulary: "base" | "finetuned") => planOutput(base, [tuned], { ...tinyRecipe({ reconciliation: { vocabulary } }), tensors: { exclude: [EMBEDDING] } }).tensors.find((t) => t.name === EMBEDDING)!;
    expect(plan("finetuned")).toMatchObject({ action: "copy", shape: [24, WIDTH], rest: { at: 20 * WIDTH, from: "finetuned" } });
    expect(plan("base")).toMatchObject({ action: "copy", shape: [20, WIDTH] });
    expect(bodyShape(plan("finetuned"))).toEqual([20, WIDTH]);
  });

  test("a width that differs is no vocabulary: the tensor stays as it is", async () => {
    const base = await tinyModel("base", { config: { architectures: ["XForCausalLM"] } });
    const tuned = await tinyModel("tuned", { config: { architectures: ["XForCausalLM"] }, tensors: (e) => e.map((t) => (t.name === EMBEDDING ? { ...t, shape: [24, 9] } : t)) });
    const plan = planOutput(base, [tuned], tinyRecipe());
    expect(plan.tensors.find((t) => t.name === EMBEDDING)).toMatchObject({ action: "copy", reason: "the shapes differ", shape: [20, 8] });
    expect(chooseRows(plan.tensors, base, [tuned], "finetuned").vocab).toBeUndefined();
  });

  test("the text part of a nested configuration", async () => {
    const base = await model("base", 20);
    const nested = { ...base, config: { architectures: base.config.architectures, text_config: { vocab_size: 20, hidden_size: 8 } } };
    expect(outputConfig(nested, [], tinyRecipe(), { tied: false, vocab: 24 })).toMatchObject({ text_config: { vocab_size: 24, hidden_size: 8 } });
  });
});
