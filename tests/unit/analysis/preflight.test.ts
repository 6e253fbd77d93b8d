import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Checkpoint } from "../../../src/core/tensors";
import { memoryFile } from "../../../src/core/files";
import { frontMatter, modelFacts } from "../../../src/analysis/facts";
import { preflight } from "../../../src/analysis/preflight";
import { openCheckpoint } from "../../../src/formats/checkpoint";
import type { TensorSpec } from "../../../src/formats/safetensors";
import { jsonFile, tinyModel, type ModelOptions } from "../../support/models";

const edit = (pattern: RegExp, change: (t: TensorSpec) => TensorSpec[]): ModelOptions => ({ tensors: (list) => list.flatMap((t) => (pattern.test(t.name) ? change(t) : [t])) });
const as = (id: string) => ({ architectures: [id] });
const added = (tokens: Record<number, string>) => jsonFile("tokenizer_config.json", { tokenizer_class: "Qwen2Tokenizer", added_tokens_decoder: Object.fromEntries(Object.entries(tokens).map(([id, content]) => [id, { content }])) });
const card = (licence: string) => jsonFile("README.md", `---\nlicense: ${licence}\ntags: [x]\n---\n# Hello`);
const codes = async (base: ModelOptions, ...tuned: ModelOptions[]) => {
  const check = await preflight(await tinyModel("base", base), await Promise.all(tuned.map((t, i) => tinyModel(`tuned${i}`, t))), { vocabulary: "base" });
  return { check, block: check.findings.filter((f) => f.severity === "block").map((f) => f.code), rest: check.findings.filter((f) => f.severity !== "block").map((f) => f.code).filter((c) => c !== "tokenizer-missing") };
};
const row = (check: Awaited<ReturnType<typeof preflight>>, id: string) => check.rows.find((r) => r.id === id)!;

/** A checkpoint with a tower of matrices beside its text layers. */
const vision: ModelOptions = { tensors: (e) => [...e, ...[0, 1, 2].flatMap((i) => ["q_proj", "o_proj"].map((m): TensorSpec => ({ name: `vision_tower.layers.${i}.self_attn.${m}.weight`, dtype: "BF16", shape: [4, 4] }))), { name: "vision_tower.patch_embed.weight", dtype: "BF16", shape: [4, 3] }] };

