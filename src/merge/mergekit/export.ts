import type { Params } from "../../core/params";
import type { ModelRef, Recipe, Varying } from "../../core/recipe";
import type { MergekitYaml, RecipeFinding } from "../../core/recipeFinding";
import type { Shape } from "../../core/shape";
import type { FloatDtype } from "../../core/tensors";
import { writeYaml, type YamlValue } from "../../formats/yaml";
import { keptShare, methodOf, resolveParams } from "../methods";
import { DIALECTS, keepsLess, type Dialect, type Key } from "./dialect";
import { rulesPerLayer } from "./layerWeights";
import { withFallback } from "./reader";

/** What is known of the models and of a finished pass. */
export interface ExportFacts {
  /** The measured layer weights, which methods with a pass of their own are told by. */
  shape?: Shape | undefined;
  /** Parameters of the base, which FIM-TIES' share depends on. */
  parameters?: number | undefined;
  /** Dtype of the base's weights, which the output has where the recipe says `base`. */
  baseDtype?: FloatDtype | undefined;
  /** Whether some models tie their head to the embedding and some do not. */
  headsDiffer?: boolean | undefined;
}

type Note = (code: string, sentence: string, severity?: RecipeFinding["severity"]) => void;
/** Settings as mergekit has them: of the file, of each model, of the base. */
interface Told {
  method: string;
  base: string | undefined;
  models: { name: string; parameters: Record<string, YamlValue> }[];
  parameters: Record<string, YamlValue>;
}

const WORDS: Record<FloatDtype, string> = { F32: "float32", BF16: "bfloat16", F16: "float16" };

/**
 * The recipe as a file that mergekit accepts. Weights by layer are lists with a value per layer; `normalize` is always written,
 * since mergekit's own default divides the weight of a single model out again (PRODUCT B). What mergekit has no words for is
 * told in the findings, and as comments at the head of the file, which then holds the nearest merge that it has.
 * Throws "bad-recipe" for a recipe that cannot be used.
 */
export function exportMergekit(recipe: Recipe, facts: ExportFacts = {}): MergekitYaml {
  const findings: RecipeFinding[] = [];
  const note: Note = (code, sentence, severity = "warn") => void findings.push({ severity, code, sentence });
  const method = methodOf(recipe.method);
  const params = resolveParams(method, recipe.params);
  const dialect = DIALECTS.find((d) => d.method === recipe.method);
  const told = dialect ? translate(recipe, params, dialect, note) : nearest(recipe, params, facts, note);
  leaveOut(recipe, told, note);
  for (const stage of recipe.then ?? []) note("stage", `${stage.method} after the merge is not in mergekit; run it on the result here.`);
  tellFiles(recipe, told, facts.headsDiffer, note);

  const dtype = recipe.output.dtype === "base" ? facts.baseDtype : recipe.output.dtype;
  const text = writeYaml({
    merge_method: told.method,
    base_model: told.base,
    models: told.models.map(({ name, parameters }) => ({ model: name, ...(Object.keys(parameters).length > 0 ? { parameters } : {}) })),
    parameters: Object.keys(told.parameters).length > 0 ? told.parameters : undefined,
    // Sums in float32 as here; without a dtype mergekit computes in the stored one.
    dtype: dtype ? "float32" : undefined,
    out_dtype: dtype && dtype !== "F32" ? WORDS[dtype] : undefined,
    tokenizer_source: recipe.reconciliation.tokenizer === "finetuned" ? recipe.models[0]!.name : undefined,
  });
  const exact = findings.every((f) => f.severity === "info");
  const head = [
    `Written by Tributary for mergekit 0.1.4${exact ? "" : "; not the same merge, but the nearest that mergekit has"}.`,
    "Models stand here by name: put a path or a hub name in their place where they are found elsewhere.",
    ...findings.map((f) => `${f.severity === "warn" ? "Not the same: " : "Note: "}${f.sentence}`),
  ];
  return { text: `${head.flatMap(comment).join("\n")}\n${text}`, exact, findings };
}

