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
  constants: { BASE_DTYPE: 0 },
  workgroups: ({ n }) => groupsOf(n),
  cost: ({ n }) => 20 * n,
});

/** Room for the sums of a panel and one sample, f32 [groups], as far as the next sample's begin. */
export const sensitivityBytes = (elements: number): number => Math.ceil((4 * groupsOf(elements)) / 256) * 256;

/** partials = sums of |theta gradient| over the `elements` of a panel, see shaders/stats/sensitivity.wgsl. */
export function addSensitivity(gpu: Gpu, call: { theta: StoredPanel; gradient: Binding; partials: Binding; elements: number }): void {
  gpu.run(sensitivity, { base: call.theta.buffer, gradient: call.gradient, partials: call.partials }, { n: call.elements }, { BASE_DTYPE: WEIGHT_DTYPE[call.theta.dtype] });
}

/** `from` and all partials of the samples, added in float64 and in order. */
export async function finishSensitivity(gpu: Gpu, from: number, partials: GPUBuffer, elements: number, samples: number): Promise<number> {
  const stride = sensitivityBytes(elements) / 4;
  const groups = groupsOf(elements);
  const values = await gpu.readFloats(partials, stride * samples);
  let total = from;
  for (let i = 0; i < values.length; i++) if (i % stride < groups) total += values[i]!;
  return total;
}
