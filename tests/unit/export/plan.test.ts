import { describe, expect, test } from "vitest";
import { memoryFile } from "../../../src/core/files";
import { outputConfig, smallFiles, type SmallFile } from "../../../src/export/config";
import { planOutput } from "../../../src/export/plan";
import { compactRecipe } from "../../../src/export/recipeFile";
import { openCheckpoint } from "../../../src/formats/checkpoint";
import { readSafetensorsHeader } from "../../../src/formats/safetensors";
import { jsonFile, tinyModel, type ModelOptions } from "../../support/models";
import { tinyRecipe } from "../../support/recipes";

const MiB = 1 << 20;
const tied = { config: { tie_word_embeddings: true } };
const plan = async (base: ModelOptions, tuned: ModelOptions, recipe = tinyRecipe()) => planOutput(await tinyModel("base", base), [await tinyModel("tuned", tuned)], recipe);

describe("layout", () => {
  test("one file, official header, the recipe inside, offsets that tile it", async () => {
    const recipe = tinyRecipe();
    const got = await plan(tied, {}, recipe);
    expect(got.index).toBeUndefined();
    expect(got.shards.map((s) => s.path)).toEqual(["model.safetensors"]);
    const shard = got.shards[0]!;
    const whole = new Uint8Array(shard.bytes);
    whole.set(shard.header);
    const header = await readSafetensorsHeader(memoryFile("model.safetensors", whole));
    expect(header.tensors.map((t) => [t.name, t.begin, t.end])).toEqual(shard.tensors.map((t) => [t.name, t.begin, t.end]));
    expect(header.metadata).toEqual({ format: "pt", tributary_recipe: compactRecipe(recipe) });
    expect(got.tensors.at(-1)).toMatchObject({ name: "lm_head.weight", baseName: "model.embed_tokens.weight", action: "merge" });
    expect(got.tensorBytes).toBe(shard.bytes - shard.header.length);
    expect(got.tied).toBe(false);
  });
  test("metadata of the base travels, its format and old recipe do not", async () => {
    const base = await tinyModel("base");
    const { shards } = planOutput({ ...base, metadata: { format: "np", note: "x", tributary_recipe: "old" } }, [await tinyModel("t")], tinyRecipe());
    const text = new TextDecoder().decode(shards[0]!.header.subarray(8));
    expect(text).toMatch(/^\{"__metadata__":\{"format":"pt","tributary_recipe":"\{\\"version\\":1.*,"note":"x"\}/);
    expect(text).not.toContain("old");
  });
  test("shards fill greedily in base order; a tensor above the cap stands alone; the result opens", async () => {
    const big = (name: string, mib: number) => ({ name, dtype: "BF16" as const, shape: [mib, MiB / 2] });
    const options: ModelOptions = { config: { architectures: ["XForCausalLM"] }, tensors: () => [big("a", 1), big("b", 1), big("c", 3), big("d", 1), big("e", 1)] };
    const got = await plan(options, options, tinyRecipe({ output: { maxShardBytes: 2 * MiB } }));
    expect(got.shards.map((s) => s.tensors.map((t) => t.name))).toEqual([["c"], ["a", "b"], ["d", "e"]]);
    expect(got.shards.map((s) => s.path)).toEqual([1, 2, 3].map((i) => `model-0000${i}-of-00003.safetensors`));
    const index = JSON.parse(got.index!.text) as { metadata: { total_size: number }; weight_map: Record<string, string> };
    expect(index.metadata.total_size).toBe(7 * MiB);
    expect(index.weight_map).toEqual({ a: got.shards[1]!.path, b: got.shards[1]!.path, c: got.shards[0]!.path, d: got.shards[2]!.path, e: got.shards[2]!.path });
    const files = got.shards.map((s) => {
      const whole = new Uint8Array(s.bytes);
      whole.set(s.header);
      return memoryFile(s.path, whole);
    });
    const opened = await openCheckpoint("out", [jsonFile("config.json", {}), jsonFile(got.index!.path, got.index!.text), ...files]);
    expect([opened.tensors.size, opened.warnings]).toEqual([5, []]);
  });
  test("exactly at the cap still fits", async () => {
    const options: ModelOptions = { config: { architectures: ["XForCausalLM"] }, tensors: () => ["a", "b"].map((name) => ({ name, dtype: "F32" as const, shape: [MiB / 4] })) };
    expect((await plan(options, options, tinyRecipe({ output: { maxShardBytes: 2 * MiB } }))).shards.length).toBe(1);
    expect((await plan(options, options, tinyRecipe({ output: { maxShardBytes: 2 * MiB - 1 } }))).shards.length).toBe(2);
  });
  test("a cap below 1 MiB is refused", async () => {
    await expect(plan({}, {}, tinyRecipe({ output: { maxShardBytes: 100 } }))).rejects.toThrow(expect.objectContaining({ code: "bad-recipe" }));
  });
});

describe("dtypes", () => {
  test("per tensor as the base by default, one dtype on request, integers as they are", async () => {
    const options: ModelOptions = { tensors: (e) => [...e.map((t) => ({ ...t, dtype: t.name.includes("norm") ? ("F32" as const) : ("BF16" as const) })), { name: "steps", dtype: "I64", shape: [] }] };
    const kinds = async (dtype: "base" | "F16") => {
      const { tensors } = await plan(options, options, tinyRecipe({ output: { dtype } }));
      const of = (name: string) => tensors.find((t) => t.name === name)!.dtype;
      return [of("model.norm.weight"), of("lm_head.weight"), of("steps")];
    };
    expect(await kinds("base")).toEqual(["F32", "BF16", "I64"]);
    expect(await kinds("F16")).toEqual(["F16", "F16", "I64"]);
  });
  test("parameters do not count buffers", async () => {
    const with_ = await plan({ tensors: (e) => [...e, { name: "model.layers.0.self_attn.rotary_emb.inv_freq", dtype: "F32", shape: [2] }] }, {});
    expect(with_.parameters).toBe((await plan({}, {})).parameters);
  });
});

describe("config.json", () => {
  const config = async (base: ModelOptions, tuned: ModelOptions, recipe = tinyRecipe(), isTied = false) => outputConfig(await tinyModel("b", base), [await tinyModel("t", tuned)], recipe, { tied: isTied });
  test("context by choice, the rest kept in place", async () => {
    const base = { config: { max_position_embeddings: 4096, odd_key: { a: [1] } } };
    const tuned = { config: { max_position_embeddings: 131072 } };
    expect(await config(base, tuned)).toMatchObject({ max_position_embeddings: 131072, odd_key: { a: [1] }, eos_token_id: 2 });
    expect(await config(base, tuned, tinyRecipe({ reconciliation: { context: "base" } }))).toMatchObject({ max_position_embeddings: 4096 });
    expect(await config(tuned, base, tinyRecipe({ reconciliation: { context: "finetuned" } }))).toMatchObject({ max_position_embeddings: 4096 });
    expect(Object.keys(await config(base, tuned))).toEqual(Object.keys((await tinyModel("b", base)).config));
  });
  test("tying follows the plan", async () => {
    expect((await config(tied, {}))["tie_word_embeddings"]).toBe(false);
    expect((await config(tied, {}, tinyRecipe(), true))["tie_word_embeddings"]).toBe(true);
  });
  test("dtype keys only when a dtype is chosen, in either spelling", async () => {
    expect((await config({}, {})).torch_dtype).toBe("bfloat16");
    const f16 = tinyRecipe({ output: { dtype: "F16" } });
    expect((await config({}, {}, f16)).torch_dtype).toBe("float16");
    const five = await config({ drop: ["torch_dtype"], config: { dtype: "bfloat16" } }, {}, f16);
    expect([five.dtype, five.torch_dtype]).toEqual(["float16", undefined]);
    expect((await config({ drop: ["torch_dtype"] }, {}, f16)).torch_dtype).toBe("float16");
  });
  test("special ids come with the tokenizer", async () => {
    const tuned: ModelOptions = { config: { eos_token_id: [7, 8], pad_token_id: 9 }, drop: ["bos_token_id"] };
    const got = await config({}, tuned, tinyRecipe({ reconciliation: { tokenizer: "finetuned" } }));
    expect([got.eos_token_id, got.pad_token_id, "bos_token_id" in got]).toEqual([[7, 8], 9, false]);
    expect((await config({}, tuned)).eos_token_id).toBe(2);
    expect((await config({}, tuned, tinyRecipe({ reconciliation: { stopIds: "finetuned" } }))).eos_token_id).toEqual([7, 8]);
    expect((await config({}, tuned, tinyRecipe({ reconciliation: { tokenizer: "finetuned", stopIds: "base" } }))).eos_token_id).toBe(2);
  });
});

describe("small files", () => {
  const files = async (base: ModelOptions, tuned: ModelOptions, recipe = tinyRecipe()) => {
    const [b, t] = [await tinyModel("b", base), await tinyModel("t", tuned)];
    return smallFiles(b, [t], recipe, planOutput(b, [t], recipe));
  };
  const read = async (list: SmallFile[], path: string): Promise<string | undefined> => {
    const file = list.find((f) => f.path === path)?.file;
    return file && new TextDecoder().decode(await file.read(0, file.size));
  };
  const tokenizer = (mark: string, template?: string) => [jsonFile("tokenizer.json", `{"m":"${mark}"}`), jsonFile("tokenizer_config.json", { mark, ...(template ? { chat_template: template } : {}) })];
  test("each choice from its model", async () => {
    const base = { files: [...tokenizer("B", "tb"), jsonFile("generation_config.json", { who: "base" })] };
    const tuned = { files: [...tokenizer("T", "tt"), jsonFile("generation_config.json", { who: "tuned" })] };
    const all = await files(base, tuned, tinyRecipe({ reconciliation: { tokenizer: "finetuned", generationConfig: "finetuned", chatTemplate: "base" } }));
    expect(await read(all, "tokenizer.json")).toContain('"T"');
    expect(JSON.parse((await read(all, "tokenizer_config.json"))!)).toEqual({ mark: "T", chat_template: "tb" });
    expect(await read(all, "generation_config.json")).toContain("tuned");
    expect(all.find((f) => f.path === "tokenizer_config.json")!.from).toBe("fine-tuned, chat template from base");
    expect(await read(await files(base, tuned), "tokenizer_config.json")).toContain('"tb"');
  });
  test("a template in its own file moves as a file, and the other's is taken out", async () => {
    const base = { files: tokenizer("B", "tb") };
    const tuned = { files: [...tokenizer("T"), jsonFile("chat_template.jinja", "own")] };
    const all = await files(base, tuned, tinyRecipe({ reconciliation: { chatTemplate: "finetuned" } }));
    expect(JSON.parse((await read(all, "tokenizer_config.json"))!)).toEqual({ mark: "B" });
    expect(await read(all, "chat_template.jinja")).toBe("own");
    const back = await files(tuned, base, tinyRecipe({ reconciliation: { chatTemplate: "finetuned" } }));
    expect(JSON.parse((await read(back, "tokenizer_config.json"))!)).toEqual({ mark: "T", chat_template: "tb" });
    expect(await read(back, "chat_template.jinja")).toBeUndefined();
  });
  test("nothing to choose from gives config.json alone, with what changed in words", async () => {
    const all = await files({ config: { tie_word_embeddings: true, max_position_embeddings: 4096 } }, { config: { max_position_embeddings: 131072 } });
    expect(all.map((f) => [f.path, f.from])).toEqual([["config.json", "base, context 131,072, head untied"]]);
  });
  test("both licence texts", async () => {
    const all = await files({ files: [jsonFile("LICENSE", "A")] }, { files: [jsonFile("LICENSE", "B")] });
    expect(all.slice(1).map((f) => f.path)).toEqual(["LICENSE", "LICENSE.finetuned"]);
    expect((await files({ files: [jsonFile("LICENSE", "A")] }, { files: [jsonFile("LICENSE", "A")] })).length).toBe(2);
  });
});
