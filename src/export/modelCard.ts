import type { Calibration, Recipe, Reconciliation, ReconciliationWord } from "../core/recipe";
import { choiceText } from "../core/tensorChoice";
import { varyingText } from "../core/varying";
import { inParts, isFree } from "../analysis/preflightFindings";
import { postOf } from "../merge/post";
import { vocabularyOf } from "../model/vocabulary";

/** The part of the engine's Shape that a card shows; declared here because the engine imports this folder, not the reverse. */
export interface CardShape {
  experts: {
    name: string;
    layers: { layer: number; alpha: number | undefined; gateAlpha: number | undefined; fisher: number | undefined; delta2: number | undefined; kept: number | undefined }[];
    outsideAlpha: number | undefined;
    theta: number | undefined;
  }[];
  calibration: { mode: string; tested: number; moved: number };
}

export interface CardInput {
  recipe: Recipe;
  recipeHash: string;
  method: { label: string; summary: string; source: string };
  base: { name: string; licence: string | undefined };
  tuned: { name: string; licence: string | undefined }[];
  plan: { parameters: number; tensorBytes: number; tied: boolean; shards: readonly unknown[]; leftOut?: readonly string[]; vocab?: number | undefined; tensors?: readonly { name: string; action: "merge" | "copy"; reason: string }[]; dropped?: readonly string[] };
  /** Absent for methods without numbers per layer. */
  shape?: CardShape;
  /** What was re-read and recomputed after writing; absent while planning. */
  checks?: readonly { label: string; found: string; verdict: "pass" | "fail" | "skipped" }[];
  /** GPU or software adapter that computed it. */
  adapter?: string;
}

const count = (value: number): string => value.toLocaleString("en-US");
/** Markdown cells and YAML scalars must survive any folder name. */
const cell = (text: string): string => text.replace(/\|/g, "\\|").replace(/[\r\n]+/g, " ");
const yaml = (text: string): string => JSON.stringify(text);

/** One licence for the front matter when all agree; else "other" with a name that lists them; nothing when none is stated. */
function licenceLines(input: CardInput): { front: string[]; note: string } {
  const models = [input.base, ...input.tuned];
  const stated = [...new Set(models.flatMap((m) => m.licence ?? []))];
  const silent = models.filter((m) => m.licence === undefined).map((m) => m.name);
  const list = models.map((m) => `${m.name}: ${m.licence ?? "not stated"}`).join("; ");
  if (stated.length === 0) return { front: [], note: "None of the source models states a licence. Ask their authors before you share this one." };
  const missing = silent.length > 0 ? ` ${silent.join(", ")} states none.` : "";
  if (stated.length === 1) return { front: [`license: ${stated[0]!.toLowerCase()}`], note: silent.length > 0 ? `${list}.${missing} Ask before you share.` : `${stated[0]}, as ${models.length === 2 ? "both" : "all"} source models.` };
  const front = ["license: other", `license_name: ${yaml(stated.map((l) => l.toLowerCase()).join("-and-"))}`];
  return { front, note: stated.every(isFree) && silent.length === 0 ? `${list}. These are compatible; keep both notices.` : `${list}.${missing} The licences differ: this model is under the conditions of all of them. Read them before you share it.` };
}

const choiceWords: { [K in ReconciliationWord]: Record<Reconciliation[K], string> } = {
  tied: { untie: "Where the models differ in tying, both output heads are merged.", "tie-as-base": "The output head follows the base; a fine-tuned head of its own is dropped.", "head-from-finetuned": "Where the models differ in tying, the output head is the fine-tuned model's." },
  context: { max: "Context length: the largest of the source models.", base: "Context length: the base's.", finetuned: "Context length: the fine-tuned model's." },
  tokenizer: { base: "Tokenizer: the base's.", finetuned: "Tokenizer: the fine-tuned model's." },
  chatTemplate: { base: "Chat template: the base's.", finetuned: "Chat template: the fine-tuned model's." },
  generationConfig: { base: "Generation settings: the base's.", finetuned: "Generation settings: the fine-tuned model's." },
  clashRows: { mix: "Embedding rows of ids with two meanings are merged as any row.", base: "Embedding rows of ids with two meanings are the base's.", finetuned: "Embedding rows of ids with two meanings are the fine-tuned model's." },
};
const choiceLine = <K extends ReconciliationWord>(key: K, r: Reconciliation): string => `- ${choiceWords[key][r[key]]}`;

