import { describe, expect, test } from "vitest";
import { StudioError } from "../../../src/core/errors";
import type { Recipe } from "../../../src/core/recipe";
import { suggest } from "../../../src/core/suggest";
import { compactRecipe, parseRecipe, recipeHash, serialiseRecipe } from "../../../src/export/recipeFile";
import { tinyRecipe } from "../../support/recipes";

const recipe = tinyRecipe();
const plain = (): Record<string, unknown> => JSON.parse(serialiseRecipe(recipe)) as Record<string, unknown>;
function fault(text: string): { path: unknown; line: unknown; column: unknown; message: string } {
  try {
    parseRecipe(text);
  } catch (error) {
    expect(error).toBeInstanceOf(StudioError);
    const { code, details, message } = error as StudioError;
    expect(code).toBe("bad-recipe");
    return { path: details.path, line: details.line, column: details.column, message };
  }
  throw new Error("was accepted");
}
/** A recipe that may be bent out of shape: any key below two levels. */
type Loose = Record<string, unknown> & { params: Record<string, unknown>; base: Record<string, unknown>; models: [Record<string, unknown>, ...Record<string, unknown>[]]; reconciliation: Record<string, unknown>; output: Record<string, unknown>; tokens: unknown };
/** The recipe with one change, as pretty text. */
const changed = (change: (r: Loose) => void): string => {
  const r = plain() as Loose;
  change(r);
  return JSON.stringify(r, null, 2);
};

test("there and back", () => {
  const full: Recipe = { ...recipe, tokens: [[1, 2, 3], [4, 5]], models: [{ id: "x", name: "a", hash: "0".repeat(32), weight: -0.5 }, { name: "b" }] };
  const text = serialiseRecipe(full);
  expect(parseRecipe(text)).toEqual(full);
  expect(text).toContain('  "tokens": [\n    [1,2,3],\n    [4,5]\n  ]');
  expect(serialiseRecipe(parseRecipe(text))).toBe(text);
});
test("how the kernels ran goes along, in one key order, and changes neither hash nor metadata", async () => {
  const kernels = { adapter: "NVIDIA lovelace", forms: { gemm_nt: { "many rows": "64x64/16x16", "few rows": "32x32/8x8" }, fisher_tn: { "many rows": "register" } }, panelBytes: 2 ** 27 };
  const text = serialiseRecipe({ ...recipe, kernels });
  expect(parseRecipe(text)).toEqual({ ...recipe, kernels });
  expect(text.indexOf("fisher_tn")).toBeLessThan(text.indexOf("gemm_nt"));
  expect(serialiseRecipe({ ...recipe, kernels: { ...kernels, forms: Object.fromEntries(Object.entries(kernels.forms).reverse()) } })).toBe(text);
  expect(await recipeHash({ ...recipe, kernels })).toBe(await recipeHash(recipe));
  expect(compactRecipe({ ...recipe, kernels })).not.toContain("kernels");
  expect(fault(changed((r) => (r.kernels = { ...kernels, panelBytes: 0 }))).path).toBe("kernels.panelBytes");
  expect(fault(changed((r) => (r.kernels = { ...kernels, form: {} }))).message).toContain('did you mean "forms"');
});
test("key order of the object does not matter", () => {
  const shuffled = Object.fromEntries(Object.entries(recipe).reverse()) as unknown as Recipe;
  const params = { ...shuffled, params: Object.fromEntries(Object.entries(recipe.params).reverse()) };
  expect(serialiseRecipe(params)).toBe(serialiseRecipe(recipe));
});
describe("hash", () => {
  test("is 16 hex digits, blind to ids, awake to the rest", async () => {
    const hash = await recipeHash(recipe);
    expect(hash).toMatch(/^[0-9a-f]{16}$/);
    expect(await recipeHash({ ...recipe, base: { ...recipe.base, id: "other" } })).toBe(hash);
    expect(await recipeHash({ ...recipe, params: { ...recipe.params, r: 0.3 } })).not.toBe(hash);
    expect(await recipeHash({ ...recipe, tokens: [[1, 2]] })).not.toBe(hash);
    expect(compactRecipe(recipe)).not.toContain('"id"');
  });
  test("is SHA-256 of the compact form", async () => {
    const { createHash } = await import("node:crypto");
    expect(await recipeHash(recipe)).toBe(createHash("sha256").update(compactRecipe(recipe)).digest("hex").slice(0, 16));
  });
});

