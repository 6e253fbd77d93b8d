import type { ModelConfig } from "./config";

export type Group = "attention" | "mlp" | "norm" | "embedding" | "head";
export type Kind = "linear" | "bias" | "norm" | "embedding";
/** C hidden, H heads, KV key-value heads, D head dim, F intermediate, V vocabulary; "H*D" is a product. */
export type Dimension = "C" | "F" | "V" | "D" | "H*D" | "KV*D";
type Switch = "qkvBias" | "oBias" | "mlpBias" | "qkNorm";

export interface TensorRule {
  role: string;
  /** "{layer}" stands for 0 .. L-1; a name without it occurs once. */
  name: string;
  shape: Dimension[];
  group: Group;
  kind: Kind;
  /** Present only when this switch of the configuration is on. */
  when?: Switch;
  /** Absent from the file when the configuration ties it to this role. */
  tiedTo?: string;
}

export interface Architecture {
  /** Class name in config.json. */
  id: string;
  modelType: string;
  /** "Qwen2", for people. */
  family: string;
  rules: readonly TensorRule[];
  /** `always`: on whatever the file says. `config`: by attention_bias, and then o_proj has one too. */
  qkvBias: "always" | "config" | "never";
  mlpBias: "config" | "never";
  qkNorm: boolean;
  /** `late`: needs use_sliding_window, from layer max_window_layers on. */
  window: "never" | "all" | "late";
  /** Values of the configuration class for keys that the file may leave out. */
  defaults: { maxPosition: number; kvHeads?: number; headDim?: number; slidingWindow?: number };
}

const linear = (role: string, path: string, shape: Dimension[], group: Group): TensorRule => ({ role, name: `model.layers.{layer}.${path}.weight`, shape, group, kind: "linear" });
const bias = (role: string, path: string, dimension: Dimension, group: Group, when: Switch): TensorRule => ({ role: `${role}.bias`, name: `model.layers.{layer}.${path}.bias`, shape: [dimension], group, kind: "bias", when });
const norm = (role: string, path: string, dimension: Dimension, when?: Switch): TensorRule => ({ role, name: `model.layers.{layer}.${path}.weight`, shape: [dimension], group: "norm", kind: "norm", ...(when ? { when } : {}) });

/** One table for the four families: they differ in switches, not in names. */
const decoderRules: readonly TensorRule[] = [
  { role: "embed_tokens", name: "model.embed_tokens.weight", shape: ["V", "C"], group: "embedding", kind: "embedding" },
  norm("input_layernorm", "input_layernorm", "C"),
  linear("q_proj", "self_attn.q_proj", ["H*D", "C"], "attention"),
  linear("k_proj", "self_attn.k_proj", ["KV*D", "C"], "attention"),
  linear("v_proj", "self_attn.v_proj", ["KV*D", "C"], "attention"),
  linear("o_proj", "self_attn.o_proj", ["C", "H*D"], "attention"),
  bias("q_proj", "self_attn.q_proj", "H*D", "attention", "qkvBias"),
  bias("k_proj", "self_attn.k_proj", "KV*D", "attention", "qkvBias"),
  bias("v_proj", "self_attn.v_proj", "KV*D", "attention", "qkvBias"),
  bias("o_proj", "self_attn.o_proj", "C", "attention", "oBias"),
  norm("q_norm", "self_attn.q_norm", "D", "qkNorm"),
  norm("k_norm", "self_attn.k_norm", "D", "qkNorm"),
  norm("post_attention_layernorm", "post_attention_layernorm", "C"),
  linear("gate_proj", "mlp.gate_proj", ["F", "C"], "mlp"),
  linear("up_proj", "mlp.up_proj", ["F", "C"], "mlp"),
  linear("down_proj", "mlp.down_proj", ["C", "F"], "mlp"),
  bias("gate_proj", "mlp.gate_proj", "F", "mlp", "mlpBias"),
  bias("up_proj", "mlp.up_proj", "F", "mlp", "mlpBias"),
  bias("down_proj", "mlp.down_proj", "C", "mlp", "mlpBias"),
  { role: "norm", name: "model.norm.weight", shape: ["C"], group: "norm", kind: "norm" },
  { role: "lm_head", name: "lm_head.weight", shape: ["V", "C"], group: "head", kind: "linear", tiedTo: "embed_tokens" },
];

export const ARCHITECTURES: readonly Architecture[] = [
  { id: "Qwen2ForCausalLM", modelType: "qwen2", family: "Qwen2", rules: decoderRules, qkvBias: "always", mlpBias: "never", qkNorm: false, window: "late", defaults: { maxPosition: 32768, kvHeads: 32, slidingWindow: 4096 } },
  { id: "LlamaForCausalLM", modelType: "llama", family: "Llama", rules: decoderRules, qkvBias: "config", mlpBias: "config", qkNorm: false, window: "never", defaults: { maxPosition: 2048 } },
  { id: "MistralForCausalLM", modelType: "mistral", family: "Mistral", rules: decoderRules, qkvBias: "never", mlpBias: "never", qkNorm: false, window: "all", defaults: { maxPosition: 131072, kvHeads: 8, slidingWindow: 4096 } },
  { id: "Qwen3ForCausalLM", modelType: "qwen3", family: "Qwen3", rules: decoderRules, qkvBias: "config", mlpBias: "never", qkNorm: true, window: "late", defaults: { maxPosition: 32768, kvHeads: 32, headDim: 128, slidingWindow: 4096 } },
];

export const architectureOf = (id: string): Architecture | undefined => ARCHITECTURES.find((a) => a.id === id);

export const EMBEDDING = "model.embed_tokens.weight";
export const HEAD = "lm_head.weight";

/** The seven matrices of a block that are trimmed and that carry a block's statistics (METHODS A6). */
export const BLOCK_ROLES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"] as const;

export function dimensionOf(dimension: Dimension, config: ModelConfig): number {
  switch (dimension) {
    case "C": return config.hidden;
    case "F": return config.intermediate;
    case "V": return config.vocab;
    case "D": return config.headDim;
    case "H*D": return config.heads * config.headDim;
    case "KV*D": return config.kvHeads * config.headDim;
  }
}

/** Full name of a row's tensor in one layer. */
export const tensorName = (rule: Pick<TensorRule, "name">, layer: number): string => rule.name.replace("{layer}", String(layer));

export interface ExpectedTensor {
  name: string;
  shape: number[];
  role: string;
  layer: number | undefined;
}

/** Every tensor a checkpoint of this configuration must have: embedding, blocks in order, final norm, and the head unless tied. */
export function expectedTensors(config: ModelConfig): ExpectedTensor[] {
  const rules = architectureOf(config.architecture)?.rules ?? [];
  const active = rules.filter((r) => (!r.when || config[r.when]) && !(r.tiedTo && config.tied));
  const once = (rule: TensorRule, layer: number | undefined): ExpectedTensor => ({ name: tensorName(rule, layer ?? 0), shape: rule.shape.map((d) => dimensionOf(d, config)), role: rule.role, layer });
  const inBlock = active.filter((r) => r.name.includes("{layer}"));
  const first = active.findIndex((r) => r.name.includes("{layer}"));
  const outside = active.map((rule, i) => ({ rule, i })).filter(({ rule }) => !rule.name.includes("{layer}"));
  return [
    ...outside.filter(({ i }) => i < first).map(({ rule }) => once(rule, undefined)),
    ...Array.from({ length: config.layers }, (_, layer) => inBlock.map((rule) => once(rule, layer))).flat(),
    ...outside.filter(({ i }) => i > first).map(({ rule }) => once(rule, undefined)),
  ];
}
