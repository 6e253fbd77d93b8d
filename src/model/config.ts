import { StudioError } from "../core/errors";
import { ARCHITECTURES, architectureOf, type Architecture } from "./architectures";

/** How positions stretch. `unsupported` keeps the name, so that the finding can say it. */
export type RopeScaling =
  | { type: "none" }
  | { type: "linear"; factor: number }
  | { type: "llama3"; factor: number; lowFreqFactor: number; highFreqFactor: number; originalMaxPosition: number }
  | { type: "unsupported"; name: string };

/** config.json of a supported decoder, with the defaults of its class filled in. */
export interface ModelConfig {
  architecture: string;
  modelType: string;
  /** L, C, F, H, KV, D, V of STYLE's table of names. */
  layers: number;
  hidden: number;
  intermediate: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  vocab: number;
  rmsEps: number;
  rope: { theta: number; scaling: RopeScaling };
  /** One per layer: query i sees keys j with 0 <= i - j < window; undefined sees all keys up to i. */
  slidingWindow: (number | undefined)[];
  tied: boolean;
  maxPosition: number;
  hiddenAct: string;
  qkvBias: boolean;
  oBias: boolean;
  mlpBias: boolean;
  /** RMSNorm over each head of q and k, before the rotation (Qwen3). */
  qkNorm: boolean;
}

export type RawConfig = Readonly<Record<string, unknown>>;

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);
const numberOr = (value: unknown, fallback: number): number => (typeof value === "number" && Number.isFinite(value) ? value : fallback);

/** First entry of `architectures`, "" when the file names none. */
export function architectureName(config: RawConfig): string {
  const list = config.architectures;
  return Array.isArray(list) && typeof list[0] === "string" ? list[0] : "";
}

function size(config: RawConfig, key: string, fallback?: number): number {
  const value = config[key] ?? fallback;
  if (typeof value === "number" && Number.isInteger(value) && value > 0) return value;
  throw new StudioError("bad-file", `Reading config.json: "${key}" is ${JSON.stringify(value) ?? "missing"}, expected a whole number above 0. Copy the file again from where the model came from.`, {
    title: "config.json is incomplete", where: `config.json, ${key}`, found: JSON.stringify(value) ?? "nothing", expected: "a whole number above 0", todo: "Copy config.json again from where the model came from.",
  });
}

/**
 * Rotary base and scaling, from `rope_theta` with `rope_scaling` (transformers 4) or `rope_parameters` (transformers 5).
 * When both spellings are there the newer one wins, as in transformers.
 */
export function parseRope(config: RawConfig, defaultTheta = 10000): ModelConfig["rope"] {
  const parameters = isRecord(config.rope_parameters) ? config.rope_parameters : undefined;
  const scaling = parameters ?? (isRecord(config.rope_scaling) ? config.rope_scaling : undefined);
  const theta = numberOr(parameters?.rope_theta, numberOr(config.rope_theta, defaultTheta));
  if (!scaling) return { theta, scaling: { type: "none" } };
  const type = scaling.rope_type ?? scaling.type ?? "default";
  const factor = scaling.factor;
  if (type === "default") {
    // Keys of layer types instead of numbers: one set of rotary parameters per kind of layer.
    const perLayer = Object.values(scaling).some(isRecord);
    return { theta, scaling: perLayer ? { type: "unsupported", name: "rotary parameters per layer type" } : { type: "none" } };
  }
  if (type === "linear" && typeof factor === "number" && factor > 0) return { theta, scaling: { type: "linear", factor } };
  if (type === "llama3") {
    const { low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: original } = scaling;
    if ([factor, low, high, original].every((x) => typeof x === "number" && x > 0) && high !== low) {
      return { theta, scaling: { type: "llama3", factor: factor as number, lowFreqFactor: low as number, highFreqFactor: high as number, originalMaxPosition: original as number } };
    }
    return { theta, scaling: { type: "unsupported", name: "llama3 with incomplete numbers" } };
  }
  return { theta, scaling: { type: "unsupported", name: String(type) } };
}

/** Window of each layer; the rule differs by class: Qwen needs a switch and starts late, Mistral has it everywhere. */
function slidingWindows(config: RawConfig, architecture: Architecture, layers: number): (number | undefined)[] {
  const defaults = architecture.defaults;
  const raw = config.sliding_window === undefined ? defaults.slidingWindow : config.sliding_window;
  const window = typeof raw === "number" && raw > 0 ? raw : undefined;
  const none = (): undefined[] => Array.from({ length: layers }, () => undefined);
  if (window === undefined || architecture.window === "never") return none();
  const types = config.layer_types;
  if (architecture.window === "late" && config.use_sliding_window !== true) return none();
  if (Array.isArray(types)) return Array.from({ length: layers }, (_, i) => (types[i] === "sliding_attention" ? window : undefined));
  const first = architecture.window === "late" ? numberOr(config.max_window_layers, 28) : 0;
  return Array.from({ length: layers }, (_, i) => (i >= first ? window : undefined));
}

/**
 * config.json as numbers. Throws "unknown-architecture" when the class has no table, "bad-file" when a size is missing
 * or is no whole number. Defaults of absent keys are those of the transformers configuration classes.
 */
export function parseModelConfig(config: RawConfig): ModelConfig {
  const name = architectureName(config);
  const architecture = architectureOf(name);
  if (!architecture) {
    throw new StudioError("unknown-architecture", `Reading config.json: the architecture is ${name ? `"${name}"` : "not named"}; methods that need gradients know ${ARCHITECTURES.map((a) => a.family).join(", ")}. Methods that need no gradients still work.`, {
      title: "Unknown architecture", where: "config.json, architectures", found: name || "nothing",
    });
  }
  const defaults = architecture.defaults;
  const layers = size(config, "num_hidden_layers");
  const hidden = size(config, "hidden_size");
  const heads = size(config, "num_attention_heads");
  // null means "as many as heads"; an absent key means the default of the class.
  const kvHeads = config.num_key_value_heads === null ? heads : size(config, "num_key_value_heads", defaults.kvHeads ?? heads);
  const attentionBias = config.attention_bias === true;
  return {
    architecture: name,
    modelType: typeof config.model_type === "string" ? config.model_type : architecture.modelType,
    layers,
    hidden,
    intermediate: size(config, "intermediate_size"),
    heads,
    kvHeads,
    headDim: size({ head_dim: config.head_dim ?? undefined }, "head_dim", defaults.headDim ?? hidden / heads),
    vocab: size(config, "vocab_size"),
    rmsEps: numberOr(config.rms_norm_eps, 1e-6),
    rope: parseRope(config),
    slidingWindow: slidingWindows(config, architecture, layers),
    tied: config.tie_word_embeddings === true,
    maxPosition: numberOr(config.max_position_embeddings, defaults.maxPosition),
    hiddenAct: typeof config.hidden_act === "string" ? config.hidden_act : "silu",
    qkvBias: architecture.qkvBias === "always" || (architecture.qkvBias === "config" && attentionBias),
    oBias: architecture.qkvBias === "config" && attentionBias,
    mlpBias: architecture.mlpBias === "config" && config.mlp_bias === true,
    qkNorm: architecture.qkNorm,
  };
}