describe("pairs that are blocked, each with its one finding", () => {
  test.each<[string, ModelOptions, ModelOptions[], string]>([
    ["no fine-tuned model", {}, [], "no-model"],
    ["another architecture", {}, [{ config: as("LlamaForCausalLM") }], "architecture-mismatch"],
    ["architecture and everything else differ", {}, [{ config: { ...as("LlamaForCausalLM"), num_hidden_layers: 5, hidden_size: 16 } }], "architecture-mismatch"],
    ["architecture not named", {}, [{ drop: ["architectures"] }], "architecture-mismatch"],
    ["more layers", {}, [{ config: { num_hidden_layers: 3 } }], "layers-mismatch"],
    ["wider", { config: { hidden_size: 16 } }, [{}], "shape-mismatch"],
    ["wider with a larger vocabulary", { config: { hidden_size: 16, vocab_size: 22 } }, [{}], "shape-mismatch"],
    ["wider MLP", {}, [{ config: { intermediate_size: 16 } }], "shape-mismatch"],
    ["heads cut differently, shapes alike", { config: { num_key_value_heads: 2 } }, [{ config: { num_attention_heads: 4, num_key_value_heads: 4 } }], "heads-mismatch"],
    ["embeddings of another width, unknown class", { config: as("XForCausalLM") }, [{ config: as("XForCausalLM"), ...edit(/embed_tokens/, (t) => [{ ...t, shape: [24, 9] }]) }], "tensor-shape-mismatch"],
    ["fewer rows than the chosen tokenizer has ids", { files: [added({ 19: "<a>" })] }, [{ config: { vocab_size: 24 }, files: [added({ 21: "<b>" })] }], "vocabulary-too-small"],
    ["a layer of a stack missing, unknown class", { config: as("XForCausalLM") }, [{ config: as("XForCausalLM"), ...edit(/layers\.1\./, () => []) }], "tensors-missing"],
    ["one tensor of another shape, unknown class", { config: as("XForCausalLM") }, [{ config: as("XForCausalLM"), ...edit(/1\.mlp\.up_proj/, (t) => [{ ...t, shape: [8, 12] }]) }], "tensor-shape-mismatch"],
    ["base without a tensor of its configuration", edit(/layers\.1\.mlp\.up/, () => []), [{}], "base-incomplete"],
    ["fine-tuned without a layer's tensors", {}, [edit(/layers\.1\./, () => [])], "finetuned-incomplete"],
    ["second of two fine-tuned models incomplete", {}, [{}, edit(/model\.norm/, () => [])], "finetuned-incomplete"],
    ["untied without a head", {}, [edit(/lm_head/, () => [])], "head-missing"],
    ["configuration of another model", edit(/up_proj/, (t) => [{ ...t, shape: [...t.shape].reverse() }]), [edit(/up_proj/, (t) => [{ ...t, shape: [...t.shape].reverse() }])], "config-contradicts"],
    ["no names in common", { config: as("XForCausalLM") }, [{ config: as("XForCausalLM"), ...edit(/./, (t) => [{ ...t, name: `base_model.${t.name}` }]) }], "no-shared-tensors"],
    ["weights missing, unknown class", { config: as("XForCausalLM") }, [{ config: as("XForCausalLM"), ...edit(/0\.self_attn\.q_proj\.weight/, () => []) }], "tensors-missing"],
    ["weights in FP8", {}, [edit(/down_proj/, (t) => [{ ...t, dtype: "F8_E4M3" }])], "dtype-unsupported"],
    ["base weights as integers", edit(/q_proj\.weight/, (t) => [{ ...t, dtype: "I8" }]), [{}], "dtype-unsupported"],
  ])("%s", async (_, base, tuned, code) => {
    const { check, block } = await codes(base, ...tuned);
    expect(new Set(block)).toEqual(new Set([code]));
    expect(check.verdict).toBe("blocked");
    const finding = check.findings[0]!;
    expect(finding.found).toBeTruthy();
    expect(finding.todo).toBeTruthy();
    if (tuned.length > 0) expect(finding.why).toBeTruthy();
  });
});