/** What else was chosen where the models differ, and which tensors were copied or are left out. */
function furtherLines({ recipe: { reconciliation }, plan }: CardInput): string[] {
  const { rows = {}, stopIds } = reconciliation;
  const names = (list: readonly string[]): string => cell(inParts(list).join(", ")).replace(/\*/g, "\\*");
  const copied = new Map<string, string[]>();
  const told = new Set(plan.leftOut);
  for (const { name, action, reason } of plan.tensors ?? []) if (action === "copy" && !told.has(name)) copied.set(reason, [...(copied.get(reason) ?? []), name]);
  const whose = { base: "the base's; rows that not all models have are copied from it", finetuned: "the fine-tuned model's; rows that not all models have are copied from it", common: "those that all models have" };
  return [
    ...(plan.vocab === undefined ? [] : [`- The vocabularies differ in size: the result has ${count(plan.vocab)} token rows, ${whose[vocabularyOf(reconciliation)]}.`]),
    ...(Object.keys(rows).length === 0 ? [] : [`- Embedding rows of single ids: ${Object.entries(rows).map(([id, row]) => `${id} ${{ mix: "merged", base: "the base's", finetuned: "the fine-tuned model's" }[row]}`).join(", ")}.`]),
    ...(stopIds ? [`- Stop ids: ${stopIds === "base" ? "the base's" : "the fine-tuned model's"}.`] : []),
    ...[...copied].map(([reason, list]) => `- Copied, not merged (${reason}): ${names(list)}.`),
    ...(plan.dropped?.length ? [`- Only in a fine-tuned model, and left out: ${names(plan.dropped)}.`] : []),
  ];
}

const fixed = (value: number | undefined, digits: number): string => (value === undefined ? "–" : value.toFixed(digits));
const power = (value: number | undefined): string => (value === undefined ? "–" : value.toExponential(2));

function alphaTables(shape: CardShape): string[] {
  return shape.experts.flatMap((expert) => [
    ...(shape.experts.length > 1 ? [`### ${cell(expert.name)}`, ""] : []),
    "| layer | α | α of the gate | mean Fisher | mean δ² | kept |",
    "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ...expert.layers.map((l) => `| ${l.layer} | ${fixed(l.alpha, 4)} | ${fixed(l.gateAlpha, 4)} | ${power(l.fisher)} | ${power(l.delta2)} | ${l.kept === undefined ? "–" : `${(100 * l.kept).toFixed(1)} %`} |`),
    "",
    ...(expert.outsideAlpha === undefined ? [] : [`Outside the blocks α is ${fixed(expert.outsideAlpha, 4)}.${expert.theta === undefined ? "" : ` The slope θ is ${fixed(expert.theta, 6)}.`}`, ""]),
  ]);
}

const calibrationLine = ({ source, name, samples, maxTokens, seed }: Calibration): string =>
  `- Calibration text: ${source === "builtin" ? cell(name) : `${cell(name)}, which the recipe carries`}; ${count(samples)} texts drawn with seed ${seed}, at most ${count(maxTokens)} tokens of each.`;

const stagesOf = (recipe: Recipe) => (recipe.then ?? []).map(({ method, params }) => ({ ...postOf(method), given: params }));

/** What comes after the merge, in its order, each with its source and with settings that are not its defaults. */
const stageLines = (recipe: Recipe): string[] => stagesOf(recipe).map(({ label, summary, source, given }, i) => {
  const settings = Object.entries(given).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => `${cell(key)} ${cell(String(value))}`);
  return `- Stage ${i + 1} after the merge, ${label}${settings.length > 0 ? ` (${settings.join(", ")})` : ""}: ${summary} Source: ${source}`;
});

/**
 * README.md of the result: front matter that model hubs read, then lineage, the recipe in words and as JSON settings,
 * the share that each layer takes, calibration, and what was checked after writing. A function of its input alone.
 */
