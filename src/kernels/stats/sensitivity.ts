import values from "../../../shaders/lib/values.wgsl?raw";
import wgsl from "../../../shaders/stats/sensitivity.wgsl?raw";
import type { Binding, Gpu } from "../../gpu/gpu";
import { defineKernel } from "../../gpu/kernel";
import { WEIGHT_DTYPE } from "../../gpu/weight";
import { groupsOf, type StoredPanel } from "./weigh";

export const sensitivity = defineKernel({
  name: "stats/sensitivity",
  wgsl,
  lib: [values],
  inputs: ["base", "gradient"],
  outputs: ["partials"],
  params: { n: "u32", group0: "u32" },
  constants: { BASE_DTYPE: 0, FIRST: 0 },
  workgroups: ({ n }) => groupsOf(n),
  cost: ({ n }) => 20 * n,
});

/** Room for the sums of a panel, f32 [groups]. */
export const sensitivityBytes = (elements: number): number => 4 * groupsOf(elements);

/** partials (+)= sums of |theta gradient| over the `elements` of a panel, see shaders/stats/sensitivity.wgsl. */
export function addSensitivity(gpu: Gpu, call: { theta: StoredPanel; gradient: Binding; partials: Binding; elements: number; first: boolean }): void {
  gpu.run(sensitivity, { base: call.theta.buffer, gradient: call.gradient, partials: call.partials }, { n: call.elements }, { BASE_DTYPE: WEIGHT_DTYPE[call.theta.dtype], FIRST: call.first ? 1 : 0 });
}

/** The sum of all partials, in float64 and in order. */
export async function finishSensitivity(gpu: Gpu, partials: GPUBuffer, elements: number): Promise<number> {
  let total = 0;
  for (const value of await gpu.readFloats(partials, groupsOf(elements))) total += value;
  return total;
}