describe("odd pairs that can be merged, each with its one remark", () => {
  test.each<[string, ModelOptions, ModelOptions, string[]]>([
    ["an ordinary pair", {}, {}, []],
    ["rotary base", {}, { config: { rope_theta: 1e6 } }, ["rope-differs"]],
    ["rotary scaling", {}, { config: { rope_scaling: { rope_type: "linear", factor: 4 } } }, ["rope-differs"]],
    ["rotary base in the other spelling is equal", {}, { drop: ["rope_theta"], config: { rope_parameters: { rope_type: "default", rope_theta: 10000 } } }, []],
    ["sliding window", { config: { ...as("MistralForCausalLM"), sliding_window: null } }, { config: { ...as("MistralForCausalLM"), sliding_window: 8 } }, ["window-differs"]],
    ["activation", {}, { config: { hidden_act: "gelu" } }, ["activation-differs"]],
    ["norm constant", {}, { config: { rms_norm_eps: 1e-5 } }, ["norm-eps-differs"]],
    ["tensor only in the fine-tuned", {}, { tensors: (e) => [...e, { name: "v_head.weight", dtype: "BF16", shape: [1, 8] }] }, ["tensors-extra"]],
    ["norm only in the base, unknown class", { config: as("XForCausalLM") }, { config: as("XForCausalLM"), ...edit(/0\.input_layernorm/, () => []) }, ["tensors-missing", "fisher-unavailable"]],
    ["integer buffer", { tensors: (e) => [...e, { name: "model.steps", dtype: "I64", shape: [] }] }, { tensors: (e) => [...e, { name: "model.steps", dtype: "I64", shape: [] }] }, ["dtype-copied", "fisher-unavailable"]],
    ["stored rotary frequencies are no difference", { tensors: (e) => [...e, { name: "model.layers.0.self_attn.rotary_emb.inv_freq", dtype: "F32", shape: [2] }] }, {}, []],
    ["tied, and a head stored besides", { config: { tie_word_embeddings: true }, tensors: (e) => [...e, { name: "lm_head.weight", dtype: "BF16", shape: [20, 8] }] }, { config: { tie_word_embeddings: true } }, ["head-ignored"]],
    ["token clash", { files: [added({ 5: "<|im_start|>", 6: "<a>" })] }, { files: [added({ 5: "<｜User｜>", 6: "<a>" })] }, ["token-clash"]],
    ["special token beyond the embedding", { files: [added({ 25: "<x>" })] }, { files: [added({ 25: "<x>" })] }, ["token-out-of-range", "token-out-of-range"]],
    ["stop id beyond the embedding", {}, { config: { eos_token_id: [2, 99] } }, ["stop-out-of-range"]],
    ["ordinary tokens renumbered", { files: [jsonFile("tokenizer.json", { model: { vocab: { a: 0, b: 1 } } })] }, { files: [jsonFile("tokenizer.json", { model: { vocab: { a: 1, b: 0 } } })] }, ["tokenizer-differs"]],
    ["licences differ", { files: [card("apache-2.0")] }, { files: [card("cc-by-nc-4.0")] }, ["licence-conflict"]],
    ["licence only in one", { files: [card("mit")] }, {}, ["licence-unknown"]],
    ["two free licences", { files: [card("mit")] }, { files: [card("apache-2.0")] }, []],
    ["unknown class", { config: as("XForCausalLM") }, { config: as("XForCausalLM") }, ["fisher-unavailable"]],
    ["finding of the reader", { files: [memoryFile("other.safetensors", new Uint8Array())] }, {}, ["reader-warning"]],
    ["other dtypes", {}, { dtype: "F32" }, []],
    ["a vision tower only in the base", { config: as("XForCausalLM"), ...vision }, { config: as("XForCausalLM") }, ["tensors-missing", "fisher-unavailable"]],
    ["a vision tower only in the fine-tuned", { config: as("XForCausalLM") }, { config: as("XForCausalLM"), ...vision }, ["tensors-extra", "fisher-unavailable"]],
    ["more rows in the vocabulary", {}, { config: { vocab_size: 24 } }, []],
    ["fewer rows in the vocabulary, tied", { config: { tie_word_embeddings: true } }, { config: { vocab_size: 16, tie_word_embeddings: true } }, []],
  ])("%s", async (_, base, tuned, want) => {
    const { check, block, rest } = await codes(base, tuned);
    expect(block).toEqual([]);
    expect(rest).toEqual(want);
    expect(check.verdict).toBe("ok");
  });
  test("one folder twice", async () => {
    const model = await tinyModel("same");
    expect((await preflight(model, [model])).findings.map((f) => f.code)).toContain("same-model");
  });
});

/** The pair of the paper in its sizes, without its weights. */
async function paperPair(): Promise<[Checkpoint, Checkpoint]> {
  const config = { num_hidden_layers: 28, hidden_size: 1536, num_attention_heads: 12, num_key_value_heads: 2, intermediate_size: 8960, vocab_size: 151936, eos_token_id: 151643 };
  const sized = async (name: string, options: ModelOptions, files: ReturnType<typeof jsonFile>[]) => {
    const small = await tinyModel(name, { ...options, tensors: () => [{ name: "x", dtype: "BF16", shape: [1] }], files });
    const { specsOf } = await import("../../support/models");
    const tensors = new Map(specsOf(small.config).map((t) => [t.name, { ...t, shape: [...t.shape], elements: t.shape.reduce((a, b) => a * b, 1), file: "f", begin: 0, end: 2 * t.shape.reduce((a, b) => a * b, 1) }]));
    return { ...small, tensors };
  };
  return [
    await sized("Qwen2.5-Math-1.5B", { config: { ...config, tie_word_embeddings: true, max_position_embeddings: 4096 } }, [added({ 151643: "<|endoftext|>", 151644: "<|im_start|>", 151645: "<|im_end|>" }), card("apache-2.0"), jsonFile("chat_template.jinja", "<|im_start|>")]),
    await sized("DeepSeek-R1-Distill-Qwen-1.5B", { config: { ...config, max_position_embeddings: 131072 } }, [added({ 151643: "<|endoftext|>", 151644: "<｜User｜>", 151645: "<｜Assistant｜>" }), card("mit"), jsonFile("chat_template.jinja", "<｜User｜>")]),
  ];
}

