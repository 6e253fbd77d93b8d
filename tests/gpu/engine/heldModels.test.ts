import { afterEach, beforeAll, expect, test } from "vitest";
import type { Recipe } from "../../../src/core/recipe";
import type { Checkpoint, FloatDtype } from "../../../src/core/tensors";
import type { TryModel, WeightsBrought } from "../../../src/core/trying";
import { createAnswering, type Answering } from "../../../src/engine/answering";
import { Device } from "../../../src/engine/device";
import { HeldModels } from "../../../src/engine/heldModels";
import { KernelChoices } from "../../../src/engine/kernelChoice";
import { createMerges } from "../../../src/engine/merges";
import { PassStore } from "../../../src/engine/passStore";
import { Resources } from "../../../src/engine/resources";
import { fromFloat32, toFloat32 } from "../../../src/formats/dtypes";
import { poolKeys } from "../../../src/generate/weights";
import { Gpu } from "../../../src/gpu/gpu";
import { expectedTensors } from "../../../src/model/architectures";
import type { ModelConfig } from "../../../src/model/config";
import { bench, digest, hookedReads, recipeFor, tensorBytesOf, type Bench } from "../../support/engineBench";
import { testGpu } from "../../support/gpu";
import { randomModel, TINY } from "../../support/tinyModel";
import { nodeEntry } from "../../support/wrappedGpu";

const { signal } = new AbortController();
const PROMPT = [3, 1, 4, 1, 5];
const [base, tuned]: TryModel[] = [{ kind: "model", id: "base" }, { kind: "model", id: "finetuned" }];
const merge = (recipe: Recipe): TryModel => ({ kind: "merge", recipe });
const arithmetic = (change: Partial<Recipe> = {}): Recipe => ({ ...recipeFor("task-arithmetic", { lambda: 0.7 }), ...change });
/** Another share of the change in the second block. */
const varied = (change: Partial<Recipe> = {}): Recipe => arithmetic({ vary: { lambda: [{ filter: "layers.1.", value: 0.3 }, { value: 0.7 }] }, ...change });

let gpu: Gpu;
let b: Bench;
let config: ModelConfig;
let open: (model: TryModel, of?: AbortSignal) => Promise<Answering>;
let models: HeldModels;
/** Tensors of the decoder, and those whose name has this in it. */
let count: (part?: string) => number;

beforeAll(async () => {
  gpu = await testGpu();
  const [one, two] = await Promise.all([randomModel(TINY.qwen3, "BF16", 1), randomModel(TINY.qwen3, "BF16", 2)]);
  config = one.config;
  b = bench(await nodeEntry(), { base: one.checkpoint, finetuned: two.checkpoint });
  count = (part = "") => expectedTensors(config).filter((t) => t.name.includes(part)).length;
  const resources = new Resources(undefined, { ingest: "copy", sliceElements: undefined, readAhead: undefined });
  const { readyMerge } = createMerges(b.env, { device: new Device(b.env.gpu), passes: new PassStore(b.env.passes), resources, kernels: new KernelChoices(undefined, ""), facts: async () => gpu.facts, beforePass: () => undefined });
  const answering = createAnswering(b.env, resources, readyMerge);
  open = (model, of = signal) => answering(model, "try", of, () => undefined);
  models = new HeldModels(resources);
});
afterEach(async () => {
  models.release();
  await gpu.sync();
  expect([gpu.liveBytes, models["pools"].get(gpu)?.heldBytes]).toEqual([0, 0]);
});

const load = async (model: TryModel, on = gpu, of = signal): Promise<WeightsBrought> => models.use(await open(model, of), on, of, async (_, brought) => brought);
const answer = async (model: TryModel): Promise<number[]> => models.use(await open(model), gpu, signal, async (generator) => (await generator.generate([PROMPT], { maxNewTokens: 8, stopIds: [] }))[0]!.ids);
const brought = (made: number, there: number) => ({ made, there, bytes: expect.any(Number) as number, seconds: expect.any(Number) as number });

/** Digests of what the GPU holds of a model, as `tensorBytesOf` has them of its files. */
async function heldBytesOf(model: TryModel): Promise<Map<string, string>> {
  const weights = await (await open(model)).weights(gpu, signal);
  const out = new Map<string, string>();
  for (const [name, key] of await poolKeys(weights, config)) {
    const info = weights.tensors.get(name)!;
    const share = models["pools"].get(gpu)!.take(key);
    if (!share) continue;
    const vector = info.shape.length === 1;
    const bytes = await gpu.read(share.panels[0]!.buffer, vector ? 4 * info.elements : info.end - info.begin);
    out.set(name, `${info.dtype} ${digest(vector ? fromFloat32(toFloat32(bytes, "F32"), info.dtype as FloatDtype) : bytes)}`);
    share.release();
  }
  return out;
}