/** A sentence as comment lines of at most 100 characters. */
function comment(sentence: string): string[] {
  const lines: string[] = [];
  let line = "#";
  for (const word of sentence.replace(/\s+/g, " ").split(" ")) {
    if (line.length + word.length > 99 && line !== "#") {
      lines.push(line);
      line = "#  ";
    }
    line += ` ${word}`;
  }
  return [...lines, line];
}

const yamlOf = (varying: Varying): YamlValue => (typeof varying === "number" ? varying : varying.map((entry) => (typeof entry === "number" ? entry : entry.filter === undefined ? { value: entry.value } : { filter: entry.filter, value: entry.value })));
const common = (recipe: Recipe, params: Params, name: string): Varying => withFallback(recipe.vary?.[name], params[name] as number)!;
const ownOf = (recipe: Recipe, params: Params, ref: ModelRef, name: string): Varying => withFallback(ref.params?.[name], common(recipe, params, name))!;

/** A method that mergekit has too. */
function translate(recipe: Recipe, params: Params, dialect: Dialect, note: Note): Told {
  const parameters: Record<string, YamlValue> = {};
  for (const [key, setting] of Object.entries(dialect.shared)) {
    const value = sharedValue(recipe, params, setting);
    if (value !== undefined) parameters[key] = value;
  }
  // The number of agreeing models is 1 where there is one, and divides nothing out; the largest of one is that one.
  if ((params.divisor === "count" || params.divisor === "largest") && recipe.models.length === 1) parameters.normalize = false;
  const ignoresWeights = params.weights === "ignore";
  const models = recipe.models.map((ref) => ({
    name: ref.name,
    parameters: {
      ...(dialect.weights ? { weight: ignoresWeights ? 1 : yamlOf(ref.weight ?? 1) } : {}),
      ...Object.fromEntries(Object.entries(dialect.own).map(([key, { param }]) => [key, yamlOf(ownOf(recipe, params, ref, param!))])),
    } as Record<string, YamlValue>,
  }));
  tellSwitches(recipe, params, dialect, note);
  const told: Told = { method: dialect.name, base: recipe.base.name, models, parameters };
  if (dialect.base === "origin") return dialect.weights ? told : withBase(told, recipe, {});
  if (dialect.base === "optional") return params.changes === true ? told : withoutBase(told, recipe, note);
  if (dialect.name === "passthrough") return withoutBase(told, recipe, note);
  if (dialect.weights) {
    // The first model gives the config; with a weight of 0 it gives nothing else.
    return { ...withBase(told, recipe, { weight: params.includeBase === true ? yamlOf(common(recipe, params, "baseWeight")) : 0 }), base: undefined };
  }
  return params.includeBase === true ? { ...withBase(told, recipe, {}), base: undefined } : withoutBase(told, recipe, note);
}

const withBase = (told: Told, recipe: Recipe, parameters: Record<string, YamlValue>): Told => ({ ...told, models: [{ name: recipe.base.name, parameters }, ...told.models.filter((m) => m.name !== recipe.base.name)] });

function withoutBase(told: Told, recipe: Recipe, note: Note): Told {
  const first = told.models[0]!.name;
  if (first !== recipe.base.name) note("config", `mergekit takes no base here: config.json and tokenizer will be those of ${first}, not of ${recipe.base.name}.`, "info");
  return { ...told, base: undefined };
}

function sharedValue(recipe: Recipe, params: Params, { param, words }: Key): YamlValue | undefined {
  if (!param) return undefined;
  const value = params[param]!;
  if (words) return value !== words[1];
  return typeof value === "number" ? yamlOf(common(recipe, params, param)) : value;
}