describe("the pair that matters", () => {
  test("defaults and rows", async () => {
    const [base, tuned] = await paperPair();
    const check = await preflight(base, [tuned]);
    expect(check.verdict).toBe("ok");
    expect(check.reconciliation).toEqual({ tied: "untie", context: "max", tokenizer: "finetuned", chatTemplate: "finetuned", generationConfig: "base", clashRows: "finetuned" });
    expect(check.parameters).toBe(1777088000);
    expect(check.fisher).toEqual({ available: true });
    expect(check.rows.filter((r) => r.verdict === "differs").map((r) => r.id)).toEqual(["head", "context", "chatTemplate", "tokenizer", "clashRows"]);
    expect(row(check, "head")).toMatchObject({ base: "tied to embedding", tuned: ["own tensor"], choice: { value: "untie" } });
    expect(row(check, "head").choice!.options[0]).toEqual({ value: "untie", label: "Untie, merge both heads", consequence: "+467 MB · 1,777,088,000 parameters in the result" });
    expect(row(check, "context").choice!.options[0]).toEqual({ value: "max", label: "Larger, 131,072", consequence: "4,096 would cut long answers" });
    expect(row(check, "chatTemplate")).toMatchObject({ base: "ChatML", tuned: ["DeepSeek-R1"] });
    expect(row(check, "tokenizer")).toMatchObject({ sub: "2 ids carry two meanings", clashes: [{ id: 151644, base: "<|im_start|>", tuned: "<｜User｜>" }, { id: 151645 }] });
    expect(row(check, "tensors")).toMatchObject({ base: "338", tuned: ["339"], verdict: "match", action: "338 pair up; lm_head.weight is the choice above" });
    expect(row(check, "licence")).toMatchObject({ base: "Apache-2.0", tuned: ["MIT"], verdict: "match" });
  });
  test("parameters and rows follow the choices", async () => {
    const [base, tuned] = await paperPair();
    const check = await preflight(base, [tuned], { tied: "tie-as-base", tokenizer: "base" });
    expect(check.parameters).toBe(1543714304);
    expect(check.reconciliation).toMatchObject({ clashRows: "mix", chatTemplate: "finetuned" });
    expect((await preflight(base, [tuned], { tied: "head-from-finetuned" })).parameters).toBe(1777088000);
    expect((await preflight(base, [tuned], { clashRows: "base" })).reconciliation.clashRows).toBe("base");
  });
  test("a width that differs leads, and the rest is not considered", async () => {
    const { check } = await codes({ config: { hidden_size: 16, intermediate_size: 24, vocab_size: 22, max_position_embeddings: 99 } }, {});
    expect(check.findings[0]).toMatchObject({ title: "The layers have different widths", found: expect.stringMatching(/^Base has hidden size 16, the fine-tuned model has 8\. \d+ shared tensors differ in shape, first .*: \[.*\] and \[.*\]\.$/) });
    expect(row(check, "width")).toMatchObject({ sub: "hidden_size", verdict: "block" });
    expect(row(check, "intermediate")).toMatchObject({ verdict: "block", action: "follows from the width" });
    expect(row(check, "context")).toMatchObject({ verdict: "differs", action: "not considered until the width agrees" });
    expect(row(check, "vocabulary")).toMatchObject({ verdict: "differs", action: "not considered until the width agrees" });
    expect(check.rows.every((r) => r.choice === undefined)).toBe(true);
    expect(row(check, "layers").verdict).toBe("match");
  });
});

