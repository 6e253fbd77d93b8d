import { beforeAll, describe, expect, test } from "vitest";
import type { ModelRef, Recipe } from "../../../src/core/recipe";
import type { Checkpoint } from "../../../src/core/tensors";
import { bernoulliMask, drawKey } from "../../../src/kernels/stats/sparsify";
import { maskBit } from "../../../src/kernels/stats/trim";
import * as reference from "../../reference/merge/dataFree";
import { expectClose } from "../../support/compare";
import { bench, recipeFor, tensorBytesOf, valuesOf, watchedGpu, type Bench } from "../../support/engineBench";
import { fixtureCheckpoint } from "../../support/nodeCheckpoint";
import { perturbed } from "../../support/perturbed";

/** Settings that differ between tensors and models, on the GPU, against plain loops over whole tensors in float64. */
let b: Bench;
const names: string[] = [];
const whole = new Map<string, { base: number[]; models: number[][]; cols: number }>();
const refs: ModelRef[] = [{ id: "one", name: "one" }, { id: "two", name: "two" }];
const tokens = [[3, 1, 4, 1, 5], [9, 2, 6, 5]];
/** Layers of the fixture. */
const LAYERS = 3;

beforeAll(async () => {
  const base = await fixtureCheckpoint("qwen2-tiny-f32", "base");
  const tuned: Record<string, Checkpoint> = { one: await fixtureCheckpoint("qwen2-tiny-f32", "finetuned"), two: await perturbed(base, 5) };
  names.push(...base.tensors.keys());
  for (const name of names) {
    const shape = base.tensors.get(name)!.shape;
    whole.set(name, { base: [...(await valuesOf(base, name))], models: [[...(await valuesOf(tuned.one!, name))], [...(await valuesOf(tuned.two!, name))]], cols: shape.at(-1)! });
  }
  b = bench((await watchedGpu()).gpu, { base, ...tuned });
});

/** The gradient of METHODS 0.3, in plain steps: 0 → layers - 1 over the list; the first value outside the layers. */
function gradient(list: number[], name: string): number {
  const found = /layers\.(\d+)\./.exec(name);
  if (!found) return list[0]!;
  const index = (Number(found[1]) / (LAYERS - 1)) * (list.length - 1);
  const low = Math.min(Math.floor(index), list.length - 2);
  return list[low]! + (index - low) * (list[low + 1]! - list[low]!);
}

const changes = (name: string): number[][] => whole.get(name)!.models.map((m) => m.map((v, i) => Math.fround(v - whole.get(name)!.base[i]!)));
const sum = (values: readonly number[]): number => values.reduce((a, v) => a + v, 0);

async function check(method: string, params: Recipe["params"], change: Parameters<typeof recipeFor>[2], want: (name: string) => number[]): Promise<void> {
  const { checkpoint, report } = await b.merge(recipeFor(method, params, { models: refs, ...change }));
  expect(report.checks.filter((c) => c.verdict !== "pass")).toEqual([]);
  for (const name of names) expectClose(await valuesOf(checkpoint, name), Float64Array.from(want(name)), { atol: 5e-7, rtol: 5e-7 }, `${method} ${name}`);
}
const weighted = (weights: [ModelRef["weight"], ModelRef["weight"]], own: ModelRef["params"][] = []): ModelRef[] => refs.map((r, k) => ({ ...r, weight: weights[k]!, ...(own[k] ? { params: own[k] } : {}) }));

