import { describe, expect, test } from "vitest";
import type { PassOutput } from "../../../src/fisher/measure";
import { checkRows, joinRows, ownRows, rowsOf } from "../../../src/engine/rows";
import { describeTensor } from "../../../src/model/roles";
import { jsonFile, tinyModel } from "../../support/models";
import { tinyRecipe } from "../../support/recipes";

const added = (tokens: Record<number, string>) => jsonFile("tokenizer_config.json", { added_tokens_decoder: Object.fromEntries(Object.entries(tokens).map(([id, content]) => [id, { content }])) });
const output = (name: string, rows: number): PassOutput => ({ name, role: describeTensor(name), shape: [rows, 2], elements: 2 * rows, baseName: name, tunedNames: [name] });
const own = { kind: "copy", source: 0 } as const;
const base = { kind: "copy" } as const;

describe("rows that are a model's own", () => {
  test("neighbours of one choice are one stretch", () => {
    expect(joinRows(new Map([[9, "base"], [3, "finetuned"], [5, "finetuned"], [4, "finetuned"], [6, "mix"], [7, "finetuned"], [8, "base"]]))).toEqual([
      { row0: 3, row1: 6, op: own }, { row0: 7, row1: 8, op: own }, { row0: 8, row1: 10, op: base },
    ]);
    expect(joinRows(new Map([[1, "finetuned"], [2, "mix"], [3, "finetuned"]]))).toHaveLength(2);
  });

  test("a choice of one id goes before that of all with two meanings, and needs none", async () => {
    const models = { base: await tinyModel("b", { files: [added({ 5: "a", 6: "b", 7: "c" })] }), experts: [await tinyModel("t", { files: [added({ 5: "x", 6: "y", 7: "z" })] })] };
    const rows = (reconciliation: NonNullable<Parameters<typeof tinyRecipe>[0]>["reconciliation"]) => ownRows({ ...models, recipe: tinyRecipe({ reconciliation }) });
    expect(await rows({ clashRows: "finetuned" })).toEqual([{ row0: 5, row1: 8, op: own }]);
    expect(await rows({ clashRows: "finetuned", rows: { 6: "mix", 7: "base", 12: "base" } })).toEqual([{ row0: 5, row1: 6, op: own }, { row0: 7, row1: 8, op: base }, { row0: 12, row1: 13, op: base }]);
    expect(await rows({ clashRows: "mix", rows: { 6: "finetuned" } })).toEqual([{ row0: 6, row1: 7, op: own }]);
    expect(await rows({ clashRows: "mix" })).toEqual([]);
  });

  test("only tensors with a row for each id have them, as far as all models reach", () => {
    const all = joinRows(new Map([[3, "base"], [4, "base"]]));
    expect(rowsOf(output("model.embed_tokens.weight", 4), all)).toEqual([{ row0: 3, row1: 4, op: base }]);
    expect(rowsOf(output("lm_head.weight", 3), all)).toEqual([]);
    expect(rowsOf(output("model.layers.0.mlp.up_proj.weight", 40), all)).toEqual([]);
  });

  test("an id without a row in every model is refused by its name", () => {
    const recipe = tinyRecipe({ reconciliation: { rows: { 19: "base", 20: "finetuned" } } });
    const outputs = [output("model.embed_tokens.weight", 20), output("lm_head.weight", 24)];
    expect(() => checkRows(recipe, outputs)).toThrow(expect.objectContaining({ code: "bad-recipe", message: expect.stringContaining("reconciliation.rows.20 chooses a row, but only the ids from 0 to 19") as string }));
    expect(() => checkRows(recipe, [output("lm_head.weight", 21)])).not.toThrow();
    const odd = tinyRecipe({ reconciliation: { rows: { 3: "tuned" as "base" } } });
    expect(() => checkRows(odd, outputs)).toThrow('reconciliation.rows.3 is "tuned", expected one of mix, base, finetuned.');
  });
});
