import { modelSlices, SLICE_ELEMENTS, type ModelSide } from "../fisher/slices";
import type { MaskStudy, Study, TensorStudy } from "../fisher/study";
import type { ExpertStats } from "../fisher/types";
import { changes, magnitudes, makeMask, makerState, type MaskMaker } from "../kernels/stats/maskMaker";
import { breadcrumbsCounts, drawKey, fusionKeys, fusionRanks, fusionThreshold, l1Factor, varianceKeys } from "../kernels/stats/sparsify";
import { cutOf, cutWithoutRank, maskBit, rankOf, RankSelect, type Cut, type KeepRule } from "../kernels/stats/trim";
import { TOUCHED } from "./ops";

/** A tensor of the base and of each model, as rows of `cols` entries; a vector is one row. */
export interface StudySides {
  name: string;
  base: ModelSide;
  tuned: ModelSide[];
  elements: number;
  cols: number;
  /** Values per slice, were there two models; whole rows, at least one. 4 Mi when absent. */
  sliceElements?: number | undefined;
}

export interface Studied {
  study: TensorStudy;
  /** What is known of each model's mask; empty where there is none. */
  experts: Pick<ExpertStats, "kept" | "delta2KeptSum" | "dotBaseKept" | "threshold" | "maker" | "rescale">[];
}

interface ModelSlice {
  start: number;
  base: Float32Array;
  tuned: Float32Array[];
}

/** Base and models of a tensor, slice by slice; as many values at a time as a walk over two models holds. */
async function* slicesOf({ base, tuned, elements, cols, sliceElements = SLICE_ELEMENTS }: StudySides, signal: AbortSignal): AsyncGenerator<ModelSlice> {
  for await (const { at, values } of modelSlices([base, ...tuned], { elements, cols, sliceElements: (2 * sliceElements) / (1 + tuned.length) }, signal))
    yield { start: at, base: values[0]!, tuned: values.slice(1) };
}

/** Reads what a study asks of one tensor. Throws "cancelled". */
export async function studyTensor(study: Study, sides: StudySides, signal: AbortSignal): Promise<Studied> {
  switch (study.kind) {
    case "gram":
      return { study: await gram(study, sides, signal), experts: [] };
    case "touched":
      return { study: { touched: await touched(sides, signal) }, experts: [] };
    case "masks": {
      const makers: (MaskMaker | undefined)[] = [];
      for (let k = 0; k < sides.tuned.length; k++) {
        const masks = study.models ? study.models[k] : study.masks;
        makers.push(masks && (await makerOf(masks, sides, k, signal)));
      }
      return { study: {}, experts: await masked(makers, sides, study.rescale, signal) };
    }
    case "variance": {
      const maker: MaskMaker | undefined = study.share >= 1 ? undefined : { kind: "variance", cut: await varianceCut(study.share, sides, signal) };
      const experts = await masked(sides.tuned.map(() => maker), sides, "none", signal);
      return { study: { delta2Means: experts.map((e) => e.delta2KeptSum! / sides.elements) }, experts: maker ? experts : [] };
    }
    case "fusion": {
      const threshold = await fusionCut(sides, signal);
      return { study: {}, experts: await masked([{ kind: "fusion", threshold, cols: sides.cols }], sides, "none", signal).then((all) => all.map((e) => ({ ...e, threshold }))) };
    }
  }
}

/** Lines along the first dimension: as many as entries in all the others, which for a vector is one. */
function columnsOf({ base }: StudySides): number {
  return base.source.tensors.get(base.name)!.shape.slice(1).reduce((a, b) => a * b, 1);
}

async function gram({ of, by }: Study & { kind: "gram" }, given: StudySides, signal: AbortSignal): Promise<TensorStudy> {
  const sides = by === "column" ? { ...given, cols: columnsOf(given) } : given;
  const count = sides.tuned.length + (of === "models" ? 1 : 0);
  const pairs = Array.from({ length: count }, (_, i) => Array.from({ length: count - i }, (_, j) => [i, i + j] as const)).flat();
  const { cols } = sides;
  const sums = pairs.map(() => new Float64Array(by === "column" ? cols : by === "row" ? sides.elements / cols : 1));
  for await (const { start, base, tuned } of slicesOf(sides, signal)) {
    const vectors = of === "models" ? [base, ...tuned] : tuned.map((t) => changes(base, t));
    pairs.forEach(([i, j], p) => {
      const [a, b, into] = [vectors[i]!, vectors[j]!, sums[p]!];
      for (let row = start / cols, at = 0; at < a.length; row++, at += cols) {
        if (by === "column") for (let c = 0; c < cols; c++) into[c]! += a[at + c]! * b[at + c]!;
        else {
          let sum = 0;
          for (let c = 0; c < cols; c++) sum += a[at + c]! * b[at + c]!;
          into[by === "row" ? row : 0]! += sum;
        }
      }
    });
  }
  if (by !== "tensor") return { lineGram: sums };
  const matrix = Array.from({ length: count }, () => new Array<number>(count).fill(0));
  pairs.forEach(([i, j], p) => (matrix[i]![j] = matrix[j]![i] = sums[p]![0]!));
  return { gram: matrix };
}

