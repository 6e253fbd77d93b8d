import type { Recipe } from "../../src/core/recipe";
import type { Checkpoint, FloatDtype } from "../../src/core/tensors";
import { bench, recipeFor, valuesOf, type Bench } from "./engineBench";
import { jsonFile } from "./models";
import { checkpointOf } from "./perturbed";

/** Tensors by name: what the base holds and what each model holds. */
export type Given = Record<string, { shape: readonly number[]; base: ArrayLike<number>; models: readonly ArrayLike<number>[] }>;

export interface OneMerge {
  weights?: readonly number[] | undefined;
  gpu?: GPU | undefined;
  dtype?: FloatDtype;
  change?: Partial<Recipe>;
}

const CONFIG = jsonFile("config.json", { model_type: "anything", tie_word_embeddings: false });

/** Checkpoints of these tensors, of no known architecture: `base`, `m0`, `m1`, .. */
export async function modelsOf(given: Given, dtype: FloatDtype = "F32"): Promise<Record<string, Checkpoint>> {
  const names = Object.keys(given);
  const model = (id: string, values: (name: string) => ArrayLike<number>): Promise<Checkpoint> =>
    checkpointOf(id, names.map((name) => ({ name, dtype, shape: [...given[name]!.shape], values: Float32Array.from(values(name)) })), [CONFIG]);
  const out: Record<string, Checkpoint> = { base: await model("base", (name) => given[name]!.base) };
  for (let k = 0; k < (given[names[0]!]?.models.length ?? 0); k++) out[`m${k}`] = await model(`m${k}`, (name) => given[name]!.models[k]!);
  return out;
}

/** The recipe of such a merge. */
export const recipeOf = (method: string, params: Recipe["params"], models: number, { weights, change }: OneMerge = {}): Recipe =>
  recipeFor(method, params, { models: Array.from({ length: models }, (_, k) => ({ id: `m${k}`, name: `m${k}`, ...(weights ? { weight: weights[k]! } : {}) })), ...(change as object) });

/** Whole tensors through the engine, from stored models to files that were read back, as any export goes; on the CPU, or on `gpu`. */
export async function mergeTensors(method: string, params: Recipe["params"], given: Given, how: OneMerge = {}): Promise<Map<string, Float32Array>> {
  const models = await modelsOf(given, how.dtype);
  const b: Bench = bench(how.gpu, models);
  const { checkpoint, report } = await b.merge(recipeOf(method, params, Object.keys(models).length - 1, how));
  const failed = report.checks.filter((c) => c.verdict === "fail");
  if (failed.length > 0) throw new Error(failed.map((c) => `${c.label}: ${c.found}`).join("; "));
  return new Map(await Promise.all(Object.keys(given).map(async (name) => [name, await valuesOf(checkpoint, name)] as const)));
}

/** One tensor of these values; a vector where no shape is given. */
export async function mergeOneTensor(method: string, params: Recipe["params"], base: ArrayLike<number>, models: readonly ArrayLike<number>[], how: OneMerge & { shape?: readonly number[] } = {}): Promise<Float32Array> {
  return (await mergeTensors(method, params, { w: { shape: how.shape ?? [base.length], base, models } }, how)).get("w")!;
}
