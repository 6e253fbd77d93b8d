import type { FloatDtype, TensorSource } from "../core/tensors";
import { rowPanels } from "../gpu/weight";
import { maskedDeltaPanel } from "../kernels/stats/maskedDelta";
import { trimPanels, type KeyPanel } from "../kernels/stats/select";
import { appendBits, maskWords, type Cut, type KeepRule } from "../kernels/stats/trim";
import { finishMaskedSums, finishWeigh, maskedSums, weighPanel, type StoredPanel, type WeighSums } from "../kernels/stats/weigh";
import type { BufferScope } from "../model/scope";
import { loadPanel } from "../model/weights";
import type { FisherTensor } from "./accumulate";
import { probeSums, type Probes } from "./probes";
import type { ExpertStats } from "./types";

/** A tensor of the output with both sides of its change, and perhaps its Fisher. */
export interface Change {
  base: { source: TensorSource; name: string };
  tuned: { source: TensorSource; name: string };
  rows: number;
  cols: number;
  fisher?: FisherTensor | undefined;
}

interface Loaded {
  base: StoredPanel & { buffer: GPUBuffer };
  tuned: StoredPanel & { buffer: GPUBuffer };
  elements: number;
  rows: number;
}

async function load(scope: BufferScope, change: Change, row0: number, rows: number, signal?: AbortSignal): Promise<Loaded> {
  const side = async ({ source, name }: Change["base"]): Promise<Loaded["base"]> => {
    const dtype = source.tensors.get(name)!.dtype as FloatDtype;
    return { dtype, buffer: scope.adopt((await loadPanel(scope.gpu, source, name, row0, rows, signal)).buffer) };
  };
  return { base: await side(change.base), tuned: await side(change.tuned), rows, elements: rows * change.cols };
}

/** Row panels of the change: those of its Fisher, or of a matrix of this size. */
function panelsOf(change: Change): { row0: number; rows: number; fisher?: GPUBuffer }[] {
  if (change.fisher) return change.fisher.panels.map((p) => ({ row0: p.row0, rows: p.rows, fisher: p.buffer }));
  return rowPanels(change.rows, change.cols);
}

/**
 * Keys and plain sums of a change. F in the sums is raw: times `scale` of the pass. The keys stay in the scope until they are freed.
 * Without a Fisher the keys are |delta|.
 */
export async function weighChange(scope: BufferScope, change: Change, key: "fisher" | "magnitude", signal?: AbortSignal): Promise<{ keys: KeyPanel[]; sums: WeighSums }> {
  const keys: KeyPanel[] = [];
  const partials = [];
  for (const panel of panelsOf(change)) {
    const sides = await load(scope, change, panel.row0, panel.rows, signal);
    const weighed = weighPanel(scope.gpu, { ...(panel.fisher ? { fisher: panel.fisher } : {}), base: sides.base, tuned: sides.tuned, elements: sides.elements, key: panel.fisher ? key : "magnitude" });
    keys.push({ keys: scope.adopt(weighed.keys), elements: sides.elements });
    partials.push({ ...weighed.partials, buffer: scope.adopt(weighed.partials.buffer) });
    scope.free(sides.base.buffer, sides.tuned.buffer);
  }
  for (const { buffer } of partials) scope.hand(buffer);
  return { keys, sums: await finishWeigh(scope.gpu, partials) };
}

export const releaseKeys = (scope: BufferScope, keys: readonly KeyPanel[]): void => scope.free(...keys.map((k) => k.keys));

/**
 * The mask of a change under a rule or a cut, and the sums over what is kept. `trim` undefined keeps everything and makes
 * no mask. `probes`: also the sums of the norm calibration over all of them. The mask is one bit per element of the whole tensor.
 */
export async function trimChange(
  scope: BufferScope,
  change: Change,
  keys: readonly KeyPanel[],
  trim: { rule: KeepRule; dropZero: boolean } | { cut: Cut; dropZero: boolean; state: { taken: number } } | undefined,
  probes: readonly Probes[] | undefined,
  signal?: AbortSignal,
): Promise<{ stats: Required<Pick<ExpertStats, "delta2KeptSum" | "dotBaseKept">> & Pick<ExpertStats, "kept" | "threshold" | "probe">; mask: Uint32Array | undefined }> {
  const { gpu } = scope;
  const panels = panelsOf(change);
  const total = change.rows * change.cols;
  const trimmed = trim ? await trimPanels(gpu, keys, trim) : undefined;
  for (const { buffer } of trimmed?.masks ?? []) scope.adopt(buffer);
  const mask = trimmed ? new Uint32Array(maskWords(total)) : undefined;
  const partials = [];
  const probe = probes ? { base2: 0, dot: 0, kept2: 0 } : undefined;
  for (const [i, panel] of panels.entries()) {
    const sides = await load(scope, change, panel.row0, panel.rows, signal);
    const panelMask = trimmed?.masks[i];
    if (panelMask) appendBits(mask!, panel.row0 * change.cols, panelMask.words, sides.elements);
    const part = maskedSums(gpu, { ...(panelMask ? { mask: panelMask.buffer } : {}), base: sides.base, tuned: sides.tuned, elements: sides.elements });
    partials.push({ ...part, buffer: scope.adopt(part.buffer) });
    if (probe) {
      const delta = scope.adopt(maskedDeltaPanel(gpu, { mask: panelMask?.buffer, base: sides.base, tuned: sides.tuned, elements: sides.elements }));
      for (const inputs of probes!) {
        const sums = await probeSums(gpu, inputs, change.cols, { rows: panel.rows, base: sides.base.buffer, dtype: sides.base.dtype, delta });
        for (const key of ["base2", "dot", "kept2"] as const) probe[key] += sums[key];
      }
      scope.free(delta);
    }
    scope.free(sides.base.buffer, sides.tuned.buffer, panelMask?.buffer);
  }
  for (const { buffer } of partials) scope.hand(buffer);
  const sums = await finishMaskedSums(gpu, partials);
  return {
    stats: {
      delta2KeptSum: sums.kept2,
      dotBaseKept: sums.dot,
      ...(trimmed ? { kept: trimmed.kept, threshold: trimmed.threshold } : {}),
      ...(probe ? { probe } : {}),
    },
    mask,
  };
}
