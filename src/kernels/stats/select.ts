import addCountsWgsl from "../../../shaders/stats/add_counts.wgsl?raw";
import countEqualWgsl from "../../../shaders/stats/count_equal.wgsl?raw";
import histogramWgsl from "../../../shaders/stats/histogram.wgsl?raw";
import maskWgsl from "../../../shaders/stats/mask.wgsl?raw";
import scanDigitWgsl from "../../../shaders/stats/scan_digit.wgsl?raw";
import scanEqualWgsl from "../../../shaders/stats/scan_equal.wgsl?raw";
import type { Gpu } from "../../gpu/gpu";
import { defineKernel } from "../../gpu/kernel";
import { cutOf, cutWithoutRank, maskOf, maskWords, popcount, rankOf, RankSelect, type Cut, type KeepRule } from "./trim";
import { DIGIT_BINS, groupsOf } from "./weigh";

export const histogram = defineKernel({
  name: "stats/histogram",
  wgsl: histogramWgsl,
  inputs: ["keys", "cut"],
  outputs: ["counts"],
  params: { n: "u32", group0: "u32" },
  constants: { DIGIT: 0 },
  workgroups: ({ n }) => Math.ceil(n / 8192),
  cost: ({ n }) => 60 * n,
});

export const addCounts = defineKernel({
  name: "stats/add_counts",
  wgsl: addCountsWgsl,
  inputs: ["digits"],
  outputs: ["counts"],
  params: {},
  workgroups: () => DIGIT_BINS / 256,
});

export const scanDigit = defineKernel({
  name: "stats/scan_digit",
  wgsl: scanDigitWgsl,
  inputs: [],
  outputs: ["cut", "counts"],
  params: { exact: "u32" },
  constants: { DIGIT: 0 },
  workgroups: () => 1,
});

export const countEqual = defineKernel({
  name: "stats/count_equal",
  wgsl: countEqualWgsl,
  inputs: ["keys", "cut"],
  outputs: ["counts"],
  params: { n: "u32", group0: "u32" },
  workgroups: ({ n }) => groupsOf(n),
  cost: ({ n }) => 10 * n,
});

export const scanEqual = defineKernel({
  name: "stats/scan_equal",
  wgsl: scanEqualWgsl,
  inputs: [],
  outputs: ["cut", "counts"],
  params: { groups: "u32" },
  workgroups: () => 1,
});

export const mask = defineKernel({
  name: "stats/mask",
  wgsl: maskWgsl,
  inputs: ["keys", "cut", "before"],
  outputs: ["words"],
  params: { n: "u32", dropZero: "u32", group0: "u32" },
  constants: { EXACT: 0 },
  workgroups: ({ n }) => groupsOf(n),
  cost: ({ n }) => 20 * n,
});

/** Keys on the GPU: f32, non-negative. */
export interface KeyPanel {
  keys: GPUBuffer;
  elements: number;
  /** How often each first digit occurs, where weighPanel counted it: one pass over the keys less. */
  digits?: GPUBuffer;
}

/** `cpu` reads the keys back; `gpu` keeps them there. The answer is the same: without a choice, software adapters take the CPU. */
export type SelectPath = "cpu" | "gpu";

const pathOf = (gpu: Gpu, path?: SelectPath): SelectPath => path ?? (gpu.software ? "cpu" : "gpu");
const countOf = (panels: readonly KeyPanel[]): number => panels.reduce((sum, p) => sum + p.elements, 0);

/** Keys of one readback: 4 Mi, so that 16 MiB come back at a time; a multiple of 32, so that masks are cut at words. */
const READ_KEYS = 4 * 1024 * 1024;
/** Keys up to this many are read once and held while they are selected from; more are read once for each walk. */
const HELD_KEYS = 4 * READ_KEYS;

/** The keys of one panel on the CPU, in order and in pieces. */
export async function* readKeys(gpu: Gpu, { keys, elements }: KeyPanel): AsyncGenerator<Float32Array> {
  for (let at = 0; at < elements; at += READ_KEYS) yield await gpu.readFloats(keys, Math.min(READ_KEYS, elements - at), 4 * at);
}

