/** Canned answers of the fake engine: a 28-layer pair with the shape of Qwen2.5-Math-1.5B and its distilled sibling. Plausible, not measured. */
import type { NumberSpec, ParamSpecs } from "../../src/core/params";
import type { Recipe, Reconciliation } from "../../src/core/recipe";
import type { CheckRow, ExportPlan, ExportReport, GpuInfo, LayerRow, MethodInfo, ModelFacts, Preflight, Shape, StoredModel, TensorRow, Budgets, Forecast } from "../../src/engine/api";

export const fakeGpu = (state: GpuInfo["state"] = "hardware"): GpuInfo => ({
  state,
  name: { hardware: "NVIDIA lovelace", software: "SwiftShader", none: "" }[state],
  vendor: { hardware: "nvidia", software: "google", none: "" }[state],
  architecture: { hardware: "lovelace", software: "swiftshader", none: "" }[state],
  description: "",
  limits: { maxStorageBufferBindingSize: 134_217_728, maxBufferSize: 268_435_456, maxComputeWorkgroupStorageSize: 16_384, maxStorageBuffersPerShaderStage: 8, maxComputeInvocationsPerWorkgroup: 256 },
  features: state === "none" ? [] : ["shader-f16", "subgroups"],
  ...(state === "none" ? { reason: "This browser has no navigator.gpu." } : {}),
});

export const fakeFacts = (change: Partial<ModelFacts> = {}): ModelFacts => ({
  architecture: "Qwen2ForCausalLM", family: "Qwen2", layers: 28, hidden: 1536, intermediate: 8960, heads: 12, kvHeads: 2, headDim: 128, vocab: 151_936, context: 4096,
  ropeTheta: 10_000, tied: true, parameters: 1_543_714_304, tensors: 338, dtypes: [{ dtype: "BF16", bytes: 3_087_428_608 }], bytes: 3_087_467_144, licence: "Apache-2.0", ...change,
});

export const fakeModel = (change: Partial<StoredModel> & { id: string; name: string }): StoredModel => {
  const facts = change.facts ?? fakeFacts();
  const chunks = Math.max(1, Math.ceil(facts.bytes / 67_108_864));
  return { state: "ready", backend: "copy", createdAt: 1, bytes: facts.bytes, files: 7, chunks, chunksDone: chunks, hash: "b41c09e7a0d3526644f01c2b8ae75d2f", facts, ...change };
};

export const fakeBase = (): StoredModel => fakeModel({ id: "m1", name: "Qwen2.5-Math-1.5B" });
export const fakeTuned = (): StoredModel =>
  fakeModel({ id: "m2", name: "DeepSeek-R1-Distill-Qwen-1.5B", hash: "77e0aa51cc03b2649e01f2b85d2fa0d3", facts: fakeFacts({ tied: false, context: 131_072, parameters: 1_777_088_000, tensors: 339, bytes: 3_554_214_752, licence: "MIT" }) });

const number = (label: string, value: number, more: Partial<NumberSpec> = {}): NumberSpec => ({ kind: "number", label, help: "", effect: "at-once", default: value, min: 0, max: 1, step: 0.01, ...more });
const fisherParams: ParamSpecs = {
  r: number("Kept after trim, r", 0.2, { effect: "pass", help: "Share of each task vector that is kept." }),
  gateFactor: number("Gate factor", 0.7, { help: "Scales α of the gate projection." }),
  theta: { kind: "number-or-word", label: "Spread, θ", help: "How strongly scores pull α apart.", effect: "at-once", default: "adaptive", words: [{ value: "adaptive", label: "Adaptive" }], min: 0, max: 5, step: 0.1 },
  scoreMode: { kind: "choice", label: "Signal", help: "What a layer's score is made of.", effect: "at-once", default: "fd2", options: [{ value: "fd2", label: "F × mean δ²" }, { value: "d2", label: "mean δ²" }] },
  alphaScope: { kind: "choice", label: "One α per", help: "Block is the paper's reading.", effect: "at-once", default: "block", options: [{ value: "block", label: "Block" }, { value: "tensor", label: "Tensor" }] },
  seed: number("Seed", 42, { effect: "pass", advanced: true, max: 2 ** 31 - 1, step: 1, integer: true, help: "Draws the token sequences." }),
  calib: { kind: "flag", label: "Norm calibration", help: "Divides a merged tensor whose norm has grown.", effect: "write", default: true, advanced: true },
};
const method = (id: string, label: string, fisher: boolean, params: ParamSpecs, maxModels = 1): MethodInfo => ({
  id, label, kind: fisher ? "Fisher-weighted" : "data-free", summary: fisher ? "Each layer takes the share of the change that its score allows." : "The same share of the change on every layer.",
  formula: "θ = θ₀ + α δ", source: "https://arxiv.org/abs/2306.01708", needs: { base: true, fisher, minModels: 1, maxModels }, params,
  presets: fisher ? [{ id: "paper", label: "paper, 1.5B", params: { r: 0.2 } }] : [],
});
export const fakeMethods = (): MethodInfo[] => [
  method("fim-ties", "FIM-TIES", true, fisherParams),
  method("fim-ta", "FIM-TA", true, { theta: fisherParams.theta!, gateFactor: fisherParams.gateFactor!, seed: fisherParams.seed! }),
  method("task-arithmetic", "Task arithmetic", false, { lambda: number("Scale, λ", 0.5, { max: 2 }) }, 8),
  method("linear", "Linear", false, { normalize: { kind: "flag", label: "Normalise", help: "", effect: "at-once", default: true } }, 8),
];

