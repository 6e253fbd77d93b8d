import { folderOf } from "../../core/modelNames";
import type { Params } from "../../core/params";
import type { ModelRef, Recipe, Varying } from "../../core/recipe";
import type { ImportedRecipe } from "../../core/recipeFinding";
import { suggest } from "../../core/suggest";
import type { FloatDtype } from "../../core/tensors";
import { methodOf } from "../methods";
import { DIALECTS, keepsLess, type Dialect } from "./dialect";
import { Reader, shown, type Spot } from "./reader";
import { ownSetting, put, readLevel, sharedSettings, weightOf, type Level } from "./settings";
import { readModel, readSources, type LayersOf, type Source, type Sources } from "./sources";

const TOP = ["merge_method", "base_model", "models", "slices", "modules", "parameters", "dtype", "out_dtype", "tokenizer_source", "tokenizer", "chat_template"];
const DTYPES: Record<string, FloatDtype> = { float32: "F32", float16: "F16", bfloat16: "BF16" };
/** Of what is drawn at random, where mergekit has no seed in its file. */
const SEED = 42;

/**
 * A recipe that merges as mergekit does with this file: its defaults where the file is silent (density 1, normalize of ties and
 * della, rescaling to the L1 norm), the config and tokenizer of the base. What has no effect here becomes a finding, never a
 * silent loss. `layersOf` lets a slice be checked against the models.
 * Throws "bad-recipe", with path, line and column, for what is no such file and for merges that cannot be made here.
 * Source: METHODS 0.1, 0.3, 3b, 9.
 */
export function importMergekit(text: string, layersOf?: LayersOf): ImportedRecipe {
  const reader = new Reader(text);
  const fields = new Map<string, Spot>();
  for (const { key, spot, keySpot } of reader.entries(reader.root, "a map with merge_method and models")) {
    if (TOP.includes(key)) {
      if (!(spot.node.kind === "scalar" && spot.node.value === null)) fields.set(key, spot);
      continue;
    }
    const near = suggest(key, TOP);
    reader.note("warn", "unknown-key", `"${key}" is no key of mergekit's file${near ? `; did you mean "${near}"?` : "; mergekit does not read it either."} It is left out.`, keySpot);
  }
  const dialect = readMethod(reader, fields.get("merge_method"));
  const method = methodOf(dialect.method);
  const sources = readSources(reader, fields, layersOf);
  const named = fields.get("base_model");
  const { base, models, baseListed } = rolesOf(reader, dialect, sources, sources.base ?? (named && readModel(reader, named)));
  const { minModels, maxModels } = method.needs;
  if (models.length < minModels || models.length > maxModels) throw reader.fault(sources.spot, `names ${models.length} models${base ? " beside the base" : ""}; ${method.label} takes ${minModels === maxModels ? minModels : `${minModels} to ${maxModels}`}`);

  const general = [readLevel(reader, dialect, sources.slice, "file"), readLevel(reader, dialect, fields.get("parameters"), "file")];
  const ownLevels = new Map(sources.list.map((source) => [source, readLevel(reader, dialect, source.parameters, "model")]));
  const levels = (source: Source): readonly Level[] => [ownLevels.get(source) ?? new Map<string, Spot>(), ...general];
  const { params, vary } = sharedSettings(reader, dialect, method, general, fields.get("parameters") ?? reader.root);
  const refs = models.map((source): ModelRef => ({ name: source.name }));
  if (dialect.weights) models.forEach((source, k) => (refs[k]!.weight = weightOf(reader, source, levels(source))));
  for (const [key, setting] of Object.entries(dialect.own)) {
    const { values, said } = ownSetting(reader, key, setting, method, models, levels);
    spread(setting.param!, values, setting.default as number, params, vary, refs);
    if (key === "density" && !said) reader.note("info", "keeps-all", `No density is given: mergekit's is 1, so ${dialect.name} drops nothing.`, fields.get("merge_method")!);
  }
  if ("changes" in method.params) params.changes = base !== undefined;
  if ("includeBase" in method.params) params.includeBase = baseListed !== undefined;
  if (baseListed && dialect.weights) {
    const weight = weightOf(reader, baseListed, levels(baseListed));
    // A weight of 0 takes no part.
    if (weight === 0) params.includeBase = false;
    else put(params, vary, "baseWeight", weight);
  }
  if (dialect.random) params.seed = SEED;
  remark(reader, dialect, params, vary, refs, fields);

  return {
    recipe: {
      version: 1, method: method.id,
      base: { name: (base ?? models[0]!).name },
      models: refs,
      params: { ...Object.fromEntries(Object.entries(method.params).map(([name, spec]) => [name, spec.default])), ...params },
      ...(Object.keys(vary).length > 0 ? { vary } : {}),
      reconciliation: { tied: "untie", context: "base", chatTemplate: "base", generationConfig: "base", clashRows: "mix", ...tokenizerOf(reader, fields, base, models) },
      output: { dtype: dtypeOf(reader, fields), maxShardBytes: 5_000_000_000, name: `${folderOf((base ?? models[0]!).name)}-${method.id}`.toLowerCase().replace(/[^a-z0-9._-]+/g, "-") },
    },
    findings: reader.findings.sort((a, b) => a.line! - b.line! || a.column! - b.column!),
  };
}