/** Where our switches stand as mergekit's never do. */
function tellSwitches(recipe: Recipe, params: Params, dialect: Dialect, note: Note): void {
  if (params.rescale === "inverse-keep" && keepsLess(recipe, params)) note("rescale", "mergekit gives what is kept the L1 norm of the whole change; here it is divided by the density, as in the paper. In large tensors the two nearly agree.");
  if (dialect.random && keepsLess(recipe, params)) note("random-masks", `mergekit draws what is kept from its own generator (--random-seed ${String(params.seed)}): the shares are alike, the single entries are not.`, "info");
  if (dialect.method !== "ties") return;
  const several = recipe.models.length > 1;
  if (params.scope === "model") note("scope", "mergekit trims within each tensor; here one threshold holds for the whole model.");
  if (params.keepRule === "official" || params.keepRule === "l2s") note("keep-rule", "mergekit keeps int(density × entries) of a tensor; this keep rule keeps about one entry more.");
  if (params.keepRule === "density") note("keep-rule", "mergekit keeps exactly int(density × entries) of a tensor, whichever of equal ones; here equal ones are all kept, and one entry at least.", "info");
  if (several && params.elect === "count") note("elect", "mergekit elects signs by the sum of the changes; here they are counted.");
  if (several && params.zero === "majority") note("zero", "mergekit counts a vote that cancels as plus; here it follows the model's majority.");
  const alike = params.weights === "ignore" || recipe.models.every((m) => JSON.stringify(m.weight ?? 1) === JSON.stringify(recipe.models[0]!.weight ?? 1));
  if (params.divisor === "largest" && several) note("divisor", "mergekit divides by the weights of the agreeing models; here the largest of them is taken alone.");
  if (params.divisor === "count" && several && !alike) note("divisor", "mergekit divides by the weights of the agreeing models; here by their number.");
  else if (params.divisor === "count" && several && params.weights === "use" && recipe.models.some((m) => (m.weight ?? 1) !== 1)) note("divisor", "Divided by their number, equal weights scale the result; mergekit divides them out.");
}

/** Methods of which one number per tensor says all, but for what FIM-TIES keeps. */
const ONE_NUMBER: readonly string[] = ["fim-ta", "fim-ties", "sens-merging"];

/** A method that mergekit has not: what it takes of each layer is known from the pass, what it keeps of it is not always to be told. */
function nearest(recipe: Recipe, params: Params, { shape, parameters }: ExportFacts, note: Note): Told {
  const weights = recipe.models.map((_, k) => {
    const rows = shape?.experts[k]?.tensors ?? [];
    return rulesPerLayer(rows, (row) => row.alpha);
  });
  const label = methodOf(recipe.method).label;
  if (weights.some((w) => w === undefined)) {
    note("nearest", `${label} is not in mergekit. This is the plain mean of the models by their weights, the nearest it has.`);
    return { method: "linear", base: undefined, parameters: { normalize: true }, models: [{ name: recipe.base.name, parameters: { weight: 0 } }, ...recipe.models.map((m) => ({ name: m.name, parameters: { weight: yamlOf(m.weight ?? 1) } }))] };
  }
  const models = recipe.models.map((m, k) => ({ name: m.name, parameters: { weight: yamlOf(weights[k]!) } as Record<string, YamlValue> }));
  if (!ONE_NUMBER.includes(recipe.method)) note("nearest", `${label} is not in mergekit. This is task arithmetic with what each tensor takes here on average.`);
  if (shape!.calibration.moved > 0) note("calibration", `Norm calibration divides ${shape!.calibration.moved} of ${shape!.calibration.tested} tensors by a ratio of their own; mergekit cannot.`);
  const trimmed = recipe.models.map((_, k) => shape!.experts[k]!.tensors.some((row) => row.kept !== undefined));
  const share = recipe.method === "fim-ties" && trimmed.includes(true) ? keptShare(params, parameters ?? 0) : 1;
  if (share === 1) return { method: "task_arithmetic", base: recipe.base.name, models, parameters: { normalize: false } };

  models.forEach((model, k) => (model.parameters.density = yamlOf(rulesPerLayer(shape!.experts[k]!.tensors, (row) => (row.kept === undefined ? 1 : share))!)));
  if (params.trimScore !== "magnitude") note("trim", `What is kept is chosen by Fisher × size, entry by entry; mergekit can only choose by size. The same share, ${share}, is kept.`);
  else note("trim", "mergekit keeps exactly int(density × entries) of a tensor; the percentile rule may keep a few more.", "info");
  if (params.trimScope !== "tensor") note("scope", `mergekit trims within each tensor; here one threshold holds for each ${String(params.trimScope)}.`);
  if (recipe.models.length > 1) note("divisor", "Agreeing changes are added; here their mean is taken.");
  return { method: "ties", base: recipe.base.name, models, parameters: { normalize: false } };
}