export const fakeReconciliation = (): Reconciliation => ({ tied: "untie", context: "max", tokenizer: "finetuned", chatTemplate: "finetuned", generationConfig: "finetuned", clashRows: "finetuned" });

export function fakeRecipe(methodId: string, base: StoredModel, models: StoredModel[]): Recipe {
  const params = fakeMethods().find((m) => m.id === methodId)?.params ?? {};
  return {
    version: 1, method: methodId, base: { id: base.id, name: base.name, ...(base.hash ? { hash: base.hash } : {}) }, models: models.map((m) => ({ id: m.id, name: m.name, ...(m.hash ? { hash: m.hash } : {}) })),
    params: Object.fromEntries(Object.entries(params).map(([key, spec]) => [key, spec.default])), reconciliation: fakeReconciliation(), output: { dtype: "base", maxShardBytes: 5_000_000_000, name: "merged" },
  };
}

const match = (label: string, sub: string, value: string, action = "nothing to do", other = value): CheckRow => ({ id: label, label, ...(sub ? { sub } : {}), base: value, tuned: [other], verdict: "match", action });
const differs = (label: string, sub: string, base: string, tuned: string, choice?: CheckRow["choice"], more: Partial<CheckRow> = {}): CheckRow =>
  ({ id: label, label, sub, base, tuned: [tuned], verdict: "differs", action: choice ? "" : "not considered until the width agrees", ...(choice ? { choice } : {}), ...more });