describe("vocabularies of different size", () => {
  const tokenizer = (count: number, special: Record<number, string> = {}) => jsonFile("tokenizer.json", { model: { vocab: Object.fromEntries(Array.from({ length: count }, (_, i) => [`w${i}`, i])) }, added_tokens: Object.entries(special).map(([id, content]) => ({ id: Number(id), content })) });
  const pair = async () => [await tinyModel("base", { config: { vocab_size: 24 }, files: [tokenizer(18, { 18: "<end>" })] }), await tinyModel("tuned", { config: { vocab_size: 22 }, files: [tokenizer(18, { 18: "<end>", 19: "<think>", 20: "</think>" })] })] as const;
  test("rows are told apart into tokens, added ones and padding", async () => {
    const [base, tuned] = await pair();
    const check = await preflight(base, [tuned]);
    expect(row(check, "vocabulary")).toMatchObject({ base: "24: 18 tokens, 1 added, 5 padding", tuned: ["22: 18 tokens, 3 added, 1 padding"], verdict: "differs", choice: { key: "vocabulary", value: "finetuned" } });
    expect([check.vocab, check.reconciliation.vocabulary]).toEqual([22, undefined]);
    expect(row(check, "vocabulary").choice!.options.map((o) => [o.value, o.label, o.disabled ?? false])).toEqual([["base", "As the base, 24 rows", false], ["finetuned", "As the fine-tuned, 22 rows", false], ["common", "In common, 22 rows", false]]);
    expect(row(check, "vocabulary").choice!.options[0]!.consequence).toBe(`rows from 22 on are the base's own · ${(check.parameters + 2 * 2 * 8).toLocaleString("en-US")} parameters in the result`);
  });
  test("with the base's tokenizer its rows; too few rows cannot be chosen, and choices stay open", async () => {
    const base = await tinyModel("base", { config: { vocab_size: 24 }, files: [tokenizer(24)] });
    const tuned = await tinyModel("tuned", { config: { vocab_size: 20 }, files: [tokenizer(20)] });
    expect((await preflight(base, [tuned], { tokenizer: "base" })).vocab).toBe(24);
    const check = await preflight(base, [tuned], { tokenizer: "base", vocabulary: "common" });
    expect(check).toMatchObject({ verdict: "blocked", findings: [{ code: "vocabulary-too-small", found: "The tokenizer of the base has ids up to 23, the result would have 20 rows." }, {}] });
    expect(row(check, "vocabulary").choice).toMatchObject({ value: "common", options: [{ value: "base" }, { value: "finetuned", disabled: true, consequence: "too few for the tokenizer that goes along" }, { value: "common", disabled: true }] });
  });
  test("each id has its choice, and tensors that only one side has are listed", async () => {
    const clash = (a: string, b: string) => jsonFile("tokenizer_config.json", { added_tokens_decoder: { 5: { content: a }, 6: { content: b } } });
    const base = await tinyModel("base", { config: as("XForCausalLM"), files: [clash("<a>", "<b>")], ...vision });
    const tuned = await tinyModel("tuned", { config: as("XForCausalLM"), files: [clash("<x>", "<y>")] });
    const check = await preflight(base, [tuned], { clashRows: "base", rows: { 6: "mix" } });
    expect(row(check, "tokenizer").clashes).toEqual([{ id: 5, base: "<a>", tuned: "<x>", row: "base" }, { id: 6, base: "<b>", tuned: "<y>", row: "mix" }]);
    expect(row(check, "tensors")).toMatchObject({ verdict: "differs", action: expect.stringMatching(/^\d+ pair up; 7 only in the base, copied: vision_tower\.layers\.\* \(6 tensors\), vision_tower\.patch_embed\.weight$/) as string });
    expect(row(check, "tensors").lists![0]!.names).toHaveLength(7);
    expect(check.findings.find((f) => f.code === "tensors-missing")!.found).toBe("vision_tower.layers.* (6 tensors), vision_tower.patch_embed.weight.");
  });
  test("stop ids follow the tokenizer until they are chosen", async () => {
    const [base, tuned] = [await tinyModel("b", { files: [added({ 5: "<a>" })] }), await tinyModel("t", { config: { eos_token_id: [7, 8] }, files: [added({ 5: "<a>", 7: "<b>" })] })];
    expect(row(await preflight(base, [tuned]), "stop").choice).toMatchObject({ key: "stopIds", value: "finetuned", options: [{ consequence: "ends at 7, 8" }, { consequence: "ends at 2" }] });
    expect(row(await preflight(base, [tuned], { stopIds: "base" }), "stop").choice!.value).toBe("base");
  });
});