export function modelCard(input: CardInput): string {
  const { recipe, plan, shape } = input;
  const { front, note } = licenceLines(input);
  const models = [...new Set([input.base.name, ...input.tuned.map((t) => t.name)])];
  const weight = (i: number): string => (recipe.models[i]?.weight === undefined ? "" : `, weight ${varyingText(recipe.models[i]!.weight)}`);
  const hash = (h: string | undefined): string => (h ? ` (weights ${h.slice(0, 16)})` : "");
  const settings = Object.entries(recipe.params).sort(([a], [b]) => (a < b ? -1 : 1));
  const varying = Object.entries(recipe.vary ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  const own = recipe.models.flatMap((model) => Object.entries(model.params ?? {}).map(([key, value]) => `- ${cell(key)} of ${cell(model.name)}: ${cell(varyingText(value))}`));
  const lines = [
    "---",
    "base_model:",
    ...models.map((m) => `- ${yaml(m)}`),
    ...front,
    "library_name: transformers",
    "tags:",
    "- merge",
    `- ${recipe.method}`,
    "- tributary",
    "---",
    "",
    `# ${cell(recipe.output.name)}`,
    "",
    `A merge of ${input.tuned.map((t) => cell(t.name)).join(" and ")} into ${cell(input.base.name)} with ${[input.method.label, ...stagesOf(recipe).map((s) => s.label)].join(", then ")}, made with Tributary.`,
    `${count(plan.parameters)} parameters, ${recipe.output.dtype === "base" ? "dtypes of the base" : recipe.output.dtype}, ${plan.shards.length === 1 ? "one file" : `${plan.shards.length} files`}.`,
    "",
    "## Lineage",
    "",
    `- base: ${cell(input.base.name)}${hash(recipe.base.hash)}`,
    ...input.tuned.map((t, i) => `- fine-tuned: ${cell(t.name)}${hash(recipe.models[i]?.hash)}${weight(i)}`),
    "",
    "## Licence",
    "",
    note,
    "",
    "## Recipe",
    "",
    `${input.method.label}: ${input.method.summary}`,
    "",
    `Source: ${input.method.source}`,
    "",
    ...(settings.length > 0 ? ["| setting | value |", "| --- | --- |", ...settings.map(([key, value]) => `| ${cell(key)} | ${cell(String(value))} |`), ""] : []),
    ...varying.map(([key, value]) => `- ${cell(key)} differs between tensors: ${cell(varyingText(value))}`),
    ...own,
    ...stageLines(recipe),
    ...(recipe.calibration ? [calibrationLine(recipe.calibration)] : []),
    ...(recipe.tensors && plan.leftOut ? [`- ${count(plan.leftOut.length)} tensors are left to the base: ${cell(choiceText(recipe.tensors)).replace(/\*/g, "\\*")}.`] : []),
    ...(Object.keys(choiceWords) as ReconciliationWord[]).map((key) => choiceLine(key, recipe.reconciliation)),
    ...furtherLines(input),
    "",
    `Recipe ${input.recipeHash}; the whole recipe is in \`recipe.json\` and in the metadata of every safetensors file, and can be run again.`,
    ...(input.adapter ? [`Computed on ${cell(input.adapter)}.`] : []),
    "",
    ...(shape && shape.experts.some((e) => e.layers.length > 0) ? ["## How much each layer takes", "", "Merged weight = base + α δ, where δ is fine-tuned minus base.", "", ...alphaTables(shape)] : []),
    ...(shape && shape.calibration.mode !== "off" ? ["## Calibration", "", `${shape.calibration.mode}: ${count(shape.calibration.moved)} of ${count(shape.calibration.tested)} tensors tested were rescaled to the base's output norm.`, ""] : []),
    "## Verified after writing",
    "",
    ...(input.checks && input.checks.length > 0
      ? ["| check | found | |", "| --- | --- | --- |", ...input.checks.map((c) => `| ${cell(c.label)} | ${cell(c.found)} | ${{ pass: "passed", fail: "failed", skipped: "not run" }[c.verdict]} |`)]
      : ["Nothing has been verified."]),
    "",
  ];
  return lines.join("\n");
}