function readMethod(reader: Reader, spot: Spot | undefined): Dialect {
  if (!spot) throw reader.fault(reader.root, "has no merge_method");
  const name = reader.word(spot, "the name of a method");
  const dialect = DIALECTS.find((d) => d.name === name);
  if (dialect) return dialect;
  const near = suggest(name, DIALECTS.map((d) => d.name));
  throw reader.fault(spot, `is ${JSON.stringify(name)}, which is none of mergekit's methods known here${near ? `; did you mean "${near}"?` : `: ${DIALECTS.map((d) => d.name).join(", ")}`}`);
}

interface Roles {
  /** Undefined: none is named and the first model stands for it. */
  base: Source | undefined;
  models: Source[];
  /** The base as one of the models that are averaged. */
  baseListed: Source | undefined;
}

function rolesOf(reader: Reader, dialect: Dialect, { list, spot }: Sources, named: Source | undefined): Roles {
  for (const [i, source] of list.entries()) if (list.findIndex((s) => s.name === source.name) < i) throw reader.fault(source.spot, `is "${source.name}", which is listed twice`);
  if (list.length === 0) throw reader.fault(spot, "is empty, so there is nothing to merge");
  const listed = named && list.find((s) => s.name === named.name);
  const others = list.filter((s) => s !== listed);
  if (dialect.name === "passthrough") {
    if (named && !listed) throw reader.fault(named.spot, "is another model than the one passed through; passthrough takes one", "Leave base_model out.");
    return { base: named, models: list, baseListed: undefined };
  }
  if (dialect.base === "origin") {
    if (!named) throw reader.fault(reader.root, `has no base_model, which ${dialect.name} needs`);
    if (listed?.parameters && dialect.weights) reader.note("info", "ignored-key", "The base is where the changes start from; mergekit takes no weight and no density from it.", listed.parameters);
    return { base: named, models: others, baseListed: undefined };
  }
  if (dialect.base === "optional") {
    if (listed?.parameters) reader.note("info", "ignored-key", "With a base the changes to it are merged; mergekit takes no weight from it.", listed.parameters);
    if (!named) reader.note("info", "config", `No base_model is named: config, tokenizer and tensor names are those of the first model, ${list[0]!.name}, as in mergekit.`, list[0]!.spot);
    return { base: named, models: others, baseListed: undefined };
  }
  // Averages: the first model stands for a base that is not named, and takes part.
  if (!named) return list.length === 1 ? { base: undefined, models: list, baseListed: undefined } : { base: list[0], models: list.slice(1), baseListed: list[0] };
  if (!listed && dialect.weights) reader.note("warn", "base-without-weight", "The base is not among the models and has no weight: here it gives config and tokenizer and takes no part in the mean. mergekit adds it to the models and then misses its weight.", named.spot);
  if (!listed && !dialect.weights) reader.note("info", "base-takes-part", `The base is not among the models; mergekit adds it, so ${dialect.name} counts it in.`, named.spot);
  return { base: named, models: others, baseListed: listed ?? (dialect.weights ? undefined : named) };
}

