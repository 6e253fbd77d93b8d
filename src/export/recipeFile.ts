import * as v from "valibot";
import { sha256 } from "../core/digest";
import { StudioError, toStudioError } from "../core/errors";
import type { KernelRecord, ModelRef, Recipe } from "../core/recipe";
import { suggest } from "../core/suggest";
import { JsonSyntaxError, lineAndColumn, nodeAt, parseJson, toPlain, type JsonNode } from "../formats/json";

const text = v.pipe(v.string("expected text"), v.minLength(1, "expected text that is not empty"));
const finite = v.pipe(v.number("expected a number"), v.finite("expected a finite number"));
const word = <const T extends readonly [string, ...string[]]>(...options: T) => v.picklist(options, `expected one of ${options.join(", ")}`);

const numbers = v.union([finite, v.pipe(v.array(finite), v.minLength(1, "expected at least one number"))], "expected a number or a list of numbers");
const rules = v.pipe(v.array(v.strictObject({ filter: v.optional(text), value: numbers })), v.minLength(1, "expected at least one rule"));
const varying = v.union([numbers, rules], "expected a number, a list of numbers, or a list of { filter, value }");
const varied = v.record(v.string(), varying, "expected an object of settings");
const patterns = v.optional(v.array(text, "expected a list of patterns"));

const modelRef = v.strictObject({ id: v.optional(text), name: text, hash: v.optional(v.pipe(v.string("expected text"), v.regex(/^[0-9a-f]{32,64}$/, "expected a hash of 32 to 64 hexadecimal digits"))), weight: v.optional(varying), params: v.optional(varied) });
const tokenId = v.pipe(v.number("expected a token id"), v.safeInteger("expected a whole number"), v.minValue(0, "expected a token id of at least 0"));

const kernelRecord = v.strictObject({
  adapter: v.string("expected text"),
  forms: v.record(v.string(), v.record(v.string(), text, "expected a form for each class of shapes"), "expected an object of forms"),
  panelBytes: v.pipe(v.number("expected a number"), v.safeInteger("expected a whole number"), v.minValue(1, "expected at least 1")),
});

const settings = v.record(v.string(), v.union([finite, v.string(), v.boolean()], "expected a number, a text, true or false"), "expected an object of settings");
const count = v.pipe(v.number("expected a number"), v.safeInteger("expected a whole number"), v.minValue(1, "expected at least 1"));
const stage = v.strictObject({ method: text, params: settings });
const choice = v.strictObject({ include: patterns, exclude: patterns });
const calibration = v.strictObject({
  source: word("builtin", "given"),
  name: text,
  texts: v.optional(v.array(v.string("expected text"), "expected a list of texts")),
  samples: count,
  maxTokens: count,
  seed: v.pipe(v.number("expected a number"), v.safeInteger("expected a whole number"), v.minValue(0, "expected at least 0")),
});

const schema = v.strictObject({
  version: v.literal(1, "expected 1, the only version there is"),
  method: text,
  base: modelRef,
  models: v.pipe(v.array(modelRef, "expected a list of models"), v.minLength(1, "expected at least one model")),
  params: settings,
  vary: v.optional(varied),
  tensors: v.optional(choice),
  then: v.optional(v.array(stage, "expected a list of stages")),
  calibration: v.optional(calibration),
  tokens: v.optional(v.pipe(v.array(v.pipe(v.array(tokenId, "expected a list of token ids"), v.minLength(2, "expected at least 2 token ids")), "expected a list of sequences"), v.minLength(1, "expected at least one sequence"))),
  reconciliation: v.strictObject({
    tied: word("untie", "tie-as-base", "head-from-finetuned"),
    context: word("max", "base", "finetuned"),
    tokenizer: word("base", "finetuned"),
    chatTemplate: word("base", "finetuned"),
    generationConfig: word("base", "finetuned"),
    clashRows: word("mix", "base", "finetuned"),
    rows: v.optional(v.record(v.pipe(v.string(), v.regex(/^\d+$/, "expected a token id")), word("mix", "base", "finetuned"), "expected an object of token ids")),
    vocabulary: v.optional(word("base", "finetuned", "common")),
    stopIds: v.optional(word("base", "finetuned")),
  }),
  output: v.strictObject({
    dtype: word("base", "F32", "F16", "BF16"),
    maxShardBytes: v.pipe(v.number("expected a number"), v.safeInteger("expected a whole number"), v.minValue(1 << 20, "expected at least 1,048,576 bytes (1 MiB)")),
    name: v.pipe(text, v.check((name) => !/[/\\]/.test(name) && !name.includes("\0") && name !== "." && name !== "..", "expected a folder name without slashes")),
  }),
  kernels: v.optional(kernelRecord),
});

