import values from "../../../shaders/lib/values.wgsl?raw";
import wgsl from "../../../shaders/stats/masked_delta.wgsl?raw";
import type { Binding, Gpu } from "../../gpu/gpu";
import { defineKernel } from "../../gpu/kernel";
import { WEIGHT_DTYPE } from "../../gpu/weight";
import { groupsOf, type StoredPanel } from "./weigh";

export const maskedDelta = defineKernel({
  name: "stats/masked_delta",
  wgsl,
  lib: [values],
  inputs: ["mask", "base", "tuned"],
  outputs: ["delta"],
  params: { n: "u32", group0: "u32" },
  constants: { BASE_DTYPE: 0, TUNED_DTYPE: 0, HAS_MASK: 1 },
  workgroups: ({ n }) => groupsOf(n),
  cost: ({ n }) => 20 * n,
});

/** m (theta - theta0) of one panel as f32 on the GPU; the caller releases it. `mask` starts at the panel's first element. */
export function maskedDeltaPanel(gpu: Gpu, input: { mask?: Binding | undefined; base: StoredPanel; tuned: StoredPanel; elements: number }): GPUBuffer {
  const delta = gpu.alloc(4 * input.elements, "masked delta");
  gpu.run(
    maskedDelta,
    { mask: input.mask ?? input.base.buffer, base: input.base.buffer, tuned: input.tuned.buffer, delta },
    { n: input.elements },
    { BASE_DTYPE: WEIGHT_DTYPE[input.base.dtype], TUNED_DTYPE: WEIGHT_DTYPE[input.tuned.dtype], HAS_MASK: input.mask ? 1 : 0 },
  );
  return delta;
}
