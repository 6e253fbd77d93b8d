import type { Recipe } from "../core/recipe";
import type { Checkpoint, FloatDtype } from "../core/tensors";
import { chatTemplateOf, TEMPLATE_FILES, TOKENIZER_FILES } from "../analysis/preflightTokens";
import { parseJsonRecord } from "../formats/checkpoint";
import { memoryFile, type FileSource } from "../core/files";
import type { OutputPlan } from "./plan";

const torchNames: Record<FloatDtype, string> = { F32: "float32", F16: "float16", BF16: "bfloat16" };

/**
 * config.json of the result: the base's, with what the merge changed. `tie_word_embeddings` and `max_position_embeddings`
 * by choice, `vocab_size` where the models differ in it, the dtype key when an output dtype is chosen, and the ids of begin, end and padding from whichever model gives
 * the tokenizer, those of the end from another where `stopIds` says so. Every other key is kept as it is, in its place.
 */
export function outputConfig(base: Checkpoint, tuned: readonly Checkpoint[], recipe: Recipe, plan: Pick<OutputPlan, "tied"> & Partial<Pick<OutputPlan, "vocab">>): Record<string, unknown> {
  const config: Record<string, unknown> = { ...base.config, tie_word_embeddings: plan.tied };
  const first = tuned[0];
  const contexts = [base, ...tuned].map((m) => m.config.max_position_embeddings).filter((x): x is number => typeof x === "number");
  const context = { max: contexts.length > 0 ? Math.max(...contexts) : undefined, base: base.config.max_position_embeddings, finetuned: first?.config.max_position_embeddings ?? base.config.max_position_embeddings }[recipe.reconciliation.context];
  if (context !== undefined) config.max_position_embeddings = context;
  if (plan.vocab !== undefined) {
    // Models with a vision tower describe their text part in an object of its own.
    const text = config.text_config as Record<string, unknown> | undefined;
    if (typeof text?.vocab_size === "number") config.text_config = { ...text, vocab_size: plan.vocab };
    if (typeof text?.vocab_size !== "number" || "vocab_size" in config) config.vocab_size = plan.vocab;
  }
  const dtype = recipe.output.dtype;
  if (dtype !== "base") {
    // transformers 5 writes `dtype`, 4 writes `torch_dtype`; a folder may have either, and one is needed.
    const keys = ["torch_dtype", "dtype"].filter((k) => k in config);
    for (const key of keys.length > 0 ? keys : ["torch_dtype"]) config[key] = torchNames[dtype];
  }
  if (recipe.reconciliation.tokenizer === "finetuned" && first) {
    for (const key of ["bos_token_id", "eos_token_id", "pad_token_id"]) {
      if (key in first.config) config[key] = first.config[key];
      else delete config[key];
    }
  }
  const stop = recipe.reconciliation.stopIds;
  if (stop && first) {
    const from = stop === "base" ? base : first;
    if ("eos_token_id" in from.config) config.eos_token_id = from.config.eos_token_id;
    else delete config.eos_token_id;
  }
  return config;
}

/** A small file of the result, and in words where it comes from. */
export interface SmallFile {
  path: string;
  file: FileSource;
  from: string;
}

const made = (path: string, text: string, from: string): SmallFile => ({ path, file: memoryFile(path, new TextEncoder().encode(text)), from });
const pretty = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/** Tokenizer files with the chosen chat template in them. The template may live in tokenizer_config.json or beside it. */
async function tokenizerFiles(base: Checkpoint, tuned: readonly Checkpoint[], recipe: Recipe): Promise<SmallFile[]> {
  const first = tuned[0];
  const pick = (who: "base" | "finetuned"): Checkpoint => (who === "finetuned" && first ? first : base);
  const tokenizer = pick(recipe.reconciliation.tokenizer);
  const template = pick(recipe.reconciliation.chatTemplate);
  const from = tokenizer === base ? "base" : "fine-tuned";
  const out: SmallFile[] = [];
  const copy = (source: Checkpoint, path: string, note: string): void => {
    const file = source.files.find((f) => f.path === path);
    if (file) out.push({ path, file, from: note });
  };
  for (const path of TOKENIZER_FILES) if (path !== "tokenizer_config.json") copy(tokenizer, path, from);
  if (template === tokenizer) {
    copy(tokenizer, "tokenizer_config.json", from);
    for (const path of TEMPLATE_FILES) copy(tokenizer, path, from);
    return out;
  }
  const text = await tokenizer.text("tokenizer_config.json");
  const config = text === undefined ? undefined : parseJsonRecord(text, "tokenizer_config.json");
  const chosen = await chatTemplateOf(template);
  const other = template === base ? "base" : "fine-tuned";
  const ownFile = TEMPLATE_FILES.filter((path) => template.files.some((f) => f.path === path));
  if (config) {
    const { chat_template: dropped, ...rest } = config;
    const inConfig = chosen !== undefined && ownFile.length === 0;
    out.push(dropped === undefined && !inConfig
      ? { path: "tokenizer_config.json", file: tokenizer.files.find((f) => f.path === "tokenizer_config.json")!, from }
      : made("tokenizer_config.json", pretty(inConfig ? { ...rest, chat_template: chosen } : rest), `${from}, chat template from ${other}`));
  } else if (chosen !== undefined && ownFile.length === 0) {
    out.push(made("chat_template.jinja", chosen, other));
  }
  for (const path of ownFile) copy(template, path, other);
  return out;
}

/**
 * All small files of the result but recipe.json and README.md: config.json, generation_config.json, tokenizer files,
 * chat template, and the licence texts of the base (and of a fine-tuned model whose text is another).
 */
export async function smallFiles(base: Checkpoint, tuned: readonly Checkpoint[], recipe: Recipe, plan: OutputPlan): Promise<SmallFile[]> {
  const config = outputConfig(base, tuned, recipe, plan);
  const notes = ["base"];
  if (config.max_position_embeddings !== base.config.max_position_embeddings) notes.push(`context ${Number(config.max_position_embeddings).toLocaleString("en-US")}`);
  if (plan.tied !== (base.config.tie_word_embeddings === true)) notes.push(plan.tied ? "head tied" : "head untied");
  if (plan.vocab !== undefined) notes.push(`${plan.vocab.toLocaleString("en-US")} token rows`);
  if (recipe.output.dtype !== "base") notes.push(recipe.output.dtype);
  const out = [made("config.json", pretty(config), notes.join(", "))];
  const first = tuned[0];
  const generation = recipe.reconciliation.generationConfig === "finetuned" && first ? first : base;
  const file = generation.files.find((f) => f.path === "generation_config.json");
  if (file) out.push({ path: file.path, file, from: generation === base ? "base" : "fine-tuned" });
  out.push(...(await tokenizerFiles(base, tuned, recipe)));
  for (const licence of base.files.filter((f) => /^(LICEN[CS]E|NOTICE)[^/]*$/i.test(f.path))) out.push({ path: licence.path, file: licence, from: "base" });
  if (first) {
    for (const licence of first.files.filter((f) => /^(LICEN[CS]E|NOTICE)[^/]*$/i.test(f.path))) {
      if ((await first.text(licence.path)) === (await base.text(licence.path))) continue;
      out.push({ path: out.some((f) => f.path === licence.path) ? licence.path.replace(/^([A-Za-z]+)/, "$1.finetuned") : licence.path, file: licence, from: "fine-tuned" });
    }
  }
  return out;
}