/** Keys of each object of the format, for the suggestion beside an unknown one. */
const keysAt: Record<string, readonly string[]> = {
  "": Object.keys(schema.entries),
  base: Object.keys(modelRef.entries),
  models: Object.keys(modelRef.entries),
  reconciliation: Object.keys(schema.entries.reconciliation.entries),
  output: Object.keys(schema.entries.output.entries),
  kernels: Object.keys(kernelRecord.entries),
  tensors: Object.keys(choice.entries),
  then: Object.keys(stage.entries),
  calibration: Object.keys(calibration.entries),
};

const pathText = (path: readonly (string | number)[]): string => path.map((p, i) => (typeof p === "number" ? `[${p}]` : i === 0 ? p : `.${p}`)).join("");

function refuse(source: string, at: number, path: readonly (string | number)[], problem: string): never {
  const { line, column } = lineAndColumn(source, at);
  const where = pathText(path);
  throw new StudioError("bad-recipe", `Reading the recipe: ${where ? `${where} ` : ""}${problem}, at line ${line} column ${column}.`, { title: "The recipe cannot be used", where: `${where || "recipe"}, line ${line} column ${column}`, path: where, line, column, found: problem });
}

/** Keys twice in one object: JSON.parse would take the last without a word. */
function refuseDuplicates(source: string, node: JsonNode, path: (string | number)[]): void {
  if (node.kind === "array") node.items.forEach((item, i) => refuseDuplicates(source, item, [...path, i]));
  if (node.kind !== "object") return;
  const seen = new Set<string>();
  for (const { key, keyAt, value } of node.entries) {
    if (seen.has(key)) refuse(source, keyAt, [...path, key], "is given twice");
    seen.add(key);
    refuseDuplicates(source, value, [...path, key]);
  }
}

const shown = (value: unknown): string => (value === undefined ? "nothing" : JSON.stringify(value).slice(0, 60));

/**
 * A recipe from its text. Throws "bad-recipe" with the path ("params.r", "models[1].name"), line and column;
 * unknown keys are refused, with the known one that was probably meant.
 * The names and values inside `params` belong to the method and are checked by it. A report that carries a recipe is read as
 * that recipe.
 */
export function parseRecipe(source: string): Recipe {
  let root: JsonNode;
  try {
    root = parseJson(source);
  } catch (error) {
    if (error instanceof JsonSyntaxError) return refuse(source, error.at, [], `is no valid JSON: ${error.reason}`);
    throw error;
  }
  if (root.kind !== "object") refuse(source, root.at, [], `is a JSON ${root.kind}, expected an object`);
  const carried = root.entries.some((e) => e.key === "method") ? undefined : root.entries.find((e) => e.key === "recipe")?.value;
  if (carried?.kind === "object") root = carried;
  refuseDuplicates(source, root, []);
  const result = v.safeParse(schema, toPlain(root), { abortEarly: true });
  if (result.success) return result.output as Recipe;
  const issue = result.issues[0];
  const path = (issue.path ?? []).map((p) => p.key as string | number);
  const parent = path.slice(0, -1);
  const last = String(path.at(-1) ?? "");
  const holder = nodeAt(root, parent);
  const entry = holder.kind === "object" ? holder.entries.find((e) => e.key === last) : undefined;
  // A strict object reports a stranger as a key that may not be, and an absent key at the object itself.
  if (issue.type === "strict_object" && issue.expected === "never") {
    const known = keysAt[String(parent[0] ?? "")] ?? [];
    const near = suggest(last, known);
    return refuse(source, entry?.keyAt ?? holder.at, path, `is no key of a recipe${near ? `; did you mean "${near}"?` : `; known are ${known.join(", ")}`}`);
  }
  if (!entry && holder.kind === "object") return refuse(source, holder.at, path, "is missing");
  const message = issue.type === "strict_object" ? "expected an object" : issue.message;
  return refuse(source, nodeAt(root, path).at, path, `is ${shown(issue.input)}, ${message}`);
}