describe("refused, with the place", () => {
  test.each<[string, (r: Loose) => void, string, RegExp]>([
    ["a list as setting", (r) => { r.params.r = [1]; }, "params.r", /expected a number, a text, true or false/],
    ["a number as name", (r) => { r.models[0].name = 3; }, "models[0].name", /is 3, expected text/],
    ["missing name of the second model", (r) => { r.models.push({}); }, "models[1].name", /is missing/],
    ["no models", (r) => { r.models = [] as unknown as Loose["models"]; }, "models", /at least one model/],
    ["missing method", (r) => { delete r.method; }, "method", /is missing/],
    ["another version", (r) => { r.version = 2; }, "version", /expected 1/],
    ["a word that is no choice", (r) => { r.reconciliation.tied = "tie"; }, "reconciliation.tied", /is "tie", expected one of untie, tie-as-base/],
    ["unknown key at the top", (r) => { r.modles = []; }, "modles", /is no key of a recipe; did you mean "models"\?/],
    ["unknown key below", (r) => { r.output.dtyp = "F32"; }, "output.dtyp", /did you mean "dtype"/],
    ["unknown key far from any", (r) => { r.models[0].zzzzzzz = 1; }, "models[0].zzzzzzz", /known are id, name, hash, weight/],
    ["shards too small", (r) => { r.output.maxShardBytes = 5; }, "output.maxShardBytes", /1 MiB/],
    ["a slash in the name", (r) => { r.output.name = "../x"; }, "output.name", /without slashes/],
    ["token id below 0", (r) => { r.tokens = [[1, -2]]; }, "tokens[0][1]", /at least 0/],
    ["fractional token id", (r) => { r.tokens = [[1, 2], [1.5, 2]]; }, "tokens[1][0]", /whole number/],
    ["a sequence of one token", (r) => { r.tokens = [[1]]; }, "tokens[0]", /at least 2/],
    ["base is a text", (r) => { r.base = "x" as unknown as Loose["base"]; }, "base", /expected an object/],
    ["hash of another kind", (r) => { r.base.hash = "xyz"; }, "base.hash", /hexadecimal/],
    ["vocabulary of another word", (r) => { r.reconciliation.vocabulary = "both"; }, "reconciliation.vocabulary", /is "both", expected one of base, finetuned, common/],
    ["row with another choice", (r) => { r.reconciliation.rows = { "5": "tuned" }; }, "reconciliation.rows.5", /is "tuned", expected one of mix, base, finetuned/],
    ["row of no id", (r) => { r.reconciliation.rows = { five: "base" }; }, "reconciliation.rows.five", /expected a token id/],
    ["weight null", (r) => { r.models[0].weight = null; }, "models[0].weight", /is null, expected a number/],
  ])("%s", (_, change, path, sentence) => {
    const text = changed(change);
    const got = fault(text);
    expect(got.path).toBe(path);
    expect(got.message).toMatch(sentence);
    expect(got.message).toContain(`line ${String(got.line)} column ${String(got.column)}`);
    // The line really shows the place: the last key of the path, or its parent for what is missing or in a list.
    if (!sentence.source.includes("missing") && !/\]$/.test(path)) expect(text.split("\n")[Number(got.line) - 1]).toContain(`"${path.split(".").at(-1)!}"`);
  });
  test("broken JSON", () => expect(fault('{\n  "version": 1,\n}')).toMatchObject({ path: "", line: 3, column: 1, message: expect.stringContaining("trailing comma") }));
  test("no object", () => expect(fault("[]").message).toMatch(/is a JSON array/));
  test("a key given twice", () => expect(fault('{"version":1,\n"version":1}')).toMatchObject({ path: "version", line: 2, column: 1 }));
});
test("suggestions need to be near", () => {
  expect(suggest("outsidet", ["outsideT", "r"])).toBe("outsideT");
  expect(suggest("foo", ["reconciliation"])).toBeUndefined();
});
test("choices of vocabulary, stop ids and single rows travel; without them the text is as before", () => {
  const plain = tinyRecipe();
  const chosen = tinyRecipe({ reconciliation: { vocabulary: "common", stopIds: "base", rows: { 151648: "finetuned", 7: "mix" } } });
  expect(parseRecipe(serialiseRecipe(chosen))).toEqual(chosen);
  expect(compactRecipe(tinyRecipe({ reconciliation: { rows: {} } }))).toBe(compactRecipe(plain));
  expect(compactRecipe(plain)).not.toMatch(/vocabulary|stopIds|rows"/);
});
