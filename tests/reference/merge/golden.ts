import { readFileSync } from "node:fs";
import type { FloatDtype, TensorSource } from "../../../src/core/tensors";
import { fromFloat32, toFloat32 } from "../../../src/formats/dtypes";
import { applyOpCpu, magnitudeKeys, voteBalance } from "../../../src/merge/cpu";
import { methodOf, resolveParams, type TensorFacts } from "../../../src/merge/methods";
import type { Mask, OpSlice, StoredBytes, TensorOp, TiesOp } from "../../../src/merge/ops";
import { studyTensor } from "../../../src/merge/studyTensor";
import { findCut, keepRule, maskOf } from "../../../src/merge/trim";
import { describeTensor } from "../../../src/model/roles";
import { readFixture } from "./fixture";

type Apply = (op: TensorOp, slice: OpSlice, outDtype: FloatDtype) => Uint8Array | Promise<Uint8Array>;

/** One tensor through a data-free method: masks from its trim plan, then its operation, on the CPU or as `apply` does it. */
export async function mergeTensor(id: string, given: Record<string, unknown>, base: Float32Array, experts: Float32Array[], weights = experts.map(() => 1), apply: Apply = applyOpCpu): Promise<Float32Array> {
  const method = methodOf(id);
  const params = resolveParams(method, given);
  const name = "model.layers.0.mlp.up_proj.weight";
  const tensor: TensorFacts = { ...describeTensor(name), name, elements: base.length };
  const stored = (v: Float32Array) => ({ bytes: fromFloat32(v, "F32"), dtype: "F32" as FloatDtype });
  const slice: OpSlice = { base: stored(base), experts: experts.map(stored), start: 0, elements: base.length };
  const plan = method.trimPlan(params, tensor, 1e9);
  const masks = slice.experts.map((e): Mask => {
    if (!plan) return undefined;
    const keys = magnitudeKeys(slice.base!, e);
    return maskOf(keys, findCut(keys, keepRule(keys.length, plan.rule, plan.share)), plan.dropZero);
  });
  const memory = (values: StoredBytes): TensorSource => ({
    tensors: new Map([[name, { name, dtype: values.dtype, shape: [base.length], elements: base.length, file: "", begin: 0, end: values.bytes.byteLength }]]),
    read: async (_, offset, length) => values.bytes.slice(offset, offset + length),
  });
  const wanted = method.study?.(params, tensor, experts.length);
  const side = (values: StoredBytes) => ({ source: memory(values), name });
  const found = wanted && (await studyTensor(wanted, { name, base: side(slice.base!), tuned: slice.experts.map(side), elements: base.length, cols: base.length }, new AbortController().signal));
  const context = { params, weights, tensor, alphas: method.coefficients?.(params, weights) ?? weights, masks, cols: base.length, rescale: weights.map(() => 1), ...(found ? { study: found.study } : {}) };
  const majority = method.needsMajority?.(params, experts.length) ? voteBalance(method.planTensor(context) as TiesOp, slice) : undefined;
  return toFloat32(await apply(method.planTensor({ ...context, ...(majority === undefined ? {} : { majority }) }), slice, "F32"), "F32");
}

const file = JSON.parse(readFileSync("tests/fixtures/mergekit-golden/golden.json", "utf8")) as { cases: { id: string; inputs: string[]; output: string; call: string }[] };
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
  return ["ties", { ...preset("mergekit"), density: argument(call, "density"), lambda, normalize: !call.includes("normalize=False") }];
}

/** The cases of mergekit-golden for the methods there are. */
export const goldenCases = file.cases
  .filter((c) => /^(task_arithmetic|ties|linear|l2s|slerp)/.test(c.id))
  .map(({ id, call, inputs, output }) => {
    const [base, ...experts] = inputs.map((name) => tensors.get(name)!.values);
    const [method, params] = recipeOf(id, call);
    const weights = /weights=\[([^\]]*)\]/.exec(call)?.[1]!.split(",").map(Number);
    return { output, method, params, base: base!, experts, weights, want: tensors.get(output)!.values };
  });
