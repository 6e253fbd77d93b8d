import type { Finding, ModelFacts } from "../core/check";
import { isFloatDtype, type Checkpoint } from "../core/tensors";
import { expectedTensors, HEAD } from "../model/architectures";
import type { ModelConfig } from "../model/config";
import type { Reconciliation } from "../core/recipe";
import { headTensor, isTied, type Pairing } from "../model/pairing";
import { describeTensor } from "../model/roles";
import { tokenRows } from "../model/vocabulary";
import { movedTokens, specialTokenClashes, type TokenizerFacts } from "./preflightTokens";

/** One checkpoint with all that was read of it. `config` is absent when the architecture has no table or a size is missing. */
export interface Side {
  model: Checkpoint;
  facts: ModelFacts;
  tokens: TokenizerFacts;
  config: ModelConfig | undefined;
}
export interface Pair {
  base: Side;
  tuned: Side[];
  pairing: Pairing;
  fisher: { available: boolean; reason?: string };
}

export const n = (value: number | undefined): string => (value === undefined ? "not stated" : value.toLocaleString("en-US"));
const shape = (s: readonly number[]): string => `[${s.join(", ")}]`;
export const plural = (count: number, word: string): string => `${n(count)} ${word}${count === 1 ? "" : "s"}`;
export const naming = (names: readonly string[], most = 3): string => (names.length <= most ? names.join(", ") : `${names.slice(0, most).join(", ")} and ${n(names.length - most)} more`);
const who = (pair: Pair, i: number): string => (pair.tuned.length === 1 ? "the fine-tuned model" : `"${pair.tuned[i]!.model.name}"`);

const WHY_PLACES = "A merge adds numbers at the same place in both models.";

type Rule = (pair: Pair) => Finding[];
/** A rule over each fine-tuned model in turn. */
const each = (rule: (base: Side, tuned: Side, name: string) => Finding | undefined): Rule => (pair) => pair.tuned.flatMap((t, i) => rule(pair.base, t, who(pair, i)) ?? []);

const architecture = each((base, tuned, name) => base.facts.architecture === tuned.facts.architecture ? undefined : {
  severity: "block", code: "architecture-mismatch", title: "The architectures differ", where: "config.json, architectures",
  found: `Base is ${base.facts.architecture || "not named"}, ${name} is ${tuned.facts.architecture || "not named"}.`,
  why: `${WHY_PLACES} Layers of different architectures compute different things, even under equal names.`, todo: `Load a fine-tuned model that was made from this base, or a base of architecture ${tuned.facts.architecture || "the fine-tuned model's"}.`,
});

const layers = each((base, tuned, name) => base.facts.layers === tuned.facts.layers ? undefined : {
  severity: "block", code: "layers-mismatch", title: "The models have different numbers of layers", where: "config.json, num_hidden_layers",
  found: `Base has ${n(base.facts.layers)} layers, ${name} has ${n(tuned.facts.layers)}.`, why: `${WHY_PLACES} A layer without a counterpart has nothing to be merged with.`,
  todo: `Load a base with ${n(tuned.facts.layers)} layers.`,
});

const width: Rule = (pair) => pair.tuned.flatMap((tuned, i) => {
  const { base, pairing } = pair;
  const parts = [
    ...(base.facts.hidden !== tuned.facts.hidden ? [`hidden size ${n(base.facts.hidden)}, ${who(pair, i)} has ${n(tuned.facts.hidden)}`] : []),
    ...(base.facts.intermediate !== tuned.facts.intermediate && base.facts.hidden === tuned.facts.hidden ? [`intermediate size ${n(base.facts.intermediate)}, ${who(pair, i)} has ${n(tuned.facts.intermediate)}`] : []),
  ];
  if (parts.length === 0) return [];
  const odd = pairing.mismatched.filter((m) => m.model === i);
  const first = odd[0];
  return [{
    severity: "block", code: "shape-mismatch", title: base.facts.hidden !== tuned.facts.hidden ? "The layers have different widths" : "The MLPs have different widths", where: "config.json",
    found: `Base has ${parts.join("; ")}.${first ? ` ${plural(odd.length, "shared tensor")} differ in shape, first ${first.name}: ${shape(first.base)} and ${shape(first.tuned)}.` : ""}`,
    why: `${WHY_PLACES} Models of different widths have no common places.`,
    todo: base.facts.hidden !== tuned.facts.hidden ? `Load a base with hidden size ${n(tuned.facts.hidden)}.` : `Load a base with intermediate size ${n(tuned.facts.intermediate)}.`,
  }];
});

