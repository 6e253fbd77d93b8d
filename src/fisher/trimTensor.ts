import type { FloatDtype, TensorSource } from "../core/tensors";
import { rowPanels, type WeightPanel } from "../gpu/weight";
import { maskedDeltaPanel } from "../kernels/stats/maskedDelta";
import { trimPanels, type KeyPanel } from "../kernels/stats/select";
import { appendBits, maskWords, type Cut, type KeepRule } from "../kernels/stats/trim";
import { finishMaskedSums, finishWeigh, maskedSums, weighPanel, type StoredPanel, type WeighSums } from "../kernels/stats/weigh";
import type { BufferScope } from "../model/scope";
import { loadPanel } from "../model/weights";
import type { FisherTensor } from "./accumulate";
import { probeSums, type Probes } from "./probes";
import type { ExpertStats } from "./types";

/** One side of a change. `resident`: panels of it that are on the GPU already, and belong to somebody else. */
export interface ChangeSide {
  source: TensorSource;
  name: string;
  resident?: readonly WeightPanel[] | undefined;
}

/** A tensor of the output with both sides of its change, and perhaps its Fisher. */
export interface Change {
  base: ChangeSide;
  tuned: ChangeSide;
  rows: number;
  cols: number;
  /** Values of one slice where the change is walked on the CPU; 4 Mi when absent. */
  sliceElements?: number | undefined;
  fisher?: FisherTensor | undefined;
}

type LoadedSide = StoredPanel & { buffer: GPUBuffer; mine: boolean };
interface Loaded {
  base: LoadedSide;
  tuned: LoadedSide;
  elements: number;
  rows: number;
}

async function load(scope: BufferScope, change: Change, row0: number, rows: number, signal?: AbortSignal): Promise<Loaded> {
  const side = async ({ source, name, resident }: ChangeSide): Promise<LoadedSide> => {
    const dtype = source.tensors.get(name)!.dtype as FloatDtype;
    const there = resident?.find((panel) => panel.row0 === row0 && panel.rows >= rows);
    if (there) return { dtype, buffer: there.buffer, mine: false };
    return { dtype, buffer: scope.adopt((await loadPanel(scope.gpu, source, name, row0, rows, signal)).buffer), mine: true };
  };
  return { base: await side(change.base), tuned: await side(change.tuned), rows, elements: rows * change.cols };
}

const freeSides = (scope: BufferScope, ...sides: LoadedSide[]): void => scope.free(...sides.filter((s) => s.mine).map((s) => s.buffer));

/** Row panels of the change: those of its Fisher, or of a matrix of this size. */
function panelsOf(change: Change): { row0: number; rows: number; fisher?: GPUBuffer }[] {
  if (change.fisher) return change.fisher.panels.map((p) => ({ row0: p.row0, rows: p.rows, fisher: p.buffer }));
  return rowPanels(change.rows, change.cols);
}

/** The keys of a change, its plain sums, and the change itself with the sides that stayed on the GPU. */
export interface Weighed {
  keys: KeyPanel[];
  sums: WeighSums;
  change: Change;
  kept: GPUBuffer[];
}

/**
 * Keys and plain sums of a change. F in the sums is raw: times `scale` of the pass. Without a Fisher the keys are |delta|.
 * `keep`: sides that were read stay on the GPU for the trim, as far as the budget has room for the panel that comes next.
 * Keys and kept sides stay in the scope until releaseWeighed.
 */
export async function weighChange(scope: BufferScope, change: Change, key: "fisher" | "magnitude", keep: boolean, signal?: AbortSignal): Promise<Weighed> {
  const { gpu } = scope;
  const keys: KeyPanel[] = [];
  const partials = [];
  const kept: GPUBuffer[] = [];
  const resident = { base: [...(change.base.resident ?? [])], tuned: [...(change.tuned.resident ?? [])] };
  for (const panel of panelsOf(change)) {
    const sides = await load(scope, change, panel.row0, panel.rows, signal);
    const weighed = weighPanel(gpu, { ...(panel.fisher ? { fisher: panel.fisher } : {}), base: sides.base, tuned: sides.tuned, elements: sides.elements, key: panel.fisher ? key : "magnitude" });
    keys.push({ keys: scope.adopt(weighed.keys), elements: sides.elements, ...(weighed.digits ? { digits: scope.adopt(weighed.digits) } : {}) });
    partials.push({ ...weighed.partials, buffer: scope.adopt(weighed.partials.buffer) });
    for (const name of ["base", "tuned"] as const) {
      const side = sides[name];
      if (side.mine && keep && gpu.hasRoom(4 * sides.elements + 2 * side.buffer.size)) {
        kept.push(side.buffer);
        resident[name].push({ row0: panel.row0, rows: panel.rows, buffer: side.buffer });
      } else freeSides(scope, side);
    }
  }
  for (const { buffer } of partials) scope.hand(buffer);
  const sums = await finishWeigh(gpu, partials);
  return { keys, sums, kept, change: { ...change, base: { ...change.base, resident: resident.base }, tuned: { ...change.tuned, resident: resident.tuned } } };
}

export const releaseWeighed = (scope: BufferScope, { keys, kept }: Pick<Weighed, "keys" | "kept">): void => scope.free(...keys.flatMap((k) => [k.keys, k.digits]), ...kept);

/** The same change once the block that held its sides has left the GPU: they are read again. */
export const withoutResident = (change: Change): Change => ({ ...change, base: { ...change.base, resident: undefined }, tuned: { ...change.tuned, resident: undefined } });

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
    freeSides(scope, sides.base, sides.tuned);
    scope.free(panelMask?.buffer);
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
