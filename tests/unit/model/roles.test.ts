import { expect, test } from "vitest";
import { describeTensor } from "../../../src/model/roles";
import { outputTensors, pairTensors } from "../../../src/model/pairing";
import { tinyModel } from "../../support/models";

test.each<[string, string | undefined, object]>([
  ["model.layers.11.mlp.gate_proj.weight", "Qwen2ForCausalLM", { role: "gate_proj", layer: 11, group: "mlp", kind: "linear", inBlock2d: true, isGate: true }],
  ["model.layers.3.self_attn.q_proj.bias", "Qwen2ForCausalLM", { role: "q_proj.bias", layer: 3, isBias: true, inBlock2d: false }],
  ["model.layers.0.post_attention_layernorm.weight", "LlamaForCausalLM", { role: "post_attention_layernorm", isNorm: true, group: "norm" }],
  ["model.layers.0.self_attn.k_norm.weight", "Qwen3ForCausalLM", { role: "k_norm", isNorm: true, layer: 0 }],
  ["model.norm.weight", "Qwen2ForCausalLM", { role: "norm", layer: undefined, isNorm: true }],
  ["lm_head.weight", "Qwen2ForCausalLM", { role: "lm_head", isHead: true, inBlock2d: false }],
  ["model.embed_tokens.weight", undefined, { role: "embed_tokens", isEmbedding: true, layer: undefined }],
  ["model.layers.4.self_attn.o_proj.weight", undefined, { role: "o_proj", inBlock2d: true, layer: 4 }],
  ["model.layers.4.mlp.gate_up_proj.weight", "Phi3ForCausalLM", { role: "gate_up_proj", isGateUp: true, isGate: false, inBlock2d: true }],
  ["transformer.h.7.mlp.c_proj.weight", "GPT2LMHeadModel", { role: "down_proj", layer: 7, group: "mlp" }],
  ["transformer.h.7.attn.c_proj.weight", undefined, { role: "o_proj", group: "attention" }],
  ["transformer.h.7.ln_1.bias", undefined, { isBias: true, isNorm: false }],
  ["model.layers.2.mlp.experts.5.gate_proj.weight", undefined, { role: "gate_proj", layer: 2, isGate: true }],
  ["model.layers.2.mlp.gate.weight", undefined, { role: "router", isGate: false, inBlock2d: false }],
  ["model.layers.2.block_sparse_moe.experts.1.w1.weight", undefined, { role: "gate_proj", isGate: true }],
  ["visual.patch.something", undefined, { role: "other", layer: undefined, inBlock2d: false }],
])("%s (%s)", (name, architecture, want) => expect(describeTensor(name, architecture)).toMatchObject(want));

const tiedConfig = { config: { tie_word_embeddings: true } };
const head = (r: ReturnType<typeof outputTensors>) => r.tensors.find((t) => t.name === "lm_head.weight");

test("tied base, own head: each choice", async () => {
  const base = await tinyModel("b", tiedConfig);
  const tuned = [await tinyModel("t")];
  const untie = outputTensors(base, tuned, { tied: "untie" });
  expect(untie.tied).toBe(false);
  expect(head(untie)).toMatchObject({ baseName: "model.embed_tokens.weight", tunedNames: ["lm_head.weight"], action: "merge", shape: [20, 8] });
  const tie = outputTensors(base, tuned, { tied: "tie-as-base" });
  expect([tie.tied, head(tie)]).toEqual([true, undefined]);
  expect(head(outputTensors(base, tuned, { tied: "head-from-finetuned" }))).toMatchObject({ action: "copy", from: "finetuned", tunedNames: ["lm_head.weight"] });
  expect(pairTensors(base, tuned)).toMatchObject({ missing: [], extra: [], mismatched: [] });
});
test("own head in the base, tied fine-tuned", async () => {
  const base = await tinyModel("b");
  const tuned = [await tinyModel("t", tiedConfig)];
  expect(head(outputTensors(base, tuned, { tied: "untie" }))).toMatchObject({ baseName: "lm_head.weight", tunedNames: ["model.embed_tokens.weight"], action: "merge" });
  expect(head(outputTensors(base, tuned, { tied: "tie-as-base" }))).toMatchObject({ action: "copy", from: "base" });
  expect(head(outputTensors(base, tuned, { tied: "head-from-finetuned" }))).toMatchObject({ action: "copy", from: "finetuned", tunedNames: ["model.embed_tokens.weight"] });
});
test("heads alike need no choice; a head stored under a tied configuration is dropped", async () => {
  const base = await tinyModel("b");
  expect(head(outputTensors(base, [base], { tied: "tie-as-base" }))).toMatchObject({ action: "merge", baseName: "lm_head.weight" });
  const stored = await tinyModel("s", { ...tiedConfig, tensors: (e) => [...e, { name: "lm_head.weight", dtype: "BF16", shape: [20, 8] }] });
  const got = outputTensors(stored, [await tinyModel("t", tiedConfig)], { tied: "untie" });
  expect([got.tied, head(got)]).toEqual([true, undefined]);
});
test("what is no float, absent or of another shape is copied with its reason", async () => {
  const odd = (name: string, change: object) => ({ tensors: (e: { name: string; dtype: "BF16"; shape: readonly number[] }[]) => e.map((t) => (t.name === name ? { ...t, ...change } : t)) }) as Parameters<typeof tinyModel>[1];
  const name = "model.layers.0.mlp.up_proj.weight";
  const base = await tinyModel("b");
  const action = async (b: typeof base, options: Parameters<typeof tinyModel>[1]) => outputTensors(b, [await tinyModel("t", options)], { tied: "untie" }).tensors.find((t) => t.name === name);
  expect(await action(await tinyModel("i", odd(name, { dtype: "I32" })), {})).toMatchObject({ action: "copy", reason: expect.stringContaining("I32") });
  expect(await action(base, odd(name, { dtype: "F8_E4M3" }))).toMatchObject({ action: "copy", reason: expect.stringContaining("F8_E4M3") });
  expect(await action(base, odd(name, { shape: [3, 3] }))).toMatchObject({ action: "copy", reason: "the shapes differ" });
  expect(await action(base, odd(name, { name: "z" }))).toMatchObject({ action: "copy", tunedNames: [undefined] });
});