const heads = each((base, tuned, name) => {
  const f = (s: Side): string => `${n(s.facts.heads)} · ${n(s.facts.kvHeads)} · ${n(s.facts.headDim)}`;
  return f(base) === f(tuned) ? undefined : {
    severity: "block", code: "heads-mismatch", title: "The attention heads are cut differently", where: "config.json, num_attention_heads, num_key_value_heads, head_dim",
    found: `Query heads · key-value heads · head dimension: base ${f(base)}, ${name} ${f(tuned)}.`, why: "The same row of a projection belongs to different heads, so adding the rows mixes unrelated heads.",
    todo: "Load a fine-tuned model that was made from this base.",
  };
});

const tensorShapes: Rule = (pair) => {
  const odd = pair.pairing.mismatched;
  const first = odd[0];
  return first ? [{
    severity: "block", code: "tensor-shape-mismatch", title: `${plural(odd.length, "tensor")} ${odd.length === 1 ? "has" : "have"} another shape`, where: first.name,
    found: `${first.name} is ${shape(first.base)} in the base and ${shape(first.tuned)} in ${who(pair, first.model)}${odd.length > 1 ? `; also ${naming(odd.slice(1).map((m) => m.name))}` : ""}.`,
    why: `${WHY_PLACES} The configurations agree, so one of the files was changed or belongs to another model.`, todo: "Download both models again, load the pair that belongs together, or leave these tensors to the base by a pattern of the recipe (tensors.exclude).",
  }] : [];
};

/** A checkpoint against its own configuration. */
const incomplete: Rule = (pair) => [pair.base, ...pair.tuned].flatMap((side, i): Finding[] => {
  if (!side.config) return [];
  const role = i === 0 ? "the base" : who(pair, i - 1);
  const { tensors } = side.model;
  const expected = expectedTensors({ ...side.config, tied: isTied(side.model) });
  const missing = expected.filter((t) => !tensors.has(t.name)).map((t) => t.name);
  const wrong = expected.filter((t) => tensors.has(t.name) && shape(tensors.get(t.name)!.shape) !== shape(t.shape));
  const out: Finding[] = [];
  if (missing.length === 1 && missing[0] === HEAD) {
    out.push({ severity: "block", code: "head-missing", title: "The output head is missing", where: side.model.name, found: `config.json of ${role} sets tie_word_embeddings to false, but no file holds ${HEAD}.`, why: "A loader would fill the head with random numbers.", todo: "Set tie_word_embeddings to true in config.json if the model is tied, or download its files again." });
  } else if (missing.length > 0) {
    out.push({ severity: "block", code: i === 0 ? "base-incomplete" : "finetuned-incomplete", title: `${i === 0 ? "The base" : "A fine-tuned model"} is incomplete`, where: side.model.name, found: `${plural(missing.length, "tensor")} that config.json asks for ${missing.length === 1 ? "is" : "are"} not in the files: ${naming(missing)}.`, why: "A file is missing, or config.json belongs to another model.", todo: "Download the folder again." });
  }
  const first = wrong[0];
  if (first) out.push({ severity: "block", code: "config-contradicts", title: "config.json does not fit the weights", where: first.name, found: `${first.name} of ${role} is ${shape(tensors.get(first.name)!.shape)}, config.json makes it ${shape(first.shape)}${wrong.length > 1 ? `; ${n(wrong.length - 1)} more differ` : ""}.`, why: "Configuration and weights are of different models.", todo: "Download config.json again from where the weights came from." });
  return out;
});

/** Name up to the first number: the stack of layers that a tensor belongs to, undefined outside of any. */
const stackOf = (name: string): string | undefined => /^(.*?\.)\d+\./.exec(name)?.[1];

/** Whether a model has no tensor at all of the stack that this one is in: it lacks a whole part, such as a vision tower. */
function isWholePart(name: string, others: Iterable<string>): boolean {
  const stack = stackOf(name);
  if (stack === undefined) return false;
  for (const other of others) if (other.startsWith(stack)) return false;
  return true;
}

