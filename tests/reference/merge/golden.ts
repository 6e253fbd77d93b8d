import { readFileSync } from "node:fs";
import type { Recipe } from "../../../src/core/recipe";
import { methodOf } from "../../../src/merge/methods";
import { readFixture } from "./fixture";

const file = JSON.parse(readFileSync("tests/fixtures/mergekit-golden/golden.json", "utf8")) as { cases: { id: string; shape: number[]; inputs: string[]; output: string; call: string }[] };
const tensors = readFixture("mergekit-golden/golden.safetensors");
const preset = (name: string) => methodOf("ties").presets.find((p) => p.id === name)!.params;
const argument = (call: string, name: string) => (new RegExp(`${name}=([\\d.]+)`).exec(call) ?? [])[1];

/** The arguments of the reference code in our words. */
function recipeOf(id: string, call: string): [method: string, params: Record<string, unknown>] {
  const lambda = argument(call, "lam") ?? 1;
  if (id.startsWith("task_arithmetic")) return ["task-arithmetic", { lambda, normalize: call.includes("normalize=True") }];
  if (id.startsWith("linear")) return ["linear", { normalize: call.includes("normalize=True") }];
  if (id.startsWith("slerp")) return ["slerp", { t: Number(/t=([\d.]+), whole/.exec(call)![1]) }];
  if (id.startsWith("ties_official")) return ["ties", { ...preset("official"), density: argument(call, "K") }];
  if (id.startsWith("l2s")) return ["ties", { ...preset("l2s"), density: 1 - Number(argument(call, "param_value_mask_rate")) }];
  const mergekit = { ...preset("mergekit"), density: argument(call, "density") };
  // A sparsified change is what TIES adds for one model.
  if (id.startsWith("sparsify_magnitude")) return ["ties", { ...mergekit, rescale: call.includes("rescale_norm=l1") }];
  return ["ties", { ...mergekit, lambda, normalize: !call.includes("normalize=False") }];
}

/** The cases of mergekit-golden for methods that need no texts: all but AIM. */
export const goldenCases = file.cases
  .filter((c) => !c.id.startsWith("aim"))
  .map(({ id, call, shape, inputs, output }) => {
    const [base, ...experts] = inputs.map((name) => tensors.get(name)!.values);
    const [method, given] = recipeOf(id, call);
    const found = tensors.get(output)!.values;
    const want = id.startsWith("sparsify") ? Float64Array.from(found, (v, i) => v + base![i]!) : found;
    return { output, method, params: given as Recipe["params"], shape, base: base!, experts, weights: /weights=\[([^\]]*)\]/.exec(call)?.[1]!.split(",").map(Number), want };
  });