/** The pair of the design: four differences with a choice, or, blocked, a base of another width. */
export function fakePreflight(blocked: boolean, reconciliation: Partial<Reconciliation> = {}): Preflight {
  const chosen = { ...fakeReconciliation(), ...reconciliation };
  const common = [
    match("Architecture", "", "Qwen2ForCausalLM", "Fisher available: forward and backward are implemented"), match("Layers", "num_hidden_layers", "28", "one α per block, 28 in all"),
    match("Tensors", "name and shape", "338", "338 pair up; lm_head.weight is the choice above", "339"), match("Dtype", "stored", "BF16", "result written as BF16, computed in F32"),
    match("Rotary base", "rope_theta", "10,000"), match("Stop ids", "eos_token_id", "151,643"), match("Licence", "", "Apache-2.0", "compatible; both notices go into the model card", "MIT"),
  ];
  if (blocked) {
    const block = (label: string, sub: string, base: string, tuned: string, action: string): CheckRow => ({ id: label, label, sub, base, tuned: [tuned], verdict: "block", action });
    return {
      verdict: "blocked", elapsedMs: 94, parameters: 0, reconciliation: chosen, fisher: { available: false, reason: "The pair cannot be merged." },
      rows: [
        block("Width", "hidden_size", "3,584", "1,536", "cannot be merged; see above"), block("Inner width", "intermediate_size", "18,944", "8,960", "follows from the width"), block("Heads", "query · key-value", "28 · 4", "12 · 2", "follows from the width"),
        differs("Vocabulary", "vocab_size", "152,064", "151,936"), differs("Context length", "max_position_embeddings", "4,096", "131,072"), differs("Chat template", "tokenizer_config.json", "ChatML", "DeepSeek-R1"), ...common,
      ],
      findings: [{
        severity: "block", code: "shape-mismatch", title: "The layers have different widths",
        found: "Base has hidden size 3,584, fine-tuned has 1,536. All 338 shared tensors differ in shape, first model.layers.0.self_attn.q_proj.weight: [3584, 3584] and [1536, 1536].",
        why: "A merge adds numbers at the same place in both models. The 7B base and the 1.5B fine-tuned model have no common places.", todo: "Load a base with hidden size 1,536.",
      }],
    };
  }
  const option = (value: string, label: string, consequence: string): { value: string; label: string; consequence: string } => ({ value, label, consequence });
  return {
    verdict: "ok", elapsedMs: 112, parameters: chosen.tied === "untie" ? 1_777_088_000 : 1_543_714_304, reconciliation: chosen, fisher: { available: true }, findings: [],
    rows: [
      differs("Output head", "lm_head.weight", "tied to embedding", "own tensor", { key: "tied", value: chosen.tied, options: [option("untie", "Untie, merge both heads", "+0.47 GB · 1,777,088,000 parameters in the result"), option("tie-as-base", "Keep tied, as the base", "1,543,714,304 parameters; the fine-tuned head is dropped"), option("head-from-finetuned", "Head from fine-tuned", "the fine-tuned head is copied, unmixed")] }),
      differs("Context length", "max_position_embeddings", "4,096", "131,072", { key: "context", value: chosen.context, options: [option("max", "Larger, 131,072", "4,096 would cut long answers"), option("base", "From base, 4,096", "cuts long answers"), option("finetuned", "From fine-tuned, 131,072", "as the larger")] }),
      differs("Chat template", "tokenizer_config.json", "ChatML", "DeepSeek-R1", { key: "chatTemplate", value: chosen.chatTemplate, options: [option("finetuned", "From fine-tuned", "the result talks as the fine-tuned model"), option("base", "From base", "the result talks as the base")] }),
      differs("Special tokens", "6 ids carry two meanings", "Qwen2.5", "R1-Distill", { key: "tokenizer", value: chosen.tokenizer, options: [option("finetuned", "Tokenizer from fine-tuned", "thinking tags are kept"), option("base", "Tokenizer from base", "thinking tags are lost")] },
        { clashes: [[151_644, "<|im_start|>", "<｜User｜>"], [151_645, "<|im_end|>", "<｜Assistant｜>"], [151_646, "<|object_ref_start|>", "<｜begin▁of▁sentence｜>"], [151_647, "<|object_ref_end|>", "<|EOT|>"], [151_648, "<|box_start|>", "<think>"], [151_649, "<|box_end|>", "</think>"]].map(([id, base, tuned]) => ({ id: id as number, base: base as string, tuned: tuned as string, row: chosen.rows?.[String(id)] ?? chosen.clashRows })) }),
      ...common.slice(0, 2), match("Width", "hidden · intermediate", "1,536 · 8,960"), match("Heads", "query · key-value · dim", "12 · 2 · 128"), match("Vocabulary", "vocab_size", "151,936", "no rows added or cut"), ...common.slice(2),
    ],
  };
}

const KINDS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