describe("against float64", () => {
  test("SLERP: t by attention, MLP and the rest, over depth", async () => {
    const attention = [0, 0.5, 0.3, 0.7, 1];
    const mlp = [1, 0.5, 0.7, 0.3, 0];
    await check("slerp", {}, { models: refs.slice(0, 1), vary: { t: [{ filter: "self_attn", value: attention }, { filter: "mlp", value: mlp }, { value: 0.5 }] } }, (name) => {
      const t = name.includes("self_attn") ? gradient(attention, name) : name.includes("mlp") ? gradient(mlp, name) : 0.5;
      return reference.slerp({ ...whole.get(name)!, weights: [1], columns: 1 }, t);
    });
  });

  test("linear: a list and rules as weights", async () => {
    await check("linear", {}, { models: weighted([[0.2, 0.9], [{ filter: "q_proj", value: 3 }, { filter: "*", value: [1, 0.25, 2] }]]) }, (name) => {
      const w = [gradient([0.2, 0.9], name), name.includes("q_proj") ? 3 : gradient([1, 0.25, 2], name)];
      const { models } = whole.get(name)!;
      return models[0]!.map((v, i) => (w[0]! * v + w[1]! * models[1]![i]!) / sum(w));
    });
  });

  test("task arithmetic: scale over depth, weights by kind", async () => {
    await check("task-arithmetic", { normalize: true }, { models: weighted([[{ filter: "mlp", value: 2 }, { value: 1 }], 0.5]), vary: { lambda: [0.3, 1.1] } }, (name) => {
      const w = [name.includes("mlp") ? 2 : 1, 0.5];
      const d = changes(name);
      return whole.get(name)!.base.map((v, i) => v + (gradient([0.3, 1.1], name) * (w[0]! * d[0]![i]! + w[1]! * d[1]![i]!)) / sum(w));
    });
  });

  test("TIES: density over depth and per model, weights in the vote", async () => {
    await check("ties", { lambda: 0.8 }, { models: weighted([[0.5, 1.5], 1], [undefined, { density: [{ filter: "mlp", value: 0.6 }, { filter: "norm", value: 1 }] }]), vary: { density: [0.1, 0.5, 0.3] } }, (name) => {
      const common = gradient([0.1, 0.5, 0.3], name);
      const density = [common, name.includes("mlp") ? 0.6 : name.includes("norm") ? 1 : common];
      const w = [gradient([0.5, 1.5], name), 1];
      const x = changes(name).map((d, k) => {
        const sizes = d.map(Math.abs).sort((p, q) => q - p);
        const least = sizes[Math.max(1, Math.floor(density[k]! * d.length + 1e-9)) - 1]!;
        return d.map((v) => (Math.abs(v) >= least ? w[k]! * v : 0));
      });
      return whole.get(name)!.base.map((v, i) => {
        const votes = x.map((m) => m[i]!);
        const up = sum(votes) >= 0;
        const agree = votes.flatMap((c, k) => ((up ? c > 0 : c < 0) ? [k] : []));
        return agree.length === 0 ? v : v + (0.8 * sum(agree.map((k) => votes[k]!))) / sum(agree.map((k) => w[k]!));
      });
    });
  });

  test("DARE: density over depth, and another for one model", async () => {
    await check("dare_linear", { seed: 11 }, { models: weighted([0.7, [1, 0]], [undefined, { density: [0.9, 0.4] }]), vary: { density: [0.2, 0.6] } }, (name) => {
      const density = [gradient([0.2, 0.6], name), gradient([0.9, 0.4], name)];
      const w = [0.7, gradient([1, 0], name)];
      const d = changes(name);
      const masks = d.map((m, k) => bernoulliMask(drawKey(11, k, name), density[k]!, 0, m.length));
      return whole.get(name)!.base.map((v, i) => v + sum(d.map((m, k) => (maskBit(masks[k]!, i) ? (w[k]! * m[i]!) / density[k]! : 0))));
    });
  });

  test("DELLA: density and spread per model; the vote over what each model keeps", async () => {
    // What each model keeps alone is read off the merge without a vote, with the other model's weight at 0.
    const alone: Checkpoint[] = [];
    for (const k of [0, 1]) alone.push((await b.merge(recipeFor("della_linear", k === 0 ? { density: 0.4, epsilon: 0.2 } : { density: 0.7 }, { models: weighted(k === 0 ? [1, 0] : [0, 1]) }))).checkpoint);
    const x = new Map<string, number[][]>();
    for (const name of names) x.set(name, await Promise.all(alone.map(async (c) => Array.from(await valuesOf(c, name), (v, i) => v - whole.get(name)!.base[i]!))));
    const own: ModelRef["params"][] = [{ density: 0.4, epsilon: 0.2 }, { density: [{ value: 0.7 }] }];
    await check("della", {}, { models: weighted([1, [0.5, 1]], own) }, (name) => {
      const w = [1, gradient([0.5, 1], name)];
      return whole.get(name)!.base.map((v, i) => {
        const votes = x.get(name)!.map((m, k) => w[k]! * m[i]!);
        const up = sum(votes) >= 0;
        const agree = votes.flatMap((c, k) => ((up ? c > 0 : c < 0) ? [k] : []));
        return agree.length === 0 ? v : v + sum(agree.map((k) => votes[k]!)) / sum(agree.map((k) => w[k]!));
      });
    });
    await check("della_linear", {}, { models: weighted([1, [0.5, 1]], own) }, (name) => whole.get(name)!.base.map((v, i) => v + x.get(name)![0]![i]! + gradient([0.5, 1], name) * x.get(name)![1]![i]!));
  });
});