test("a recipe that differs in one layer merges that layer again, to the bytes and tokens of its export", async () => {
  const tensors = { exclude: ["*mlp*"] };
  const [first, second] = [merge(arithmetic({ tensors })), merge(varied({ tensors }))];
  expect(await load(base!)).toEqual(brought(count(), 0));
  expect(await load(tuned!)).toEqual(brought(count(), 0));
  // What is copied from the base is the base's.
  expect(await load(first)).toEqual(brought(count() - count("mlp"), count("mlp")));
  expect(await load(base!)).toMatchObject({ made: 0, there: count(), seconds: 0 });
  await load(tuned!);
  // A fourth model takes the place of the first merge, and what it has in common with it.
  expect(await load(second)).toEqual(brought(count("layers.1.") - count("layers.1.mlp"), count() - count("layers.1.") + count("layers.1.mlp")));
  expect(await load(first)).toMatchObject({ made: count("layers.1.") - count("layers.1.mlp") });
  expect(models.tried).toEqual({ merges: 3, tensorsMade: count() - count("mlp") + 2 * (count("layers.1.") - count("layers.1.mlp")), tensorsTaken: 2 * count() + count("mlp") - 2 * (count("layers.1.") - count("layers.1.mlp")) });

  const ids = await answer(second);
  const { checkpoint } = await b.merge(varied({ tensors }));
  expect(await heldBytesOf(second)).toEqual(await tensorBytesOf(checkpoint));
  models.release();
  b.models.set("exported", checkpoint);
  expect(await answer({ kind: "model", id: "exported" })).toEqual(ids);
  expect(await answer(first)).not.toEqual(ids);
});

test("recipes that come to the same share all; another seed only what is copied, another dtype nothing", async () => {
  const all = count();
  expect(await load(merge(arithmetic()))).toEqual(brought(all, 0));
  expect(await load(merge(arithmetic({ vary: { lambda: 0.7 } })))).toEqual(brought(0, all));
  const dtype = { ...arithmetic().output, dtype: "F32" as const };
  expect(await load(merge(arithmetic({ output: dtype })))).toEqual(brought(all, 0));
  models.release();

  const dare = (seed: number): Recipe => recipeFor("dare_linear", { density: 0.5, seed }, { tensors: { exclude: ["*mlp*"] } });
  expect(await load(merge(dare(1)))).toEqual(brought(all, 0));
  expect(await load(merge(dare(2)))).toEqual(brought(all - count("mlp"), count("mlp")));
  const same = await tensorBytesOf((await b.merge(dare(2))).checkpoint);
  expect(await heldBytesOf(merge(dare(2)))).toEqual(same);
});

test("a model that is given back leaves the others what they share; one that answers is not given back", async () => {
  const want = await answer(merge(varied()));
  models.release();
  await load(merge(arithmetic()));
  const ids = await models.use(await open(merge(varied())), gpu, signal, async (generator, { made }) => {
    expect(made).toBe(count("layers.1."));
    // Buffers that are free are taken by whoever comes next.
    models.release();
    await load(base!);
    return (await generator.generate([PROMPT], { maxNewTokens: 8, stopIds: [] }))[0]!.ids;
  });
  expect(ids).toEqual(want);
});

test("cancelled or failed half way, a load holds nothing, and spoils nothing for others", async () => {
  await load(merge(arithmetic()));
  const [live, held] = [gpu.liveBytes, models["pools"].get(gpu)!.heldBytes];
  const whole = b.models.get("finetuned")!;
  const stop = new AbortController();
  const spoilt = async (before: () => void, of = signal): Promise<void> => {
    let reads = 0;
    b.models.set("finetuned", hookedReads(whole, () => ++reads === 4 && before()));
    try {
      await load(merge(varied()), gpu, of);
    } finally {
      b.models.set("finetuned", whole);
      await gpu.sync();
    }
  };
  const broken = () => {
    throw new Error("the disk went away");
  };
  await expect(spoilt(broken)).rejects.toThrow("the disk went away");
  expect([gpu.liveBytes, models["pools"].get(gpu)!.heldBytes]).toEqual([live, held]);
  await expect(spoilt(() => stop.abort(), stop.signal)).rejects.toMatchObject({ code: "cancelled" });
  expect([gpu.liveBytes, models["pools"].get(gpu)!.heldBytes]).toEqual([live, held]);
  expect(await load(merge(varied()))).toEqual(brought(count("layers.1."), count() - count("layers.1.")));
});

test("a device that is lost takes its weights along, and nothing of another's", async () => {
  const other = await Gpu.create(await nodeEntry());
  expect(await load(merge(arithmetic()), other)).toEqual(brought(count(), 0));
  expect(await load(merge(arithmetic()))).toEqual(brought(count(), 0));
  other.destroy();
  await other.device.lost;
  expect(await load(merge(varied()))).toMatchObject({ made: count("layers.1.") });
  expect(models["held"].map((h) => h.gpu === gpu)).toEqual([true, true]);
});

test("models that nothing tells from others share nothing", async () => {
  const nameless = async (model: TryModel): Promise<Answering> => {
    const answering = await open(model);
    return { ...answering, weights: async (...args) => ({ ...(await answering.weights(...args)), identity: undefined }) as Checkpoint };
  };
  const made = async (model: TryModel): Promise<number> => models.use(await nameless(model), gpu, signal, async (_, { made: anew }) => anew);
  expect([await made(merge(arithmetic())), await made(merge(varied()))]).toEqual([count(), count()]);
});