/** Curves of a finished pass, or, with `measured` below 28, of one that has come from the last layer down to there. */
export function fakeShape(recipe: Recipe, measured = 28): Shape {
  const fisher = fakeMethods().find((m) => m.id === recipe.method)?.needs.fisher ?? false;
  const complete = !fisher || measured >= 28;
  const known = (layer: number): boolean => !fisher || layer >= 28 - measured;
  const gate = typeof recipe.params.gateFactor === "number" ? recipe.params.gateFactor : 1;
  const flat = typeof recipe.params.lambda === "number" ? recipe.params.lambda : 0.5;
  const s = (l: number): number => -13.75 - 2.05 * Math.log1p(l) - 0.25 * Math.sin(l * 1.7) + (l === 27 ? 1 : 0);
  const alphaOf = (l: number): number => (fisher ? 0.5 + 0.231 * ((s(0) - s(l)) / (s(0) - s(25))) * (l > 25 ? 0.95 : 1) : flat);
  const f = (l: number): number => 4.07e-3 * Math.exp(-1.7 * Math.log1p(l)) * (1 + 0.1 * Math.sin(l));
  const d = (l: number): number => 1e-4 * (2 + 0.6 * Math.cos(l / 3.5));
  const layers = Array.from({ length: 28 }, (_, layer): LayerRow => ({
    layer, alpha: complete ? alphaOf(layer) : undefined, gateAlpha: complete ? alphaOf(layer) * gate : undefined, fisher: fisher && known(layer) ? f(layer) : undefined, delta2: known(layer) ? d(layer) : undefined,
    s: fisher && known(layer) ? s(layer) : undefined, kept: known(layer) ? (recipe.params.r as number | undefined) ?? 1 : undefined, delta2ShareKept: known(layer) ? 0.4 + 0.1 * Math.sin(layer) : undefined,
  }));
  const tensors = layers.flatMap((row) => KINDS.map((role, k): TensorRow => ({
    name: `model.layers.${row.layer}.${k < 4 ? "self_attn" : "mlp"}.${role}.weight`, role, layer: row.layer, elements: 1536 * (k < 4 ? 1536 : 8960), fisherMean: row.fisher && row.fisher * (1 + k / 7), delta2Mean: row.delta2 && row.delta2 * (1 + k / 9),
    threshold: undefined, kept: row.kept, delta2ShareKept: row.delta2ShareKept, alpha: role === "gate_proj" ? row.gateAlpha : row.alpha, rho: 1, calibrated: false,
  })));
  const scores = layers.map((row) => row.s).filter((v) => v !== undefined).sort((a, b) => a - b);
  return {
    experts: [{ name: recipe.models[0]?.name ?? "", layers, tensors, outsideAlpha: 0.65, reachable: fisher ? [0.5, 0.731] : undefined, theta: 1, median: scores[14] }],
    sentence: complete && fisher ? "Layer 0 matters most to the base and takes half; layer 25 matters least and takes 73%." : "", calibration: { mode: "on", tested: 196, moved: 0 }, complete, needsPass: fisher && measured === 0, warnings: [],
  };
}

export const fakePlan = (recipe: Recipe): ExportPlan => ({
  files: [{ path: "model-00001-of-00002.safetensors", bytes: 1_990_000_000, from: "tensors 1–192, BF16" }, { path: "model-00002-of-00002.safetensors", bytes: 1_564_214_752, from: "tensors 193–339, BF16" }, { path: "config.json", bytes: 713, from: "base, context 131,072, head untied" }],
  totalBytes: 3_554_215_465, tensors: 339, parameters: 1_777_088_000, recipeHash: recipe.method === "fim-ties" ? "7f3a001122334455c21d" : "c07d001122334455e518", recipeJson: JSON.stringify(recipe, undefined, 2), modelCard: "# merged\n", approximate: true,
});

export const fakeReport = (recipe: Recipe): ExportReport => ({
  name: "merged-2026-11-22", files: fakePlan(recipe).files.map((f) => ({ ...f, sha256: "9f".repeat(32) })), totalBytes: 3_554_215_465, elapsedMs: 41_000,
  checks: [{ id: "headers", label: "Headers parse and match the plan", found: "339 tensors", verdict: "pass" }, { id: "tiles", label: "Tiles recomputed on the CPU", found: "64 of 64 equal", verdict: "pass" }], tiles: { compared: 64, equal: 64 }, recipeHash: fakePlan(recipe).recipeHash,
});

/** A forecast of a 1.5B pair: no speed is known yet, so no time is either. */
export const fakeForecast = (recipe: Recipe, budgets: Budgets): Forecast => {
  const merge = { gpuBytes: 44_000_000, hostBytes: 190_000_000, readBytes: 6_640_000_000, writeBytes: 3_554_000_000, dispatches: 424, flops: 0, seconds: undefined };
  const pass = { gpuBytes: 760_000_000, hostBytes: 160_000_000, readBytes: 9_200_000_000, writeBytes: 164_000_000, dispatches: 9_000, flops: 5.9e12, seconds: undefined };
  const fisher = recipe.method.startsWith("fim");
  return {
    phases: [...(fisher ? [{ id: "backward" as const, label: "Loss, backward, Fisher, trim", ...pass }] : []), { id: "merge" as const, label: "Merge and write", ...merge }],
    ...merge, ...(fisher ? { ...pass, readBytes: pass.readBytes + merge.readBytes, writeBytes: pass.writeBytes + merge.writeBytes } : {}),
    budgets, fits: budgets.gpuBytes >= 760_000_000, memory: { panelBytes: 2 ** 27, inputsOnHost: false, pinnedBlocks: 3, sliceElements: 2 ** 22, readAhead: 4 },
    notes: budgets.gpuBytes >= 760_000_000 ? [] : ["760 MB of GPU memory are needed at one time, which is more than the budget. Raise the budget."],
  };
};