/** Tensor names with those of one stack counted together: "vision_tower.layers.* (24 tensors)". */
export function inParts(names: readonly string[]): string[] {
  const stacks = new Map<string, string[]>();
  for (const name of names) {
    const key = stackOf(name) ?? name;
    stacks.set(key, [...(stacks.get(key) ?? []), name]);
  }
  return [...stacks].map(([stack, list]) => (list.length === 1 ? list[0]! : `${stack}* (${plural(list.length, "tensor")})`));
}

const unpaired: Rule = (pair) => {
  const out: Finding[] = [];
  const { missing, extra, shared } = pair.pairing;
  if (shared.length === 0) return [{ severity: "block", code: "no-shared-tensors", title: "The models have no tensor in common", found: `None of ${plural(pair.base.model.tensors.size, "tensor")} of the base occurs in the fine-tuned model, first ${[...pair.base.model.tensors.keys()][0] ?? "nothing"}.`, why: WHY_PLACES, todo: "Load the base that the fine-tuned model was made from, saved with the same tensor names." }];
  const stated = new Set(pair.tuned.flatMap((t) => (t.config ? expectedTensors(t.config).map((e) => e.name) : [])));
  const rest = missing.filter((m) => !stated.has(m.name));
  const whole = (m: Pairing["missing"][number]): boolean => isWholePart(m.name, pair.tuned[m.model]!.model.tensors.keys());
  const merged = shared.some((name) => describeTensor(name).inBlock2d);
  const linear = rest.filter((m) => describeTensor(m.name).inBlock2d && !(merged && whole(m)));
  const names = (list: { name: string }[]): string[] => [...new Set(list.map((m) => m.name))];
  if (linear.length > 0) out.push({ severity: "block", code: "tensors-missing", title: "The fine-tuned model lacks weights of the base", where: linear[0]!.name, found: `${plural(names(rest).length, "tensor")} of the base ${names(rest).length === 1 ? "is" : "are"} not in ${who(pair, linear[0]!.model)}: ${naming(names(rest))}.`, why: "Without its matrices a layer has nothing to be merged with.", todo: "Download the fine-tuned model again, or load the base it was made from." });
  else if (rest.length > 0) out.push({ severity: "warn", code: "tensors-missing", title: "Some tensors are only in the base", where: rest[0]!.name, found: `${naming(inParts(names(rest)))}.`, why: "They are copied from the base unchanged." });
  if (extra.length > 0) out.push({ severity: "warn", code: "tensors-extra", title: "Some tensors are only in the fine-tuned model", where: extra[0]!.name, found: `${naming(inParts(names(extra)))}.`, why: "They have no counterpart in the base and are left out of the result.", todo: "If the model needs them, merge into a base that has them." });
  return out;
};

const dtypes: Rule = (pair) => {
  const sides = [pair.base, ...pair.tuned];
  const odd = sides.flatMap((s) => [...s.model.tensors.values()].filter((t) => !isFloatDtype(t.dtype)).map((t) => ({ ...t, model: s.model.name, linear: describeTensor(t.name, s.facts.architecture).inBlock2d })));
  const block = odd.find((t) => t.linear);
  if (block) return [{ severity: "block", code: "dtype-unsupported", title: "The weights are stored in a format that cannot be merged", where: block.name, found: `"${block.model}" stores it as ${block.dtype}.`, why: "F32, F16 and BF16 are computed with; smaller formats are codes that need their scales.", todo: "Use the full-precision model that it was made from." }];
  const first = odd[0];
  return first ? [{ severity: "warn", code: "dtype-copied", title: "Some tensors are copied, not merged", where: first.name, found: `${naming([...new Set(odd.map((t) => `${t.name} (${t.dtype})`))])}.`, why: "Only F32, F16 and BF16 are computed with; these are taken from the base unchanged." }] : [];
};

