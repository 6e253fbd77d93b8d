import { beforeAll, describe, expect, test } from "vitest";
import type { ModelRef, Recipe } from "../../../src/core/recipe";
import type { Checkpoint } from "../../../src/core/tensors";
import { METHODS } from "../../../src/merge/methods";
import { bench, recipeFor, tensorBytesOf, type Bench } from "../../support/engineBench";
import { perturbed } from "../../support/perturbed";
import { randomModel, TINY } from "../../support/tinyModel";

/** Three layers; the data-free methods run on the CPU, which writes the bytes of the GPU. */
let b: Bench;
beforeAll(async () => {
  const { checkpoint: base } = await randomModel({ ...TINY.mistral, num_hidden_layers: 3 });
  b = bench(undefined, { base, one: await perturbed(base, 3), two: await perturbed(base, 4, { steps: 3 }) });
});

const dataFree = METHODS.filter((m) => !m.needs.fisher && !m.needs.calibration && m.gpuPass === undefined);
type Change = Parameters<typeof recipeFor>[2];
const refs = (id: string, own: Partial<ModelRef>[] = []): ModelRef[] => {
  const method = METHODS.find((m) => m.id === id)!;
  return ["one", "two"].slice(0, Math.min(2, method.needs.maxModels)).map((name, k) => ({ id: name, name, ...own[k] }));
};
const merged = async (method: string, params: Recipe["params"], change: Change): Promise<Map<string, string>> => tensorBytesOf((await b.merge(recipeFor(method, params, change))).checkpoint);
const layerOf = (name: string): number | undefined => (/layers\.(\d+)\./.exec(name) ? Number(/layers\.(\d+)\./.exec(name)![1]) : undefined);
const part = (bytes: Map<string, string>, want: (name: string) => boolean): [string, string][] => [...bytes].filter(([name]) => want(name));

/** Two values that the method can take and that make a difference here, and what must be on for that. */
const SPECIAL: Record<string, { values?: [number, number]; params?: Recipe["params"] }> = {
  "linear baseWeight": { params: { includeBase: true }, values: [0.5, 2] },
  "ramplus_tl r": { params: { alpha: 3 } },
  "ramplus_tl alpha": { params: { r: 1 }, values: [0.1, 0.4] },
  "nearswap t": { values: [0.001, 0.005] },
  "slerp t": { values: [0.3, 0.8] },
  "breadcrumbs gamma": { params: { density: 0.5 }, values: [0.1, 0.4] },
  "breadcrumbs_ties gamma": { params: { density: 0.5 }, values: [0.1, 0.4] },
};

describe("a number that differs between tensors", () => {
  const cases = dataFree.flatMap((m) => Object.entries(m.params).flatMap(([name, spec]) => ("varies" in spec && spec.varies ? [{ method: m.id, name, spec }] : [])));

  test.each(cases)("$method, $name: every tensor has the bytes of the merge that its number is for", async ({ method, name, spec }) => {
    const special = SPECIAL[`${method} ${name}`] ?? {};
    const [first, last] = special.values ?? [spec.min + 0.25 * (spec.max - spec.min), spec.min + 0.75 * (spec.max - spec.min)];
    const params = special.params ?? {};
    const all = async (value: number) => merged(method, { ...params, [name]: value }, { models: refs(method) });
    const [low, high] = [await all(first), await all(last)];
    expect(low, "the number matters").not.toEqual(high);
    const list = await merged(method, params, { models: refs(method), vary: { [name]: [first, last] } });
    const outer = (n: string): boolean => layerOf(n) === undefined || layerOf(n) === 0;
    expect(part(list, outer)).toEqual(part(low, outer));
    expect(part(list, (n) => layerOf(n) === 2)).toEqual(part(high, (n) => layerOf(n) === 2));
    const rules = await merged(method, params, { models: refs(method), vary: { [name]: [{ filter: "mlp", value: last }, { value: first }] } });
    for (const [tensor, bytes] of rules) expect(bytes, tensor).toBe((tensor.includes("mlp") ? high : low).get(tensor));
  });
});

describe("a weight that differs between tensors", () => {
  const weighted = ["linear", "task-arithmetic", "ties", "dare_linear", "dare_ties", "nuslerp", "multislerp", "della", "della_linear", "breadcrumbs", "breadcrumbs_ties"];

  test.each(weighted)("%s", async (method) => {
    const all = async (weight: number) => merged(method, {}, { models: refs(method, [{ weight }, { weight: 0.8 }]) });
    const values = [0.3, 1.25, 2] as const;
    const uniform = [await all(values[0]), await all(values[1]), await all(values[2])];
    const table = await merged(method, {}, { models: refs(method, [{ weight: [...values] }, { weight: [{ filter: "nothing has this", value: 7 }, { value: 0.8 }] }]) });
    for (const [name, bytes] of table) expect(bytes, name).toBe(uniform[layerOf(name) ?? 0]!.get(name));
    expect(uniform[0]).not.toEqual(uniform[2]);
  });
});

