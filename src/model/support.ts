import { StudioError } from "../core/errors";
import { isFloatDtype, type TensorInfo } from "../core/tensors";
import { ARCHITECTURES, architectureOf, expectedTensors, HEAD } from "./architectures";
import { architectureName, parseModelConfig, type ModelConfig, type RawConfig } from "./config";

const families = ARCHITECTURES.map((a) => a.family);
const known = `${families.slice(0, -1).join(", ")} and ${families.at(-1)}`;

/** Keys that change the arithmetic of a block, with the value that leaves it as implemented. */
const neutral: { keys: string[]; isNeutral: (value: unknown) => boolean; part: string }[] = [
  { keys: ["num_experts", "num_local_experts", "n_routed_experts", "moe_intermediate_size"], isNeutral: (v) => v == null || v === 0 || v === 1, part: "mixture-of-experts routing" },
  { keys: ["attn_logit_softcapping", "final_logit_softcapping"], isNeutral: (v) => v == null || v === 0, part: "logit softcapping" },
  { keys: ["embedding_multiplier", "residual_multiplier", "logits_scaling", "logit_scale", "scale_emb", "scale_depth"], isNeutral: (v) => v == null || v === 1, part: "scaled residuals, embeddings or logits" },
  { keys: ["attention_multiplier", "query_pre_attn_scalar"], isNeutral: (v) => v == null, part: "an attention scale other than 1/sqrt(head dim)" },
  { keys: ["partial_rotary_factor", "rotary_pct"], isNeutral: (v) => v == null || v === 1, part: "partial rotary positions" },
  { keys: ["kv_lora_rank", "q_lora_rank"], isNeutral: (v) => v == null || v === 0, part: "multi-head latent attention" },
  { keys: ["clip_qkv"], isNeutral: (v) => v == null, part: "clipping of q, k and v" },
  { keys: ["use_qk_norm"], isNeutral: (v) => v !== true, part: "query and key norms by configuration" },
  { keys: ["attention_chunk_size"], isNeutral: (v) => v == null, part: "chunked attention" },
];

function missingPart(config: RawConfig): string | undefined {
  for (const { keys, isNeutral, part } of neutral) {
    const key = keys.find((k) => !isNeutral(config[k]));
    if (key) return `${part} (${key} ${JSON.stringify(config[key])})`;
  }
  return undefined;
}

function missingInParsed(parsed: ModelConfig): string | undefined {
  if (parsed.hiddenAct !== "silu" && parsed.hiddenAct !== "swish") return `the activation "${parsed.hiddenAct}" (silu is)`;
  if (parsed.rope.scaling.type === "unsupported") return `rotary scaling "${parsed.rope.scaling.name}" (none, linear and llama3 are)`;
  if (parsed.oBias) return "a bias on the attention output (attention_bias)";
  if (parsed.mlpBias) return "biases in the MLP (mlp_bias)";
  if (parsed.headDim % 2 !== 0) return `rotary positions for an odd head dimension (${parsed.headDim})`;
  if (parsed.heads % parsed.kvHeads !== 0) return `${parsed.heads} query heads over ${parsed.kvHeads} key-value heads, which do not divide`;
  return undefined;
}

/** Names that hold no weights although older files store them: the rotary frequencies, recomputed from the configuration. */
export const isBuffer = (name: string): boolean => /rotary_emb\.inv_freq$|\.masked_bias$|\.attn\.bias$/.test(name);

/**
 * Whether forward and backward exist for a checkpoint, and if not, the part that is missing.
 * Looks at the configuration and at names, shapes and dtypes; reads no weight.
 */
export function fisherSupport(config: RawConfig, tensors: ReadonlyMap<string, Pick<TensorInfo, "shape" | "dtype">>): { available: boolean; reason?: string } {
  const no = (reason: string): { available: false; reason: string } => ({ available: false, reason });
  const name = architectureName(config);
  if (!architectureOf(name)) {
    const part = missingPart(config);
    return no(`No forward and backward for ${name || "an unnamed architecture"}: ${part ? `${part} is missing, and ` : ""}only ${known} are implemented.`);
  }
  const part = missingPart(config);
  if (part) return no(`Not implemented: ${part}.`);
  let parsed: ModelConfig;
  try {
    parsed = parseModelConfig(config);
  } catch (error) {
    if (error instanceof StudioError) return no(error.message);
    throw error;
  }
  const missing = missingInParsed(parsed);
  if (missing) return no(`Not implemented: ${missing}.`);

  const expected = new Map(expectedTensors(parsed).map((t) => [t.name, t.shape]));
  for (const [tensor, shape] of expected) {
    const found = tensors.get(tensor);
    if (!found) return no(`The checkpoint has no tensor "${tensor}", which ${name} needs.`);
    if (found.shape.length !== shape.length || found.shape.some((d, i) => d !== shape[i])) return no(`Tensor "${tensor}" is [${found.shape.join(", ")}], config.json makes it [${shape.join(", ")}].`);
    if (!isFloatDtype(found.dtype)) return no(`Tensor "${tensor}" is stored as ${found.dtype}; F32, F16 and BF16 are computed with.`);
  }
  for (const tensor of tensors.keys()) {
    if (!expected.has(tensor) && tensor !== HEAD && !isBuffer(tensor)) return no(`Tensor "${tensor}" has no place in ${name} as implemented.`);
  }
  return { available: true };
}
