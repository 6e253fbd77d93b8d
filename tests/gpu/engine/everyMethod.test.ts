import { beforeAll, describe, expect, test } from "vitest";
import type { Recipe } from "../../../src/core/recipe";
import type { Checkpoint } from "../../../src/core/tensors";
import { METHODS } from "../../../src/merge/methods";
import { bench, hookedReads, recipeFor, tensorBytesOf, watchedGpu, type Bench } from "../../support/engineBench";
import { perturbed } from "../../support/perturbed";
import { randomModel, TINY } from "../../support/tinyModel";

/** Methods whose pass needs a GPU: where the same is tested for them. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  "fim-ties": "determinism.test.ts",
  "fim-ta": "determinism.test.ts",
  "fisher-average": "gradientMethods.test.ts",
  "sens-merging": "gradientMethods.test.ts",
  regmean: "its own test",
};

/** Settings beside the defaults whose masks count equal entries, span the model or need whole rows. */
const SWITCHES: readonly [method: string, params: Recipe["params"]][] = [
  ["ties", { density: 0.3, scope: "model", keepRule: "official", zero: "majority", divisor: "count", weights: "ignore" }],
  ["ties", { density: 0.3, scope: "model", keepRule: "mergekit", rescale: true }],
  ["ties", { density: 0.3, keepRule: "mergekit", elect: "count" }],
  ["dare_ties", { density: 0.6, rescale: "l1-match" }],
  ["della", { density: 0.5, epsilon: 0.4 }],
  ["breadcrumbs", { density: 0.7, gamma: 0.05, rescale: true }],
  ["sce", { selectTopk: 0.5 }],
  ["nuslerp", { flatten: false }],
  ["nuslerp", { flatten: false, rowWise: true, changes: true }],
  ["model_stock", { filterWise: true }],
  ["linear", { includeBase: true, baseWeight: 0.25 }],
  ["passthrough", { scale: 0.3 }],
];

/** Rows that fall on no word, and in F32 more than one file of 1 MiB. */
const SHAPE = { ...TINY.qwen3, hidden_size: 60, num_attention_heads: 3, num_key_value_heads: 1, head_dim: 20, intermediate_size: 101, num_hidden_layers: 1, vocab_size: 2101 };

describe("the same bytes on GPU and CPU, in large slices and small ones, in one file and several", () => {
  let large: Bench;
  let small: Bench;
  let alone: Bench;
  let reads = { large: 0, small: 0 };
  beforeAll(async () => {
    const { gpu } = await watchedGpu();
    const models: Record<string, Checkpoint> = { base: (await randomModel(SHAPE, "F32", 1)).checkpoint };
    // Changes of the first are multiples of one step, so that many are equal in size.
    models.m0 = await perturbed(models.base!, 1);
    for (const [k, dtype] of (["BF16", "F16"] as const).entries()) models[`m${k + 1}`] = (await randomModel(SHAPE, dtype, k + 2)).checkpoint;
    const counted = (what: keyof typeof reads) => ({ ...models, base: hookedReads(models.base!, () => void reads[what]++) });
    large = bench(gpu, counted("large"));
    small = bench(gpu, counted("small"), { sliceElements: 64 * 33 });
    alone = bench(undefined, models, { sliceElements: 64 * 65 });
  });

  test("methods that are tested elsewhere are those with a pass on the GPU", () => {
    expect(METHODS.filter((m) => m.needs.fisher || m.gpuPass !== undefined).map((m) => m.id).sort()).toEqual(Object.keys(ELSEWHERE).sort());
  });

  const recipe = (id: string, params: Recipe["params"], maxShardBytes: number): Recipe => {
    const { maxModels } = METHODS.find((m) => m.id === id)!.needs;
    return recipeFor(id, params, { models: [0.7, 0.4, 0.9].slice(0, maxModels).map((weight, k) => ({ id: `m${k}`, name: `m${k}`, weight })), output: { maxShardBytes } });
  };
  const merged = async (id: string, params: Recipe["params"]): Promise<Map<string, string>> => {
    const one = await large.merge(recipe(id, params, 5e9));
    expect(one.report.checks.filter((c) => c.verdict !== "pass")).toEqual([]);
    const want = await tensorBytesOf(one.checkpoint);
    const several = await alone.merge(recipe(id, params, 1 << 20));
    expect([...several.files.keys()].filter((path) => path.endsWith(".safetensors")).length).toBeGreaterThan(1);
    expect(await tensorBytesOf(several.checkpoint), "CPU").toEqual(want);
    return want;
  };

  test.each(METHODS.filter((m) => !(m.id in ELSEWHERE)).map((m) => m.id))("%s", async (id) => {
    reads = { large: 0, small: 0 };
    const want = await merged(id, {});
    expect(await tensorBytesOf((await small.merge(recipe(id, {}, 1 << 20))).checkpoint), "GPU in small slices").toEqual(want);
    if (reads.large > 0) expect(reads.small, "small slices are more").toBeGreaterThan(reads.large);
  });

  test.each(SWITCHES)("%s %j", async (id, params) => void (await merged(id, params)));
});