/** Walks over all keys on the CPU, panel by panel: held in memory when they are few, read again for each walk when not. */
async function keyWalk(gpu: Gpu, panels: readonly KeyPanel[]): Promise<(visit: (keys: Float32Array, panel: number) => void) => Promise<void>> {
  const timed = (visit: (keys: Float32Array, panel: number) => void, keys: Float32Array, i: number): void => {
    const end = gpu.clock?.begin("select");
    visit(keys, i);
    end?.(keys.byteLength);
  };
  const read = async (visit: (keys: Float32Array, panel: number) => void): Promise<void> => {
    for (const [i, panel] of panels.entries()) for await (const keys of readKeys(gpu, panel)) timed(visit, keys, i);
  };
  if (countOf(panels) > HELD_KEYS) return read;
  const held: [Float32Array, number][] = [];
  await read((keys, i) => void held.push([keys, i]));
  return async (visit) => held.forEach(([keys, i]) => timed(visit, keys, i));
}

async function selectByWalk(walk: Awaited<ReturnType<typeof keyWalk>>, rank: number): Promise<RankSelect> {
  const select = new RankSelect(rank);
  do await walk((keys) => select.add(keys));
  while (select.next());
  return select;
}

/** The key of ascending rank `rank` (0-based) over all panels together. */
export async function selectThreshold(gpu: Gpu, panels: readonly KeyPanel[], rank: number, path?: SelectPath): Promise<number> {
  return (await selectCut(gpu, panels, { kind: "atLeast", index: rank }, path)).threshold;
}

/** The cut of a rule over all panels together: of one tensor, or of several when trimming is per block. */
export async function selectCut(gpu: Gpu, panels: readonly KeyPanel[], rule: KeepRule, path?: SelectPath): Promise<Cut> {
  const rank = rankOf(rule, countOf(panels));
  if (rank === undefined) return cutWithoutRank(rule);
  if (pathOf(gpu, path) === "cpu") {
    return cutOf(rule, await selectByWalk(await keyWalk(gpu, panels), rank));
  }
  const cut = encodeSelect(gpu, panels, rank, rule.kind === "exact");
  const words = new Uint32Array((await gpu.read(cut, 32).finally(() => gpu.release(cut))).buffer);
  return { threshold: new Float32Array(words.buffer)[0]!, equal: words[3] === 0xffffffff ? Infinity : words[3]! };
}

/** One panel's part of a mask, on both sides. The caller releases `buffer`. */
export interface MaskPanel {
  words: Uint32Array;
  buffer: GPUBuffer;
}

export interface TrimResult {
  /** 0 when all are kept, Infinity when none is. */
  threshold: number;
  kept: number;
  masks: MaskPanel[];
}

/**
 * Selects, then makes the masks: one per panel, each starting at bit 0 (join them with appendBits). On the GPU path nothing
 * is read back between the passes. `cut` takes a cut found before (trimming per block or model) in place of a rule.
 */
export async function trimPanels(
  gpu: Gpu,
  panels: readonly KeyPanel[],
  options: { rule: KeepRule; dropZero?: boolean; path?: SelectPath } | { cut: Cut; dropZero?: boolean; path?: SelectPath; state?: { taken: number } },
): Promise<TrimResult> {
  const dropZero = options.dropZero ?? false;
  return pathOf(gpu, options.path) === "cpu" ? trimOnCpu(gpu, panels, options, dropZero) : trimOnGpu(gpu, panels, options, dropZero);
}

async function trimOnCpu(gpu: Gpu, panels: readonly KeyPanel[], options: Parameters<typeof trimPanels>[2], dropZero: boolean): Promise<TrimResult> {
  const walk = await keyWalk(gpu, panels);
  let cut: Cut;
  if ("cut" in options) cut = options.cut;
  else {
    const rank = rankOf(options.rule, countOf(panels));
    cut = rank === undefined ? cutWithoutRank(options.rule) : cutOf(options.rule, await selectByWalk(walk, rank));
  }
  const state = ("state" in options ? options.state : undefined) ?? { taken: 0 };
  const words = panels.map((panel) => new Uint32Array(maskWords(panel.elements)));
  const filled = panels.map(() => 0);
  await walk((keys, i) => {
    const bits = maskOf(keys, cut, dropZero, state);
    words[i]!.set(bits, filled[i]!);
    filled[i]! += bits.length;
  });
  const masks = words.map((part) => ({ words: part, buffer: gpu.upload(part, "mask") }));
  return { threshold: cut.threshold, kept: masks.reduce((sum, m) => sum + popcount(m.words), 0), masks };
}

