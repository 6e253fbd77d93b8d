import type { ModelFacts } from "../core/check";
import type { Checkpoint, Dtype } from "../core/tensors";
import { architectureOf, HEAD } from "../model/architectures";
import { architectureName, parseModelConfig, parseRope, type RawConfig } from "../model/config";
import { isTied } from "../model/pairing";
import { isBuffer } from "../model/support";

/** SPDX spelling of the ids that model cards use. */
const licenceNames: Record<string, string> = {
  "apache-2.0": "Apache-2.0", mit: "MIT", "bsd-3-clause": "BSD-3-Clause", "bsd-2-clause": "BSD-2-Clause", "cc0-1.0": "CC0-1.0", "cc-by-4.0": "CC-BY-4.0",
  "cc-by-nc-4.0": "CC-BY-NC-4.0", "cc-by-sa-4.0": "CC-BY-SA-4.0", "cc-by-nc-sa-4.0": "CC-BY-NC-SA-4.0", "gpl-3.0": "GPL-3.0", "agpl-3.0": "AGPL-3.0", unlicense: "Unlicense", isc: "ISC",
};

/** One `key: value` of the block between the two `---` lines that a model card begins with. */
export function frontMatter(readme: string, key: string): string | undefined {
  const block = /^\uFEFF?---\r?\n([\s\S]*?)\r?\n---/.exec(readme)?.[1];
  const line = block && new RegExp(`^${key}:[ \\t]*(.+)$`, "m").exec(block)?.[1];
  const value = line?.replace(/\s+#.*$/, "").trim().replace(/^(["'])(.*)\1$/, "$2");
  return value && value !== "null" && value !== "~" ? value : undefined;
}

/** Licence from the model card, config.json or the licence file itself, undefined when nothing states one. */
export async function licenceOf(checkpoint: Checkpoint): Promise<string | undefined> {
  const path = (pattern: RegExp): string | undefined => checkpoint.files.find((f) => pattern.test(f.path))?.path;
  const card = path(/^README\.md$/i);
  const readme = card ? await checkpoint.text(card) : undefined;
  const stated = (readme && frontMatter(readme, "license")) ?? (typeof checkpoint.config.license === "string" ? checkpoint.config.license : undefined);
  if (stated) {
    const own = stated === "other" && readme ? frontMatter(readme, "license_name") : undefined;
    return own ?? licenceNames[stated.toLowerCase()] ?? stated;
  }
  const file = path(/^LICEN[CS]E(\.(md|txt))?$/i);
  const text = file ? (await checkpoint.text(file))?.slice(0, 2000) : undefined;
  if (!text) return undefined;
  if (/Apache License[\s\S]*Version 2\.0/.test(text)) return "Apache-2.0";
  if (/MIT License|Permission is hereby granted, free of charge/.test(text)) return "MIT";
  return `see ${file}`;
}

/** The part of config.json that describes the language model; models that also see or hear nest it. */
const textConfig = (config: RawConfig): RawConfig => (typeof config.text_config === "object" && config.text_config !== null && config.num_hidden_layers === undefined ? (config.text_config as RawConfig) : config);

/** Number of layers: what config.json says, else what the tensors' names count to. */
export function layerCount({ config }: Pick<Checkpoint, "config">, layers: readonly (number | undefined)[]): number {
  const stated = textConfig(config).num_hidden_layers;
  if (typeof stated === "number" && Number.isInteger(stated) && stated > 0) return stated;
  return layers.reduce<number>((most, layer) => Math.max(most, (layer ?? 0) + 1), 1);
}

/** Weights, counted once: no buffers, and no stored head that tying makes the loader ignore. */
export function countParameters(model: Pick<Checkpoint, "config" | "tensors">): number {
  const tied = isTied(model);
  let sum = 0;
  for (const { name, elements } of model.tensors.values()) if (!isBuffer(name) && !(tied && name === HEAD)) sum += elements;
  return sum;
}

/** What a folder is, from config.json, headers and the model card; lenient: what is not stated is undefined. */
export async function modelFacts(checkpoint: Checkpoint): Promise<ModelFacts> {
  const config = textConfig(checkpoint.config);
  const number = (key: string): number | undefined => (typeof config[key] === "number" ? (config[key] as number) : undefined);
  const architecture = architectureName(checkpoint.config);
  const table = architectureOf(architecture);
  const bytesOf = new Map<Dtype, number>();
  for (const t of checkpoint.tensors.values()) bytesOf.set(t.dtype, (bytesOf.get(t.dtype) ?? 0) + t.end - t.begin);
  const dtypes = [...bytesOf].map(([dtype, bytes]) => ({ dtype, bytes })).sort((a, b) => b.bytes - a.bytes);
  let kvHeads = number("num_key_value_heads") ?? number("num_attention_heads");
  let headDim = number("head_dim") ?? (number("hidden_size") && number("num_attention_heads") ? number("hidden_size")! / number("num_attention_heads")! : undefined);
  if (table) {
    // Defaults of the class; a config that does not parse still shows what it has.
    try {
      ({ kvHeads, headDim } = parseModelConfig(checkpoint.config));
    } catch { /* the check explains it */ }
  }
  return {
    architecture,
    family: table?.family ?? (architecture.replace(/For(CausalLM|ConditionalGeneration)$/, "") || "unknown"),
    layers: number("num_hidden_layers"),
    hidden: number("hidden_size"),
    intermediate: number("intermediate_size"),
    heads: number("num_attention_heads"),
    kvHeads,
    headDim,
    vocab: number("vocab_size"),
    context: number("max_position_embeddings"),
    ropeTheta: config.rope_theta === undefined && config.rope_parameters === undefined && !table ? undefined : parseRope(config).theta,
    tied: isTied(checkpoint),
    parameters: countParameters(checkpoint),
    tensors: checkpoint.tensors.size,
    dtypes,
    bytes: dtypes.reduce((n, d) => n + d.bytes, 0),
    licence: await licenceOf(checkpoint),
  };
}