const differs = (code: string, title: string, where: string, read: (c: ModelConfig) => string, why: string): Rule => each((base, tuned, name) => {
  if (!base.config || !tuned.config || read(base.config) === read(tuned.config)) return undefined;
  return { severity: "warn", code, title, where, found: `Base ${read(base.config)}, ${name} ${read(tuned.config)}.`, why, todo: "The base's value is used. Check that the fine-tuned model really comes from this base." };
});
export const ropeText = (rope: ModelConfig["rope"]): string => {
  const { theta, scaling } = rope;
  const scale = scaling.type === "none" ? "" : ` · ${scaling.type === "unsupported" ? scaling.name : `${scaling.type} × ${scaling.factor}`}`;
  return `${n(theta)}${scale}`;
};
const rope = differs("rope-differs", "The rotary positions differ", "config.json, rope_theta and rope_scaling", (c) => `${ropeText(c.rope)}${c.rope.scaling.type === "llama3" ? ` (${Object.values(c.rope.scaling).slice(2).join(", ")})` : ""}`, "Attention was trained on other angles, so merged heads may look at the wrong places.");
const windows = differs("window-differs", "The sliding windows differ", "config.json, sliding_window", (c) => (c.slidingWindow.find((w) => w !== undefined) === undefined ? "sees all tokens" : `sees ${n(c.slidingWindow.find((w) => w !== undefined))} tokens on ${c.slidingWindow.filter((w) => w !== undefined).length} layers`), "The models were trained to look back different distances.");
const activation = differs("activation-differs", "The activations differ", "config.json, hidden_act", (c) => c.hiddenAct, "The same MLP weights compute something else.");
const normEps = differs("norm-eps-differs", "The norm constants differ", "config.json, rms_norm_eps", (c) => String(c.rmsEps), "Usually harmless, but one base gives one value.");

const headStored: Rule = (pair) => [pair.base, ...pair.tuned].filter((s) => isTied(s.model) && s.model.tensors.has(HEAD)).map((s) => ({ severity: "info", code: "head-ignored", title: "A stored head is ignored", where: s.model.name, found: `config.json ties the head to the embedding, and the file holds ${HEAD} besides.`, why: "Loaders re-tie it, so the embedding counts." }));

const tokens: Rule = (pair) => pair.tuned.flatMap((tuned, i): Finding[] => {
  const { base } = pair;
  const out: Finding[] = [];
  const clashes = specialTokenClashes(base.tokens, tuned.tokens);
  if (clashes.length > 0) out.push({ severity: "warn", code: "token-clash", title: `${plural(clashes.length, "token id")} ${clashes.length === 1 ? "carries" : "carry"} two meanings`, where: "tokenizer_config.json", found: naming(clashes.map((c) => `${c.id} is ${c.base} and ${c.tuned}`)) + ".", why: "Mixing such a row gives a token that is half of each.", todo: "Choose the tokenizer, and whether these rows are mixed." });
  const moved = movedTokens(base.tokens, tuned.tokens);
  if (moved > 0) out.push({ severity: "warn", code: "tokenizer-differs", title: "The tokenizers number ordinary tokens differently", where: "tokenizer.json", found: `${n(moved)} of ${n(base.tokens.vocab.size)} tokens have another id in ${who(pair, i)}.`, why: "The same embedding row stands for different words, so their merge means neither.", todo: "Load the base that the fine-tuned model was made from." });
  return out;
});

/** Ids beyond the embedding make a loader fail at the first such token. */
const range: Rule = (pair) => [pair.base, ...pair.tuned].flatMap((side): Finding[] => {
  const rows = headTensor(side.model)?.shape[0] ?? side.facts.vocab;
  if (rows === undefined) return [];
  const out: Finding[] = [];
  const beyond = [...side.tokens.added].filter(([id]) => id >= rows);
  if (beyond.length > 0) out.push({ severity: "warn", code: "token-out-of-range", title: "The tokenizer has ids that the embedding lacks", where: side.model.name, found: `${naming(beyond.map(([id, t]) => `${t} is ${n(id)}`))}; there are ${n(rows)} rows.`, why: "A text with such a token stops the model.", todo: "Choose the other tokenizer, or resize the embedding." });
  const eos = [side.model.config.eos_token_id].flat().filter((id): id is number => typeof id === "number" && id >= rows);
  if (eos.length > 0) out.push({ severity: "warn", code: "stop-out-of-range", title: "The stop id is beyond the vocabulary", where: `${side.model.name}, config.json, eos_token_id`, found: `${naming(eos.map(n))}; there are ${n(rows)} rows.`, why: "The model can never produce it, so generation would not stop." });
  return out;
});

const tokenizerMissing: Rule = ({ base, tuned }) => [base, ...tuned].some((s) => s.tokens.present) ? [] : [{ severity: "warn", code: "tokenizer-missing", title: "No folder has a tokenizer", where: base.model.name, found: "Neither tokenizer.json nor tokenizer.model is there.", why: "The result can be merged, but not be used for text.", todo: "Add the tokenizer files to the base folder." }];