test.each([["qwen2-tiny-f32", 172224], ["llama-tiny-bf16", 181056]])("the fixture pair %s", async (name, parameters) => {
  const open = (side: string) => {
    const folder = new URL(`../../fixtures/${name}/${side}/`, import.meta.url);
    return openCheckpoint(side, readdirSync(folder).map((path) => memoryFile(path, new Uint8Array(readFileSync(new URL(path, folder))))));
  };
  const check = await preflight(await open("base"), [await open("finetuned")]);
  expect(check).toMatchObject({ verdict: "ok", parameters, fisher: { available: true } });
  expect(check.rows.every((r) => r.verdict === "match")).toBe(true);
});
test("no weight is read", async () => {
  const reads: number[] = [];
  const watch = (m: Checkpoint): Checkpoint => ({ ...m, read: async () => { reads.push(1); throw new Error("read"); } });
  await preflight(watch(await tinyModel("a")), [watch(await tinyModel("b"))]);
  expect(reads).toEqual([]);
});
test("a malformed small file is a sentence", async () => {
  await expect(preflight(await tinyModel("a", { files: [jsonFile("generation_config.json", "{")] }), [await tinyModel("b")])).rejects.toThrow(/generation_config\.json: the JSON is malformed/);
});

describe("facts", () => {
  test("of a tied model", async () => {
    const facts = await modelFacts(await tinyModel("m", { config: { tie_word_embeddings: true }, files: [card("MIT  # comment")] }));
    expect(facts).toMatchObject({ architecture: "Qwen2ForCausalLM", family: "Qwen2", layers: 2, hidden: 8, heads: 2, kvHeads: 1, headDim: 4, vocab: 20, context: 64, ropeTheta: 10000, tied: true, licence: "MIT" });
    expect(facts.parameters).toBe(160 + 2 * (16 + 64 + 32 + 32 + 64 + 8 + 4 + 4 + 3 * 96) + 8);
    expect(facts.dtypes).toEqual([{ dtype: "BF16", bytes: 2 * facts.parameters }]);
  });
  test("licence from the licence file, own licences by name", async () => {
    const licence = async (path: string, text: string) => (await modelFacts(await tinyModel("m", { files: [jsonFile(path, text)] }))).licence;
    expect(await licence("LICENSE", "  Apache License\n  Version 2.0, January 2004")).toBe("Apache-2.0");
    expect(await licence("LICENSE.txt", "Permission is hereby granted, free of charge, to")).toBe("MIT");
    expect(await licence("README.md", "---\nlicense: other\nlicense_name: qwen-research\n---")).toBe("qwen-research");
    expect(await licence("README.md", "# no front matter\nlicense: mit")).toBeUndefined();
    expect(frontMatter('---\r\nlicense: "mit"\r\n---', "license")).toBe("mit");
  });
  test("a model without a table shows what it states", async () => {
    const small = await tinyModel("m", { config: { architectures: ["LlavaForConditionalGeneration"] } });
    const facts = await modelFacts({ ...small, config: { architectures: small.config.architectures, text_config: { num_hidden_layers: 7, hidden_size: 8 } } });
    expect(facts).toMatchObject({ family: "Llava", layers: 7, hidden: 8, heads: undefined, tied: false });
  });
});