/** A fault that was found in a recipe once it was read, with where in its text the value stands. */
export function located(source: string, path: readonly (string | number)[], error: unknown): StudioError {
  const { code, message, details } = toStudioError(error);
  const root = parseJson(source);
  const whole = nodeAt(root, ["method"]) === root ? nodeAt(root, ["recipe"]) : root;
  const { line, column } = lineAndColumn(source, nodeAt(whole, path).at);
  return new StudioError(code, `${message.replace(/\.$/, "")} (${pathText(path) || "recipe"}, line ${line} column ${column}).`, { ...details, where: `${pathText(path) || "recipe"}, line ${line} column ${column}`, path: pathText(path), line, column }, { cause: error });
}

/**
 * The recipe in one key order, without keys that are undefined. `whole`: with the store's own ids, which mean nothing
 * elsewhere, and with how the kernels ran, which says nothing of what is merged.
 */
function ordered(recipe: Recipe, whole: boolean): Record<string, unknown> {
  const ref = ({ id, name, hash, weight, params }: ModelRef): Record<string, unknown> => ({ ...(whole && id !== undefined ? { id } : {}), name, ...(hash !== undefined ? { hash } : {}), ...(weight !== undefined ? { weight } : {}), ...(params ? { params: Object.fromEntries(sorted(params)) } : {}) });
  const { tied, context, tokenizer, chatTemplate, generationConfig, clashRows, rows, vocabulary, stopIds } = recipe.reconciliation;
  const { vary, tensors, then, calibration: texts } = recipe;
  const { dtype, maxShardBytes, name } = recipe.output;
  return {
    version: recipe.version,
    method: recipe.method,
    base: ref(recipe.base),
    models: recipe.models.map(ref),
    params: Object.fromEntries(sorted(recipe.params)),
    ...(vary && Object.keys(vary).length > 0 ? { vary: Object.fromEntries(sorted(vary)) } : {}),
    ...(tensors?.include || tensors?.exclude ? { tensors: { ...(tensors.include ? { include: tensors.include } : {}), ...(tensors.exclude ? { exclude: tensors.exclude } : {}) } } : {}),
    ...(then && then.length > 0 ? { then: then.map((s) => ({ method: s.method, params: Object.fromEntries(sorted(s.params)) })) } : {}),
    ...(texts ? { calibration: { source: texts.source, name: texts.name, ...(texts.texts ? { texts: texts.texts } : {}), samples: texts.samples, maxTokens: texts.maxTokens, seed: texts.seed } } : {}),
    ...(recipe.tokens ? { tokens: recipe.tokens } : {}),
    reconciliation: { tied, context, tokenizer, chatTemplate, generationConfig, clashRows, ...(rows && Object.keys(rows).length > 0 ? { rows: Object.fromEntries(sorted(rows)) } : {}), ...(vocabulary ? { vocabulary } : {}), ...(stopIds ? { stopIds } : {}) },
    output: { dtype, maxShardBytes, name },
    ...(whole && recipe.kernels ? { kernels: orderedKernels(recipe.kernels) } : {}),
  };
}

const sorted = <T>(record: Record<string, T>): [string, T][] => Object.entries(record).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
const orderedKernels = ({ adapter, forms, panelBytes }: KernelRecord): KernelRecord => ({ adapter, forms: Object.fromEntries(sorted(forms).map(([kernel, classes]) => [kernel, Object.fromEntries(sorted(classes))])), panelBytes });

/** A record of kernels as one text, the same for equal records; without the adapter, which follows by itself. */
export const kernelsText = ({ forms, panelBytes }: KernelRecord): string => JSON.stringify(orderedKernels({ adapter: "", forms, panelBytes }));

/** recipe.json: two spaces, one key order, so that equal recipes are equal files; sequences of token ids stay on a line each. */
export function serialiseRecipe(recipe: Recipe): string {
  const { tokens, ...rest } = ordered(recipe, true);
  const json = JSON.stringify(tokens ? { ...rest, tokens: "\u0000" } : rest, null, 2);
  const lists = (tokens as number[][] | undefined)?.map((t) => `    ${JSON.stringify(t)}`).join(",\n");
  return `${lists ? json.replace('"\\u0000"', () => `[\n${lists}\n  ]`) : json}\n`;
}

/** One line, without the store's ids: what is hashed, and what goes into `__metadata__`. */
export const compactRecipe = (recipe: Recipe): string => JSON.stringify(ordered(recipe, false));

/** First 16 hex digits of SHA-256 over the compact form: the name of a recipe in the history and on the model card. */
export async function recipeHash(recipe: Recipe): Promise<string> {
  return (await sha256(compactRecipe(recipe))).slice(0, 16);
}