async function touched(sides: StudySides, signal: AbortSignal): Promise<{ alone: number; shared: number }[]> {
  const counts = sides.tuned.map(() => ({ alone: 0, shared: 0 }));
  const least = Math.fround(TOUCHED);
  for await (const { base, tuned } of slicesOf(sides, signal)) {
    const moved = tuned.map((t) => magnitudes(base, t));
    const models = new Uint8Array(base.length);
    for (const d of moved) for (let i = 0; i < d.length; i++) if (d[i]! > least) models[i]!++;
    moved.forEach((d, k) => {
      const count = counts[k]!;
      for (let i = 0; i < d.length; i++) if (d[i]! > least) count[models[i]! > 1 ? "shared" : "alone"]++;
    });
  }
  return counts;
}

async function makerOf(study: MaskStudy, sides: StudySides, k: number, signal: AbortSignal): Promise<MaskMaker> {
  if (study.kind === "random") return { kind: "random", key: drawKey(study.seed, k, sides.name), keep: study.keep };
  if (study.kind === "ranks") return { kind: "ranks", key: drawKey(study.seed, k, sides.name), density: study.density, epsilon: study.epsilon, cols: sides.cols };
  const { top, upTo } = breadcrumbsCounts(sides.elements, study.density, study.gamma);
  const keys = ({ base, tuned }: ModelSlice): Float32Array => magnitudes(base, tuned[k]!);
  const [outer, inner] = await cuts([{ kind: "exact", count: upTo }, { kind: "exact", count: top }], keys, sides, signal);
  return { kind: "band", outer: outer!, inner: inner! };
}

/** The cuts of several rules over one tensor's keys, in two walks together. */
async function cuts(rules: KeepRule[], keysOf: (slice: ModelSlice) => Float32Array, sides: StudySides, signal: AbortSignal): Promise<Cut[]> {
  const n = sides.elements;
  const selects = rules.map((rule) => {
    const whole: KeepRule = rule.kind === "exact" && rule.count >= n ? { kind: "all" } : rule;
    const rank = rankOf(whole, n);
    return { rule: whole, select: rank === undefined ? undefined : new RankSelect(rank) };
  });
  const searching = selects.flatMap((s) => s.select ?? []);
  for (let more = searching.length > 0; more; ) {
    for await (const slice of slicesOf(sides, signal)) {
      const keys = keysOf(slice);
      for (const select of searching) select.add(keys);
    }
    more = searching.map((s) => s.next()).includes(true);
  }
  return selects.map(({ rule, select }) => (select ? cutOf(rule, select) : cutWithoutRank(rule)));
}

/** SCE keeps int(share x entries whose variance is above 0) of them (METHODS 9). */
async function varianceCut(share: number, sides: StudySides, signal: AbortSignal): Promise<Cut> {
  const keys = (slice: ModelSlice): Float32Array => varianceKeys(slice.tuned.map((t) => changes(slice.base, t)));
  let varying = 0;
  for await (const slice of slicesOf(sides, signal)) for (const key of keys(slice)) if (key > 0) varying++;
  const [cut] = await cuts([{ kind: "exact", count: Math.trunc(varying * share) }], keys, sides, signal);
  return cut!;
}

async function fusionCut(sides: StudySides, signal: AbortSignal): Promise<number> {
  const ranks = fusionRanks(sides.elements);
  const keys = ({ base, tuned }: ModelSlice): Float32Array => fusionKeys(base, tuned[0]!, sides.cols);
  const [median, q1, q3] = await cuts([ranks.median, ranks.q1, ranks.q3].map((index) => ({ kind: "atLeast", index }) as const), keys, sides, signal);
  return fusionThreshold({ median: median!.threshold, q1: q1!.threshold, q3: q3!.threshold });
}

/** What each mask keeps of its change, and the factor that gives |delta|_1 back. */
async function masked(makers: readonly (MaskMaker | undefined)[], sides: StudySides, rescale: "l1" | "none", signal: AbortSignal): Promise<Studied["experts"]> {
  const states = makers.map(() => makerState());
  const sums = makers.map(() => ({ kept: 0, delta2KeptSum: 0, dotBaseKept: 0, whole: 0, left: 0 }));
  for await (const { start, base, tuned } of slicesOf(sides, signal))
    makers.forEach((maker, k) => {
      const mask = maker && makeMask(maker, base, tuned, k, start, states[k]!);
      const sum = sums[k]!;
      const theta = tuned[k]!;
      for (let i = 0; i < base.length; i++) {
        const d = Math.fround(theta[i]! - base[i]!);
        sum.whole += Math.abs(d);
        if (mask && !maskBit(mask, i)) continue;
        sum.kept++;
        sum.left += Math.abs(d);
        sum.delta2KeptSum += d * d;
        sum.dotBaseKept += base[i]! * d;
      }
    });
  return sums.map(({ whole, left, ...kept }, k) => ({
    ...kept,
    ...(makers[k] ? { maker: makers[k] } : {}),
    ...(rescale === "l1" ? { rescale: l1Factor(whole, left) } : {}),
  }));
}
