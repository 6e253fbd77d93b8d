import { expect, test } from "vitest";
import type { FloatDtype } from "../../../src/core/tensors";
import { expectClose, randomFloats } from "../../support/compare";
import { bench, recipeFor, tensorBytesOf, valuesOf } from "../../support/engineBench";
import { jsonFile } from "../../support/models";
import { checkpointOf } from "../../support/perturbed";

/** A model of a class that no table knows: text layers under GPT-2's names, a vision tower, an adapter. */
const make = (name: string, seed: number, { rows = 40, tower = false, adapter = false } = {}) => {
  let n = seed * 100;
  const tensor = (path: string, shape: number[], dtype: FloatDtype = "BF16") => ({ name: path, dtype, shape, values: randomFloats(n++, shape.reduce((a, b) => a * b, 1)) });
  const list = [
    tensor("transformer.wte.weight", [rows, 6]), ...[0, 1].flatMap((i) => [tensor(`transformer.h.${i}.attn.c_attn.weight`, [6, 18]), tensor(`transformer.h.${i}.mlp.c_fc.weight`, [6, 10], "F16")]), tensor("transformer.ln_f.weight", [6], "F32"),
    ...(tower ? [0, 1, 2].flatMap((i) => [tensor(`vision_tower.layers.${i}.attn.q_proj.weight`, [4, 4]), tensor(`vision_tower.layers.${i}.norm.weight`, [4], "F32")]) : []),
    ...(tower ? [tensor("vision_tower.patch_embed.weight", [4, 3])] : []),
    ...(adapter ? [tensor("adapter.down.weight", [2, 6])] : []),
  ];
  return checkpointOf(name, list, [jsonFile("config.json", { architectures: ["VisionChatForConditionalGeneration"], model_type: "vision_chat", text_config: { vocab_size: rows, num_hidden_layers: 2 } })]);
};

test("an unknown architecture merges by name and shape; towers of one side are copied or left out, and listed", async () => {
  const [base, tuned] = [await make("base", 1, { rows: 40, tower: true }), await make("tuned", 2, { rows: 44, adapter: true })];
  const b = bench(undefined, { base, finetuned: tuned });
  const recipe = recipeFor("task-arithmetic", { lambda: 0.25 }, { reconciliation: { vocabulary: "finetuned" }, output: { dtype: "F32" } });
  const { checkpoint, report, files } = await b.merge(recipe);
  expect(report.checks.filter((c) => c.verdict !== "pass")).toEqual([]);
  const [towers, texts] = [[...base.tensors.keys()].filter((name) => name.startsWith("vision_tower.")), [...tuned.tensors.keys()].filter((name) => name.startsWith("transformer."))];
  expect([towers.length, texts.length]).toEqual([7, 6]);
  expect([...checkpoint.tensors.keys()].sort()).toEqual([...towers, ...texts].sort());
  for (const name of towers) expect(await valuesOf(checkpoint, name), name).toEqual(await valuesOf(base, name));
  for (const name of texts) {
    const [theta0, theta] = [await valuesOf(base, name), await valuesOf(tuned, name)];
    expectClose(await valuesOf(checkpoint, name), theta.map((v, i) => (i < theta0.length ? theta0[i]! + 0.25 * (v - theta0[i]!) : v)), { atol: 1e-6 }, name);
  }
  expect(checkpoint.config).toMatchObject({ text_config: { vocab_size: 44, num_hidden_layers: 2 } });

  const check = await b.engine.preflight("base", ["finetuned"], recipe.reconciliation);
  expect(check).toMatchObject({ verdict: "ok", vocab: 44, fisher: { available: false } });
  expect(check.rows.find((r) => r.id === "tensors")!.lists!.map(({ title, names }) => [title, names.length])).toEqual([["only in the base, copied", 7], ["only in the fine-tuned model, left out", 1]]);
  const card = new TextDecoder().decode(files.get("README.md"));
  expect(card).toContain("- Copied, not merged (a fine-tuned model has no tensor of this name): vision_tower.layers.\\* (6 tensors), vision_tower.patch_embed.weight.");
  expect(card).toContain("- Only in a fine-tuned model, and left out: adapter.down.weight.");
  expect(card).toContain("the result has 44 token rows, the fine-tuned model's");
});

test("the tower of the base and of one of two models is copied from the base", async () => {
  const models = { base: await make("base", 1, { tower: true }), one: await make("one", 2, { tower: true }), two: await make("two", 3) };
  const recipe = recipeFor("task-arithmetic", { lambda: 0.5 }, { models: [{ id: "one", name: "one" }, { id: "two", name: "two" }] });
  const { checkpoint, report } = await bench(undefined, models).merge(recipe);
  expect(report.checks.filter((c) => c.verdict !== "pass")).toEqual([]);
  const [got, want] = [await tensorBytesOf(checkpoint), await tensorBytesOf(models.base)];
  for (const [name, bytes] of want) expect(got.get(name) === bytes, name).toBe(name.startsWith("vision_tower."));
});

test("the tower of both is merged as any tensor", async () => {
  const models = { base: await make("base", 1, { tower: true }), finetuned: await make("tuned", 2, { tower: true }) };
  const { checkpoint } = await bench(undefined, models).merge(recipeFor("task-arithmetic", { lambda: 1 }));
  expect(await tensorBytesOf(checkpoint)).toEqual(await tensorBytesOf(models.finetuned));
});