describe("FIM-TIES", () => {
  const run = async (params: Recipe["params"], change: Parameters<typeof recipeFor>[2] = {}) => {
    const recipe = recipeFor("fim-ties", { calib: "off", ...params }, { models: refs.slice(0, 1), tokens, ...change });
    const { checkpoint } = await b.merge(recipe);
    return { checkpoint, bytes: await tensorBytesOf(checkpoint), shape: await b.shape(recipe) };
  };
  const layerOf = (name: string): number => Number(/layers\.(\d+)\./.exec(name)?.[1] ?? 0);

  test("r over depth and by kind: each matrix as in the merge of its r; α does not move", async () => {
    const low = await run({ r: 0.1 });
    const high = await run({ r: 0.5 });
    const varied = await run({}, { vary: { r: [{ filter: "down_proj", value: 0.5 }, { filter: "mlp", value: 0.1 }, { value: [0.1, 0.1, 0.5] }] } });
    for (const [name, bytes] of varied.bytes) {
      const much = name.includes("down_proj") || (!name.includes("mlp") && layerOf(name) === 2);
      expect(bytes, name).toBe((much ? high : low).bytes.get(name));
    }
    expect(low.bytes).not.toEqual(high.bytes);
    expect(varied.shape.experts[0]!.layers.map((l) => l.alpha)).toEqual(low.shape.experts[0]!.layers.map((l) => l.alpha));
    const matrix = varied.shape.experts[0]!.tensors.filter((t) => t.kept !== undefined);
    for (const t of matrix) expect(Math.abs(t.kept! - (t.role === "down_proj" || (!t.name.includes("mlp") && t.layer === 2) ? 0.5 : 0.1)), t.name).toBeLessThan(2 / Math.sqrt(t.elements));
  });

  test("scale and gate factor by kind: θ₀ + α m δ with the tensor's own α", async () => {
    const plain = await run({ r: 0.4, gateFactor: 1 });
    const varied = await run({ r: 0.4, gateFactor: 1 }, { vary: { scale: [{ filter: "mlp", value: [0.5, 1.5] }, { value: 1 }], gateFactor: [1, 0.5] } });
    const before = new Map(plain.shape.experts[0]!.tensors.map((t) => [t.name, t]));
    for (const t of varied.shape.experts[0]!.tensors) {
      const own = t.name.includes("mlp") ? gradient([0.5, 1.5], t.name) : 1;
      const alpha = before.get(t.name)!.alpha! * own * (t.role === "gate_proj" ? gradient([1, 0.5], t.name) : 1);
      expect(t.alpha, t.name).toBeCloseTo(alpha, 14);
      const [start, was, now] = [whole.get(t.name)!, await valuesOf(plain.checkpoint, t.name), await valuesOf(varied.checkpoint, t.name)];
      const d = changes(t.name)[0]!;
      expectClose(now, Float64Array.from(start.base, (v, i) => (was[i] === start.base[i] ? v : v + alpha * d[i]!)), { atol: 5e-7, rtol: 5e-7 }, t.name);
    }
    expect(varied.shape.experts[0]!.layers[2]!.alpha, "a layer shows the mean over what it merges with").not.toBe(plain.shape.experts[0]!.layers[2]!.alpha);
  });

  test.each([["tensor", "base"], ["model", "base"], ["tensor", "finetuned"]])("r per model, within a %s, Fisher at the %s", async (trimScope, fisherAt) => {
    const recipe = recipeFor("fim-ties", { trimScope, fisherAt }, { models: refs.map((r, k) => ({ ...r, params: { r: k === 0 ? 0.15 : 0.6 } })), tokens });
    await b.measure(recipe);
    const { experts } = await b.shape(recipe);
    for (const [k, r] of [0.15, 0.6].entries()) {
      const trimmed = experts[k]!.tensors.filter((t) => t.kept !== undefined);
      const all = sum(trimmed.map((t) => t.elements));
      expect(sum(trimmed.map((t) => t.kept! * t.elements)) / all, "of all matrices").toBeCloseTo(r, 2);
      if (trimScope === "model") expect(new Set(trimmed.map((t) => t.threshold)).size, "one threshold for a model").toBe(1);
      else for (const t of trimmed) expect(t.kept, t.name).toBeCloseTo(r, 2);
    }
  });

  test("a block's threshold takes one share per layer, and refuses two", async () => {
    const recipe = (vary: Recipe["vary"]): Recipe => recipeFor("fim-ties", { trimScope: "block" }, { models: refs.slice(0, 1), tokens, vary: vary! });
    await b.measure(recipe({ r: [0.2, 0.3, 0.6] }));
    const { layers } = (await b.shape(recipe({ r: [0.2, 0.3, 0.6] }))).experts[0]!;
    [0.2, 0.3, 0.6].forEach((r, l) => expect(layers[l]!.kept).toBeCloseTo(r, 3));
    await expect(b.shape(recipe({ r: [{ filter: "mlp", value: 0.5 }, { value: 0.2 }] }))).rejects.toThrow(/all entries of a block share one threshold/);
  });
});
