import { architectureOf, BLOCK_ROLES, type Group, type Kind } from "./architectures";

/** What a tensor is, by its name. */
export interface TensorRole {
  /** "q_proj", "q_proj.bias", "input_layernorm", "embed_tokens", "norm", "lm_head"; "other" when nothing matches. */
  role: string;
  layer: number | undefined;
  group: Group | "other";
  kind: Kind | "other";
  /** A weight matrix of q, k, v, o, gate, up or down inside a block. */
  inBlock2d: boolean;
  /** The gate of the MLP, which FIM-TIES damps; in a fused tensor only its first half of rows, see `isGateUp`. */
  isGate: boolean;
  isGateUp: boolean;
  isEmbedding: boolean;
  isHead: boolean;
  isNorm: boolean;
  isBias: boolean;
}

/** Last part of a module path -> role and group, for architectures without a table. GPT-2, Phi, Falcon and Gemma spellings. */
const suffixes: Record<string, { role: string; group: Group; kind: Kind }> = {
  ...Object.fromEntries(BLOCK_ROLES.map((role) => [role, { role, group: /gate|up|down/.test(role) ? "mlp" : "attention", kind: "linear" } as const])),
  qkv_proj: { role: "qkv_proj", group: "attention", kind: "linear" },
  query_key_value: { role: "qkv_proj", group: "attention", kind: "linear" },
  c_attn: { role: "qkv_proj", group: "attention", kind: "linear" },
  dense: { role: "o_proj", group: "attention", kind: "linear" },
  gate_up_proj: { role: "gate_up_proj", group: "mlp", kind: "linear" },
  fc1: { role: "up_proj", group: "mlp", kind: "linear" },
  c_fc: { role: "up_proj", group: "mlp", kind: "linear" },
  dense_h_to_4h: { role: "up_proj", group: "mlp", kind: "linear" },
  fc2: { role: "down_proj", group: "mlp", kind: "linear" },
  dense_4h_to_h: { role: "down_proj", group: "mlp", kind: "linear" },
  w1: { role: "gate_proj", group: "mlp", kind: "linear" },
  w3: { role: "up_proj", group: "mlp", kind: "linear" },
  w2: { role: "down_proj", group: "mlp", kind: "linear" },
  embed_tokens: { role: "embed_tokens", group: "embedding", kind: "embedding" },
  wte: { role: "embed_tokens", group: "embedding", kind: "embedding" },
  word_embeddings: { role: "embed_tokens", group: "embedding", kind: "embedding" },
  embed_in: { role: "embed_tokens", group: "embedding", kind: "embedding" },
  lm_head: { role: "lm_head", group: "head", kind: "linear" },
  embed_out: { role: "lm_head", group: "head", kind: "linear" },
};

const blockRoles: ReadonlySet<string> = new Set([...BLOCK_ROLES, "qkv_proj", "gate_up_proj"]);

function finish(role: string, layer: number | undefined, group: TensorRole["group"], kind: TensorRole["kind"]): TensorRole {
  return {
    role, layer, group, kind,
    inBlock2d: kind === "linear" && layer !== undefined && blockRoles.has(role),
    isGate: kind === "linear" && role === "gate_proj",
    isGateUp: kind === "linear" && role === "gate_up_proj",
    isEmbedding: kind === "embedding",
    isHead: group === "head",
    isNorm: kind === "norm",
    isBias: kind === "bias",
  };
}

const patterns = new Map<string, { pattern: RegExp; role: string; group: Group; kind: Kind }[]>();
function patternsOf(id: string): { pattern: RegExp; role: string; group: Group; kind: Kind }[] {
  let list = patterns.get(id);
  if (!list) {
    list = (architectureOf(id)?.rules ?? []).map(({ name, role, group, kind }) => ({ pattern: new RegExp(`^${name.replaceAll(".", "\\.").replace("{layer}", "(\\d+)")}$`), role, group, kind }));
    patterns.set(id, list);
  }
  return list;
}

/**
 * Role of a tensor: from the architecture's table when it has the name, else from the name alone
 * (layer = first integer between dots, role = last known module name, norm and bias by their words).
 * The shape is not looked at: a caller that needs a matrix checks for two dimensions.
 */
export function describeTensor(name: string, architecture?: string): TensorRole {
  for (const { pattern, role, group, kind } of architecture ? patternsOf(architecture) : []) {
    const found = pattern.exec(name);
    if (found) return finish(role, found[1] === undefined ? undefined : Number(found[1]), group, kind);
  }
  const parts = name.split(".");
  const number = parts.find((p) => /^\d+$/.test(p));
  const layer = number === undefined ? undefined : Number(number);
  const isBias = parts.at(-1) === "bias";
  const modules = parts.filter((p) => p !== "weight" && p !== "bias" && !/^\d+$/.test(p));
  const last = modules.at(-1) ?? "";
  // A router decides between experts; it is no gate of an MLP, whatever it is called.
  if (last === "gate" || last === "router") return finish("router", layer, "mlp", isBias ? "bias" : "linear");
  const known = suffixes[last] ?? (last === "c_proj" ? { role: modules.includes("mlp") ? "down_proj" : "o_proj", group: modules.includes("mlp") ? "mlp" as const : "attention" as const, kind: "linear" as const } : undefined);
  if (known) return isBias ? finish(`${known.role}.bias`, layer, known.group, "bias") : finish(known.role, layer, known.group, known.kind);
  if (/norm|^ln_|(^|_)ln\d?$/i.test(last)) return isBias ? finish(`${last}.bias`, layer, "norm", "bias") : finish(layer === undefined ? "norm" : last, layer, "norm", "norm");
  return finish("other", layer, "other", isBias ? "bias" : "other");
}