/** One value for all models goes to the parameters, several to the models. */
function spread(param: string, values: readonly Varying[], initial: number, params: Params, vary: Record<string, Varying>, refs: ModelRef[]): void {
  const first = JSON.stringify(values[0]);
  if (values.every((value) => JSON.stringify(value) === first)) return put(params, vary, param, values[0]!);
  params[param] = initial;
  refs.forEach((ref, k) => (ref.params = { ...ref.params, [param]: values[k]! }));
}

function remark(reader: Reader, dialect: Dialect, params: Params, vary: Record<string, Varying>, refs: ModelRef[], fields: ReadonlyMap<string, Spot>): void {
  const at = fields.get("merge_method")!;
  const cancels = params.divisor === "weights" || (dialect.base === "origin" && params.normalize === true);
  if (refs.length === 1 && dialect.weights && cancels && refs[0]!.weight !== 1)
    reader.note("warn", "weight-cancels", `With one model beside the base and normalize on, ${dialect.name} divides its weight out again: the weight has no effect, in mergekit as here. Set normalize: false, or scale with lambda.`, at);
  if (dialect.random && keepsLess({ models: refs, vary }, params)) reader.note("info", "random-masks", `mergekit draws what is kept from a generator that depends on the machine; here it is drawn with seed ${SEED}. The shares are alike, the single entries are not.`, at);
}

function dtypeOf(reader: Reader, fields: ReadonlyMap<string, Spot>): Recipe["output"]["dtype"] {
  const read = (spot: Spot | undefined): FloatDtype | undefined => {
    if (!spot) return undefined;
    const dtype = DTYPES[reader.word(spot, "float32, bfloat16 or float16").replace(/^torch\./, "")];
    if (!dtype) throw reader.fault(spot, `is ${shown(spot.node)}, expected float32, bfloat16 or float16`);
    return dtype;
  };
  const [spot, computed, written] = [fields.get("dtype"), read(fields.get("dtype")), read(fields.get("out_dtype"))];
  if (spot && computed !== "F32") reader.note("info", "arithmetic", `mergekit computes in ${reader.word(spot, "a dtype")}; here sums are made in float32 and rounded once.`, spot);
  return written ?? computed ?? "base";
}

/** Which tokenizer the result gets. Rows are merged by id, whatever it is. */
function tokenizerOf(reader: Reader, fields: ReadonlyMap<string, Spot>, base: Source | undefined, models: readonly Source[]): Pick<Recipe["reconciliation"], "tokenizer"> & Partial<Recipe["reconciliation"]> {
  const template = fields.get("chat_template");
  if (template) reader.note("warn", "not-applied", "A chat template of the file's own is not written here; the base's is kept. Change it after the merge.", template);
  let source = fields.get("tokenizer_source");
  const whole = fields.get("tokenizer");
  if (whole && source) throw reader.fault(whole, "stands beside tokenizer_source; mergekit takes one of them");
  if (whole) {
    for (const { key, spot, keySpot } of reader.entries(whole, "a map with source")) {
      if (key === "source") source = spot;
      else if (key === "tokens" || key === "pad_to_multiple_of") reader.note("warn", "not-applied", `"${key}" changes rows of the embedding, which is not done here; choose rows under Check.`, keySpot);
      else reader.note("warn", "unknown-key", `"${key}" is no key of a tokenizer in mergekit's file; it is left out.`, keySpot);
    }
  }
  if (!source) {
    if (whole) reader.note("warn", "tokenizer", "Without a source mergekit makes a union of the vocabularies; here rows are merged by id and the base's tokenizer is kept.", whole);
    return { tokenizer: "base" };
  }
  const name = source.node.kind === "map" ? readModel(reader, source).name : reader.word(source, "base, union or a model");
  if (name === "base" || name === (base ?? models[0]!).name) return { tokenizer: "base" };
  if (name === models[0]!.name) {
    reader.note("info", "tokenizer", "mergekit sorts the embedding rows by this tokenizer; here rows are merged by id. With equal vocabularies that is the same.", source);
    return { tokenizer: "finetuned", chatTemplate: "finetuned" };
  }
  const why = name === "union" ? "A union of the vocabularies is not made here" : `The tokenizer of ${name} cannot be chosen here`;
  reader.note("warn", "tokenizer", `${why}: rows are merged by id and the base's tokenizer is kept. With equal vocabularies that is the same.`, source);
  return { tokenizer: "base" };
}
