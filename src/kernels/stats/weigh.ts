import pairs from "../../../shaders/lib/pairs.wgsl?raw";
import values from "../../../shaders/lib/values.wgsl?raw";
import weighPair from "../../../shaders/lib/weigh_pair.wgsl?raw";
import maskedSumsWgsl from "../../../shaders/stats/masked_sums.wgsl?raw";
import weighWgsl from "../../../shaders/stats/weigh.wgsl?raw";
import weighCountWgsl from "../../../shaders/stats/weigh_count.wgsl?raw";
import type { FloatDtype } from "../../core/tensors";
import type { Binding, Gpu } from "../../gpu/gpu";
import { defineKernel } from "../../gpu/kernel";
import { WEIGHT_DTYPE } from "../../gpu/weight";

/** Elements of one workgroup of weigh, masked_sums, count_equal and mask. */
export const GROUP_ELEMENTS = 2048;
export const groupsOf = (n: number): number => Math.ceil(n / GROUP_ELEMENTS);
/** Values of the first digit of a selection, 11 bits; the other two have 10. */
export const DIGIT_BINS = 2048;

export const weigh = defineKernel({
  name: "stats/weigh",
  wgsl: weighWgsl,
  lib: [values, pairs, weighPair],
  inputs: ["fisher", "base", "tuned"],
  outputs: ["keys", "partials"],
  params: { n: "u32", group0: "u32" },
  constants: { BASE_DTYPE: 0, TUNED_DTYPE: 0, HAS_FISHER: 1, KEY: 0 },
  workgroups: ({ n }) => groupsOf(n),
  cost: ({ n }) => 40 * n,
});

/** The same with the first digit of the selection, see shaders/stats/weigh_count.wgsl. */
export const weighCount = defineKernel({
  ...weigh,
  name: "stats/weigh_count",
  wgsl: weighCountWgsl,
  lib: [values, pairs, weighPair],
  outputs: ["keys", "partials", "digits"],
  workgroups: ({ n }) => Math.ceil(n / (4 * GROUP_ELEMENTS)),
});

export const maskedSumsKernel = defineKernel({
  name: "stats/masked_sums",
  wgsl: maskedSumsWgsl,
  lib: [values, pairs],
  inputs: ["mask", "base", "tuned"],
  outputs: ["partials"],
  params: { n: "u32", group0: "u32" },
  constants: { BASE_DTYPE: 0, TUNED_DTYPE: 0, HAS_MASK: 1 },
  workgroups: ({ n }) => groupsOf(n),
  cost: ({ n }) => 30 * n,
});

/** Values on the GPU as stored. */
export interface StoredPanel {
  buffer: Binding;
  dtype: FloatDtype;
}

/** Sums of one panel, or of several added up. */
export interface WeighSums {
  /** sum F; 0 without a Fisher. */
  fisher: number;
  /** sum (theta - theta0)^2. */
  delta2: number;
  /** sum F delta^2; 0 without a Fisher. */
  joint: number;
  /** sum theta0^2. */
  base2: number;
}

export interface MaskedSums {
  kept: number;
  /** sum m delta^2. */
  kept2: number;
  /** sum m theta0 delta. */
  dot: number;
}

export interface Partials {
  buffer: GPUBuffer;
  groups: number;
}

/**
 * Encodes keys and sums of `elements` values of one panel; reads nothing back. `key` "fisher" is F |delta|, "magnitude" is
 * |delta|. Without a Fisher only "magnitude" makes sense. The caller releases `keys` (f32 [elements]) and hands
 * `partials` to finishWeigh, which releases it. `count` (when absent: not on software adapters, which select on the CPU)
 * also counts the first digit of the selection into `digits`, which a KeyPanel takes and the caller releases.
 */
export function weighPanel(
  gpu: Gpu,
  input: { fisher?: Binding; base: StoredPanel; tuned: StoredPanel; elements: number; key: "fisher" | "magnitude"; count?: boolean },
): { keys: GPUBuffer; partials: Partials; digits?: GPUBuffer } {
  const { fisher, base, tuned, elements, key, count = !gpu.software } = input;
  const groups = groupsOf(elements);
  const keys = gpu.alloc(4 * elements, "keys");
  const partials = gpu.alloc(16 * groups, "weigh partials");
  const digits = count ? gpu.alloc(4 * DIGIT_BINS, "first digits") : undefined;
  if (digits) gpu.clear(digits, 4 * DIGIT_BINS);
  gpu.run(
    digits ? weighCount : weigh,
    { fisher: fisher ?? base.buffer, base: base.buffer, tuned: tuned.buffer, keys, partials, ...(digits ? { digits } : {}) },
    { n: elements },
    { BASE_DTYPE: WEIGHT_DTYPE[base.dtype], TUNED_DTYPE: WEIGHT_DTYPE[tuned.dtype], HAS_FISHER: fisher ? 1 : 0, KEY: key === "magnitude" ? 1 : 0 },
  );
  return { keys, partials: { buffer: partials, groups }, ...(digits ? { digits } : {}) };
}

/** Adds up the partial sums of the panels of one tensor, in float64 and in order. */
export async function finishWeigh(gpu: Gpu, panels: readonly Partials[]): Promise<WeighSums> {
  const [fisher, delta2, joint, base2] = await addPartials(gpu, panels);
  return { fisher, delta2, joint, base2 };
}

/** Encodes the sums over the kept entries of one panel (`mask` undefined: over all). `mask` starts at the panel's first element. */
export function maskedSums(gpu: Gpu, input: { mask?: Binding; base: StoredPanel; tuned: StoredPanel; elements: number }): Partials {
  const { mask, base, tuned, elements } = input;
  const groups = groupsOf(elements);
  const buffer = gpu.alloc(16 * groups, "masked sums");
  gpu.run(
    maskedSumsKernel,
    { mask: mask ?? base.buffer, base: base.buffer, tuned: tuned.buffer, partials: buffer },
    { n: elements },
    { BASE_DTYPE: WEIGHT_DTYPE[base.dtype], TUNED_DTYPE: WEIGHT_DTYPE[tuned.dtype], HAS_MASK: mask ? 1 : 0 },
  );
  return { buffer, groups };
}

export async function finishMaskedSums(gpu: Gpu, panels: readonly Partials[]): Promise<MaskedSums> {
  const [kept, kept2, dot] = await addPartials(gpu, panels);
  return { kept, kept2, dot };
}

async function addPartials(gpu: Gpu, panels: readonly Partials[]): Promise<[number, number, number, number]> {
  const total: [number, number, number, number] = [0, 0, 0, 0];
  try {
    for (const { buffer, groups } of panels) {
      const values = await gpu.readFloats(buffer, 4 * groups);
      for (let i = 0; i < values.length; i++) total[i & 3]! += values[i]!;
    }
  } finally {
    gpu.release(...panels.map((p) => p.buffer));
  }
  return total;
}