describe("a number that each model has for itself", () => {
  const cases = dataFree.flatMap((m) => Object.entries(m.params).flatMap(([name, spec]) => ("varies" in spec && spec.varies === "model" ? [{ method: m.id, name, spec }] : [])));

  test.each(cases)("$method, $name: with the other weights at 0, the merge of that model's number", async ({ method, name, spec }) => {
    const [first, second] = [spec.min + 0.3 * (spec.max - spec.min), spec.min + 0.7 * (spec.max - spec.min)];
    for (const weights of [[1, 0], [0, 1]] as const) {
      const own = await merged(method, {}, { models: refs(method, [{ weight: weights[0], params: { [name]: first } }, { weight: weights[1], params: { [name]: [{ filter: "*", value: second }] } }]) });
      expect(own).toEqual(await merged(method, { [name]: weights[0] ? first : second }, { models: refs(method, [{ weight: weights[0] }, { weight: weights[1] }]) }));
    }
  });

  test("a density of 1 beside one below: the first model is whole", async () => {
    const own = await b.shape(await measured(recipeFor("dare_linear", { density: 0.4 }, { models: refs("dare_linear", [{ params: { density: 1 } }]) })));
    const kept = own.experts.map((e) => e.tensors.find((t) => t.name === "model.layers.1.mlp.up_proj.weight")!.kept!);
    expect(kept[0]).toBe(1);
    expect(Math.abs(kept[1]! - 0.4)).toBeLessThan(0.1);
  });

  const measured = async (recipe: Recipe): Promise<Recipe> => {
    await b.measure(recipe);
    return recipe;
  };

  test("TIES with one threshold for the model takes one share per model, and refuses several", async () => {
    const models = refs("ties", [{ weight: 0, params: { density: 1 } }, { weight: 1, params: { density: 0.3 } }]);
    const own = await merged("ties", { scope: "model" }, { models });
    expect(own).toEqual(await merged("ties", { scope: "model", density: 0.3 }, { models: refs("ties", [{ weight: 0 }, { weight: 1 }]) }));
    await expect(b.shape(recipeFor("ties", { scope: "model" }, { models, vary: { density: [0.1, 0.3] } }))).resolves.toBeDefined();
    await expect(b.shape(recipeFor("ties", { scope: "model" }, { models: refs("ties"), vary: { density: [0.1, 0.3] } }))).rejects.toThrow(/of the change to "tiny-3", 0\.1 is to be kept in ".*" and 0\.2 in "model\.layers\.1\..*", but all entries of a model share one threshold/);
  });
});