async function trimOnGpu(gpu: Gpu, panels: readonly KeyPanel[], options: Parameters<typeof trimPanels>[2], dropZero: boolean): Promise<TrimResult> {
  const taken = "state" in options ? (options.state?.taken ?? 0) : 0;
  let cut: GPUBuffer;
  let exact: boolean;
  if ("cut" in options) {
    cut = uploadCut(gpu, options.cut, taken);
    exact = Number.isFinite(options.cut.equal);
  } else {
    const rank = rankOf(options.rule, countOf(panels));
    exact = options.rule.kind === "exact";
    cut = rank === undefined ? uploadCut(gpu, cutWithoutRank(options.rule), 0) : encodeSelect(gpu, panels, rank, exact);
  }
  const buffers = panels.map((panel) => encodeMask(gpu, panel, cut, exact, dropZero));
  try {
    return await readMasks(gpu, panels, buffers, await gpu.read(cut, 32), exact && "state" in options ? options.state : undefined);
  } catch (error) {
    gpu.release(...buffers);
    throw error;
  } finally {
    gpu.release(cut);
  }
}

async function readMasks(gpu: Gpu, panels: readonly KeyPanel[], buffers: readonly GPUBuffer[], cut: Uint8Array, state: { taken: number } | undefined): Promise<TrimResult> {
  const head = new Uint32Array(cut.buffer);
  if (state) state.taken = Math.min(head[4]!, head[3]!);
  const masks: MaskPanel[] = [];
  for (const [i, buffer] of buffers.entries()) masks.push({ words: new Uint32Array((await gpu.read(buffer, 4 * maskWords(panels[i]!.elements))).buffer), buffer });
  return { threshold: new Float32Array(head.buffer)[0]!, kept: masks.reduce((sum, m) => sum + popcount(m.words), 0), masks };
}

function uploadCut(gpu: Gpu, cut: Cut, taken: number): GPUBuffer {
  const words = new Uint32Array(8);
  new Float32Array(words.buffer)[0] = cut.threshold;
  words[3] = Math.min(cut.equal, 0xffffffff);
  words[4] = taken;
  return gpu.upload(words, "cut");
}

/** Three digits over all panels; the result stays in the returned buffer: threshold bits, rank left, equal keys, equal keys kept. */
function encodeSelect(gpu: Gpu, panels: readonly KeyPanel[], rank: number, exact: boolean): GPUBuffer {
  const cut = gpu.upload(Uint32Array.from([0, rank, 0, 0xffffffff, 0, 0, 0, 0]), "cut");
  const counts = gpu.alloc(4 * DIGIT_BINS, "digit counts");
  gpu.clear(counts, 4 * DIGIT_BINS);
  for (const DIGIT of [0, 1, 2]) {
    for (const { keys, elements, digits } of panels) {
      if (elements === 0) continue;
      if (DIGIT === 0 && digits) gpu.run(addCounts, { digits, counts }, {});
      else gpu.run(histogram, { keys, cut, counts }, { n: elements }, { DIGIT });
    }
    gpu.run(scanDigit, { cut, counts }, { exact: exact ? 1 : 0 }, { DIGIT });
  }
  gpu.release(counts);
  return cut;
}

function encodeMask(gpu: Gpu, panel: KeyPanel, cut: GPUBuffer, exact: boolean, dropZero: boolean): GPUBuffer {
  const { keys, elements } = panel;
  const words = gpu.alloc(Math.max(4, 4 * maskWords(elements)), "mask");
  const params = { n: elements, dropZero: dropZero ? 1 : 0 };
  if (!exact) {
    gpu.run(mask, { keys, cut, before: cut, words }, params, { EXACT: 0 });
    return words;
  }
  const groups = groupsOf(elements);
  const before = gpu.alloc(Math.max(4, 4 * groups), "equal keys");
  gpu.run(countEqual, { keys, cut, counts: before }, { n: elements });
  if (groups > 0) gpu.run(scanEqual, { cut, counts: before }, { groups });
  gpu.run(mask, { keys, cut, before, words }, params, { EXACT: 1 });
  gpu.release(before);
  return words;
}