const free = new Set(["Apache-2.0", "MIT", "BSD-3-Clause", "BSD-2-Clause", "ISC", "CC0-1.0", "Unlicense"]);
export const isFree = (licence: string | undefined): boolean => licence !== undefined && free.has(licence);
const licences: Rule = each((base, tuned, name) => {
  const [a, b] = [base.facts.licence, tuned.facts.licence];
  if (a === b || (isFree(a) && isFree(b))) return undefined;
  if (a === undefined || b === undefined) return { severity: "info", code: "licence-unknown", title: "A licence is not stated", where: "README.md", found: `Base ${a ?? "states none"}, ${name} ${b ?? "states none"}.`, why: "The model card will say so." };
  return { severity: "warn", code: "licence-conflict", title: "The licences differ", where: "README.md, license", found: `Base ${a}, ${name} ${b}.`, why: "The result is under the conditions of both.", todo: "Read both before you share the merged model." };
});

const sameFolder = each((base, tuned, name) => base.model.name === tuned.model.name && base.facts.bytes === tuned.facts.bytes && base.facts.tensors === tuned.facts.tensors ? { severity: "warn", code: "same-model", title: "Base and fine-tuned look like one folder", where: base.model.name, found: `Base and ${name} have one name and ${n(base.facts.bytes)} bytes each.`, why: "A model merged with itself is itself.", todo: "Replace one of the two." } : undefined);

const reader: Rule = ({ base, tuned }) => [base, ...tuned].flatMap((s) => s.model.warnings.map((found): Finding => ({ severity: "warn", code: "reader-warning", title: "A finding of the reader", where: s.model.name, found })));
const fisher: Rule = ({ fisher: f }) => f.available ? [] : [{ severity: "info", code: "fisher-unavailable", title: "Methods that need gradients are not available", found: f.reason ?? "", why: "The other methods work on names and shapes alone." }];

/** Found first ends the search for its consequences: a width that differs makes every tensor differ. */
const stages: Rule[][] = [
  [architecture, layers, width],
  [heads, incomplete, unpaired],
  [tensorShapes, dtypes],
];
const always: Rule[] = [headStored, rope, windows, activation, normEps, tokens, range, tokenizerMissing, licences, sameFolder, reader, fisher];

/** A choice of rows that leaves ids of the tokenizer that goes along without one. It can be chosen otherwise, so it blocks no other choice. */
export const TOO_FEW_ROWS = "vocabulary-too-small";
export function tooFewRows(pair: Pair, chosen: Reconciliation, rows: number | undefined): Finding[] {
  const side = chosen.tokenizer === "finetuned" ? pair.tuned[0] : pair.base;
  if (rows === undefined || !side || rows >= side.tokens.ids) return [];
  const own = tokenRows(side.model);
  // A tokenizer that its own model has too few rows for is reported as such.
  if (own !== undefined && rows >= own) return [];
  return [{
    severity: "block", code: TOO_FEW_ROWS, title: "The tokenizer has ids that the result would have no row for", where: "reconciliation.vocabulary",
    found: `The tokenizer of ${side === pair.base ? "the base" : who(pair, 0)} has ids up to ${n(side.tokens.ids - 1)}, the result would have ${n(rows)} rows.`, why: "A text with such a token would stop the model.",
    todo: `Set reconciliation.vocabulary to ${chosen.tokenizer}, or take the other tokenizer.`,
  }];
}

/** Everything that stops or colours this merge; blocking findings first, without their mere consequences. */
export function findAll(pair: Pair): Finding[] {
  if (pair.tuned.length === 0) return [{ severity: "block", code: "no-model", title: "There is no fine-tuned model", found: "Only a base is loaded.", todo: "Load a fine-tuned model." }];
  for (const stage of stages) {
    const found = stage.flatMap((rule) => rule(pair));
    if (found.some((f) => f.severity === "block")) {
      const architectureOnly = found.filter((f) => f.code === "architecture-mismatch");
      return (architectureOnly.length > 0 ? architectureOnly : found).filter((f) => f.severity === "block");
    }
  }
  return [...stages.flat(), ...always].flatMap((rule) => rule(pair));
}