describe("what is told", () => {
  test("a number that the method cannot use names the tensor", async () => {
    await expect(b.shape(recipeFor("della", {}, { models: refs("della"), vary: { density: [0.5, 0.95] } }))).rejects.toThrow(/^With the settings of "model\.layers\.2\./);
    await expect(b.shape(recipeFor("linear", {}, { models: refs("linear", [{ weight: [{ filter: "mlp", value: -1 }, { value: 1 }] }]) }))).rejects.toThrow(/^With the settings of "model\.layers\.0\.mlp\.down_proj\.weight": .*add up to 0/);
    await expect(b.shape(recipeFor("linear", {}, { models: refs("linear", [{ weight: [{ filter: "mlp", value: 1 }] }]) }))).rejects.toThrow(/no rule for the weight of "one" fits the tensor "lm_head\.weight"/);
  });

  test("advice is about every tensor and model", async () => {
    const thin = expect.stringContaining("fewer than half of the changes") as string;
    expect((await b.shape(recipeFor("dare_linear", {}, { models: refs("dare_linear") }))).warnings).not.toContainEqual(thin);
    expect((await b.shape(recipeFor("dare_linear", {}, { models: refs("dare_linear", [{}, { params: { density: [{ filter: "layers.2.mlp", value: 0.3 }] } }]) }))).warnings).toContainEqual(thin);
  });

  test("the shape shows the share of each layer, and none outside where tensors differ", async () => {
    const { experts } = await b.shape(recipeFor("task-arithmetic", {}, { models: refs("task-arithmetic").slice(0, 1), vary: { lambda: [{ filter: "lm_head", value: 0.1 }, { value: [0, 1] }] } }));
    expect(experts[0]!.layers.map((l) => l.alpha)).toEqual([0, 0.5, 1]);
    expect(experts[0]!.outsideAlpha).toBeUndefined();
    expect(experts[0]!.tensors.find((t) => t.name === "lm_head.weight")!.alpha).toBe(0.1);
    const list = await b.shape(recipeFor("task-arithmetic", {}, { models: refs("task-arithmetic").slice(0, 1), vary: { lambda: [0.25, 1] } }));
    expect(list.experts[0]!.outsideAlpha).toBe(0.25);
    expect(list.sentence).toBe("Layers take 25% to all of one.");
  });

  test("the card and recipe.json say it, and the recipe replays to the same bytes", async () => {
    const recipe = recipeFor("dare_ties", {}, { models: refs("dare_ties", [{ weight: [0.2, 1] }, { params: { density: 0.9 } }]), vary: { density: [0.1, 0.5] }, tensors: { exclude: ["*norm*", "lm_head*"] } });
    const { files, checkpoint } = await b.merge(recipe);
    const card = new TextDecoder().decode(files.get("README.md"));
    expect(card).toContain("weight 0.2 → 1 over depth");
    expect(card).toContain("- density differs between tensors: 0.1 → 0.5 over depth");
    expect(card).toContain("- density of two: 0.9");
    expect(card).toMatch(/- 8 tensors are left to the base: exclude \\\*norm\\\*, lm_head\\\*\./);
    const again = JSON.parse(new TextDecoder().decode(files.get("recipe.json"))) as Recipe;
    expect(again).toMatchObject({ vary: { density: [0.1, 0.5] }, tensors: { exclude: ["*norm*", "lm_head*"] }, models: [{ weight: [0.2, 1] }, { params: { density: 0.9 } }] });
    again.base.id = "base";
    again.models.forEach((m) => (m.id = m.name));
    expect(await tensorBytesOf((await b.merge(again)).checkpoint)).toEqual(await tensorBytesOf(checkpoint));
  });
});

describe("tensors that are left to the base", () => {
  test("are its bytes; the others those of the merge without patterns", async () => {
    const whole = await merged("dare_linear", {}, { models: refs("dare_linear") });
    const base = await tensorBytesOf(b.models.get("base")!);
    const chosen = await merged("dare_linear", {}, { models: refs("dare_linear"), tensors: { include: ["*.layers.*"], exclude: ["*layernorm*", "*.0.*"] } });
    for (const [name, bytes] of chosen) {
      const merges = name.includes(".layers.") && !name.includes("layernorm") && !name.includes(".0.");
      expect(bytes, name).toBe((merges ? whole : base).get(name));
      expect(whole.get(name)).not.toBe(base.get(name));
    }
    expect([...chosen.keys()]).toEqual([...whole.keys()]);
  });

  test("are not measured, and take no threshold with the others", async () => {
    const recipe = recipeFor("ties", { scope: "model" }, { models: refs("ties"), tensors: { include: ["*mlp*"] } });
    await b.measure(recipe);
    const { experts, complete } = await b.shape(recipe);
    expect(complete).toBe(true);
    expect(experts[0]!.tensors.every((t) => t.name.includes("mlp"))).toBe(true);
    expect(new Set(experts[0]!.tensors.map((t) => t.threshold)).size).toBe(1);
    expect((await b.shape(recipeFor("ties", { scope: "model" }, { models: refs("ties") }))).needsPass, "another pass").toBe(true);
  });

  test("need no counterpart in the other model", async () => {
    const { checkpoint: wide } = await randomModel({ ...TINY.mistral, num_hidden_layers: 3 }, "F32", 9);
    const name = "model.layers.1.input_layernorm.weight";
    // An architecture without a table: nothing else says what a shape should be.
    const unknown = (c: Checkpoint): Checkpoint => ({ ...c, config: { ...c.config, architectures: ["XForCausalLM"] } });
    const odd = { ...unknown(wide), tensors: new Map([...wide.tensors].map(([n, info]) => [n, n === name ? { ...info, shape: [2, 8] } : info] as const)) };
    const other = bench(undefined, { base: unknown(b.models.get("base")!), one: odd });
    await expect(other.merge(recipeFor("linear", {}, { models: refs("linear").slice(0, 1) }))).rejects.toThrow(/1 tensor has another shape.*leave these tensors to the base by a pattern/);
    const { checkpoint, report } = await other.merge(recipeFor("linear", {}, { models: refs("linear").slice(0, 1), tensors: { exclude: ["*.1.input_layernorm*"] } }));
    expect(report.checks.filter((c) => c.verdict !== "pass")).toEqual([]);
    expect((await tensorBytesOf(checkpoint)).get(name)).toBe((await tensorBytesOf(b.models.get("base")!)).get(name));
  });

  test("a pattern that fits nothing is refused, with what would", async () => {
    await expect(b.shape(recipeFor("linear", {}, { models: refs("linear"), tensors: { exclude: ["mlp"] } }))).rejects.toThrow(/the pattern "mlp" of tensors\.exclude fits none of the \d+ tensors, such as "model\.embed.*"\. .*"\*mlp\*"/);
  });

  test("all of them: the base", async () => {
    expect(await merged("linear", {}, { models: refs("linear"), tensors: { exclude: ["*"] } })).toEqual(await tensorBytesOf(b.models.get("base")!));
  });
});