/** Tensors that are left to the base: a rule with weight 0 where the pattern is a part of the name. */
function leaveOut(recipe: Recipe, told: Told, note: Note): void {
  const { include = [], exclude = [] } = recipe.tensors ?? {};
  if (include.length > 0) note("tensors", `mergekit merges every tensor; here only those that fit ${include.join(", ")}.`);
  const part = (pattern: string): string | undefined => /^\*([^*]+)\*$/.exec(pattern)?.[1];
  const zeroWeight = ["task_arithmetic", "ties", "dare_linear", "dare_ties", "della", "della_linear", "breadcrumbs", "breadcrumbs_ties"].includes(told.method);
  const tellable = exclude.filter((p) => part(p) !== undefined && (zeroWeight || told.method === "slerp"));
  const other = exclude.filter((p) => !tellable.includes(p));
  if (other.length > 0) note("tensors", `mergekit merges every tensor; here those that fit ${other.join(", ")} stay the base's.`);
  if (tellable.length === 0) return;
  const zeros = tellable.map((p) => ({ filter: part(p)!, value: 0 }));
  const before = (value: YamlValue): YamlValue => [...zeros, ...(Array.isArray(value) && value.some((v) => typeof v === "object") ? value : [{ value }])];
  note("tensors", `What fits ${tellable.join(", ")} gets the ${zeroWeight ? "weight" : "position t ="} 0, which leaves it as the base's.`, "info");
  if (zeroWeight) for (const { parameters } of told.models) parameters.weight = before(parameters.weight ?? 1);
  else told.parameters.t = before(told.parameters.t!);
}

/** The files beside the weights, which mergekit takes from the base. */
function tellFiles({ reconciliation, base }: Recipe, told: Told, headsDiffer: boolean | undefined, note: Note): void {
  const { context, chatTemplate, generationConfig, stopIds, tied, clashRows, rows, vocabulary, tokenizer } = reconciliation;
  const other = [context !== "base" ? `context length (${context})` : "", chatTemplate !== "base" && tokenizer === "base" ? "chat template (fine-tuned)" : "", generationConfig !== "base" ? "generation settings (fine-tuned)" : "", stopIds === "finetuned" ? "stop ids (fine-tuned)" : ""].filter((w) => w !== "");
  if (other.length > 0) note("files", `mergekit copies config.json, chat template and generation settings from ${told.base ?? base.name}; set these by hand after the merge where the models differ: ${other.join(", ")}.`, "info");
  if (tokenizer === "finetuned") note("tokenizer", "With tokenizer_source mergekit sorts the embedding rows by that tokenizer; here rows are merged by id.", "info");
  if (headsDiffer === true && tied === "untie") note("head", "One model ties its head to the embedding and one does not: mergekit writes the merged head, but leaves tie_word_embeddings as in the base. Set it to false in config.json after the merge.", "info");
  if (headsDiffer !== false && tied !== "untie") note("head", `mergekit merges a head wherever one of the models has one; here the choice is "${tied}".`);
  if (clashRows !== "mix" || (rows && Object.keys(rows).length > 0)) note("rows", "Single rows of embedding and head take another model here; mergekit merges all rows.");
  if (vocabulary !== undefined && vocabulary !== "base") note("vocabulary", `The vocabulary of the result is "${vocabulary}" here; mergekit cuts embeddings to what fits the base.`);
}
