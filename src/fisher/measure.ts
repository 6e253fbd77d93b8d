import { StudioError, throwIfCancelled } from "../core/errors";
import type { Checkpoint } from "../core/tensors";
import type { Gpu } from "../gpu/gpu";
import { keepRule, cutWithoutRank, cutOf, rankOf, RankSelect, type Cut } from "../kernels/stats/trim";
import { readKeys, selectCut, selectThreshold, type KeyPanel } from "../kernels/stats/select";
import { createDecoder } from "../model/decoder";
import type { ModelConfig } from "../model/config";
import type { GradientVisitor } from "../model/gradients";
import type { TensorRole } from "../model/roles";
import { BufferScope } from "../model/scope";
import { MAX_BINDING_BYTES } from "../gpu/gpu";
import { fisherVisitor, type FisherTensor } from "./accumulate";
import { expandTokens, labelSampler } from "./labels";
import { changeSums, keptSums, magnitudeCut } from "./magnitude";
import { gaussianProbes, type Probes } from "./probes";
import { releaseWeighed, trimChange, weighChange, withoutResident, type Change, type Weighed } from "./trimTensor";
import type { ExpertStats, MaskStore, TensorStats, TrimOptions } from "./types";

/** A tensor of the output that is merged: where its two sides are, and what it is. */
export interface PassOutput {
  name: string;
  role: TensorRole;
  shape: number[];
  elements: number;
  baseName: string;
  tunedNames: string[];
}

/** How a pass keeps within its budgets; none of it changes a byte but `panelBytes`, whose panels are sums of their own. */
export interface PassMemory {
  /** No panel of weights, of F or of keys is larger; the binding limit when absent. */
  panelBytes?: number | undefined;
  /** Block inputs wait in host memory for the backward pass. */
  inputsOnHost?: boolean | undefined;
  /** Values of one slice where changes are walked on the CPU. */
  sliceElements?: number | undefined;
}

export interface FisherPass {
  base: Checkpoint;
  experts: Checkpoint[];
  /** Where gradients are taken: the base, or the first fine-tuned model (METHODS A36). */
  at: "base" | "finetuned";
  config: ModelConfig;
  sequences: number[][];
  outputs: PassOutput[];
  trim: TrimOptions | undefined;
  trimEmbed: boolean;
  probes: "none" | "gaussian" | "activations";
  square: "sequence" | "token";
  labels: "self" | "sampled";
  seed: number;
  masks: MaskStore;
  signal: AbortSignal;
  memory?: PassMemory | undefined;
  onTensor(stats: TensorStats): void;
  /** Called for each block of each of the passes, in order. */
  onForwardBlock?(layer: number): void;
  onBackwardBlock?(layer: number): void;
  /** Element-wise F of a tensor, f32 values in row-major order, for who wants to keep it. */
  onFisher?(name: string, firstElement: number, values: Float32Array): Promise<void>;
}

/** 2^12: gradients far below 1 square to less than f32 holds otherwise; exact, undone in the scalars (PERFORMANCE 5). */
const LOSS_SCALE = 4096;

/**
 * The Fisher pass: forward and backward over the sequences, and while a block is on the GPU, F, the change, w = F |delta|,
 * the exact threshold and the mask of each of its tensors. F itself is not kept.
 *   F = mean over sequences of (d loss / d theta)^2        FIM-Merging eq. 7
 * Trimming over the whole model needs the threshold before any mask, so it runs the pass three times.
 * Returns the loss of each sequence. Throws "unknown-architecture", "gpu-limit", "gpu-lost", "cancelled".
 */
export async function fisherPass(gpu: Gpu, pass: FisherPass): Promise<{ losses: number[] }> {
  const cuts = pass.trim?.scope === "model" ? await modelCuts(gpu, pass, pass.trim) : undefined;
  return onePass(gpu, pass, { kind: "trim", cuts });
}

/** What the pass does with the keys of a tensor. */
type Mode = { kind: "trim"; cuts: ModelCut[] | undefined } | { kind: "count"; selects: RankSelect[][] };

/** A cut with the key just below it, for the quantile that is reported. */
interface ModelCut {
  cut: Cut;
  below: number | undefined;
}

/**
 * Rank of the key below the threshold, where numpy's percentile lies strictly between the two; undefined where it is the
 * threshold itself. The mask needs only the threshold (METHODS A23); the report shows the percentile.
 */
function rankBelow(n: number, trim: TrimOptions): number | undefined {
  const position = (1 - trim.share) * (n - 1);
  const rank = Math.ceil(position - 1e-9);
  return trim.rule === "numpy" && rank > 0 && rank - position > 1e-9 ? rank - 1 : undefined;
}

/** np.percentile(w, 100 (1 - share)) from the smallest kept key and the one below. */
function percentile(n: number, trim: TrimOptions, threshold: number, below: number | undefined): number {
  if (below === undefined) return threshold;
  const position = (1 - trim.share) * (n - 1);
  return below + (threshold - below) * (position - Math.floor(position));
}

/** Which entries share a threshold with those of this tensor; undefined: it is not trimmed. A vector always has its own. */
function scopeOf(role: TensorRole, trim: TrimOptions | undefined): TrimOptions["scope"] | undefined {
  if (!trim) return undefined;
  if (role.inBlock2d) return trim.scope;
  return trim.vectors && (role.isNorm || role.isBias) && role.layer !== undefined ? "tensor" : undefined;
}

async function modelCuts(gpu: Gpu, pass: FisherPass, trim: TrimOptions): Promise<ModelCut[]> {
  const n = modelElements(pass.outputs, trim);
  const rule = keepRule(n, trim.rule, trim.share);
  const ranks = [rankOf(rule, n), rankBelow(n, trim)].filter((r) => r !== undefined);
  if (rankOf(rule, n) === undefined) return pass.experts.map(() => ({ cut: cutWithoutRank(rule), below: undefined }));
  const selects = pass.experts.map(() => ranks.map((rank) => new RankSelect(rank)));
  for (let more = true; more; ) {
    await onePass(gpu, { ...pass, probes: "none", trimEmbed: false, onTensor: () => undefined }, { kind: "count", selects });
    more = selects.flat().map((s) => s.next()).includes(true);
  }
  return selects.map(([at, below]) => ({ cut: cutOf(rule, at!), below: below?.threshold }));
}

const modelElements = (outputs: readonly PassOutput[], trim: TrimOptions): number => outputs.reduce((sum, o) => sum + (scopeOf(o.role, trim) === "model" ? o.elements : 0), 0);

async function keyBelow(gpu: Gpu, keys: readonly KeyPanel[], n: number, trim: TrimOptions): Promise<number | undefined> {
  const rank = rankBelow(n, trim);
  return rank === undefined ? undefined : selectThreshold(gpu, keys, rank);
}

async function onePass(gpu: Gpu, pass: FisherPass, mode: Mode): Promise<{ losses: number[] }> {
  const { signal, trim, experts } = pass;
  const panelBytes = pass.memory?.panelBytes ?? MAX_BINDING_BYTES;
  const gradientModel = pass.at === "base" ? pass.base : experts[0]!;
  const byName = new Map<string, PassOutput[]>();
  for (const output of pass.outputs) {
    const name = pass.at === "base" ? output.baseName : output.tunedNames[0]!;
    byName.set(name, [...(byName.get(name) ?? []), output]);
  }
  const decoder = createDecoder(gpu, gradientModel, pass.config, { panelBytes, inputsOnHost: pass.memory?.inputsOnHost });
  const { sequences, weights, regroup } = pass.square === "token" ? expandTokens(pass.sequences) : { sequences: pass.sequences, weights: undefined, regroup: (losses: number[]) => losses };
  const sampler = pass.labels === "sampled" ? labelSampler(gpu, sequences, pass.seed) : undefined;
  const scale = 1 / (sequences.length * LOSS_SCALE * LOSS_SCALE);

  /** Everything this pass holds on the GPU besides the decoder's own; given back whatever happens. */
  const buffers = new BufferScope(gpu);
  const probes = new Map<number, Probes[]>();
  const gaussian = (K: number): Probes[] => {
    let made = probes.get(K);
    if (!made) {
      const probe = gaussianProbes(gpu, K, pass.seed);
      buffers.adopt(probe.buffer);
      probes.set(K, (made = [probe]));
    }
    return made;
  };
  /** Inputs of the linear layer whose Fisher is being finished, batch by batch. */
  let inputs: Probes[] | undefined;
  const probesOf = (role: TensorRole, K: number): Probes[] | undefined => {
    if (!role.inBlock2d || pass.probes === "none") return undefined;
    return pass.probes === "gaussian" ? gaussian(K) : inputs;
  };

  /** Tensors whose trim waits for the rest of their block. */
  let waiting: ({ output: PassOutput; stats: TensorStats; expert: number } & Pick<Weighed, "change" | "keys" | "kept">)[] = [];
  const partial = new Map<string, TensorStats>();
  const taken = experts.map(() => ({ taken: 0 }));

  const changeOf = (output: PassOutput, expert: number, fisher: FisherTensor | undefined): Change => {
    const cols = output.shape.length >= 2 ? output.shape.at(-1)! : output.elements;
    // The weight whose gradient was taken is on the GPU already: it is the base, or the first fine-tuned model.
    const resident = fisher?.weight?.panels;
    return {
      base: { source: pass.base, name: output.baseName, resident: pass.at === "base" ? resident : undefined },
      tuned: { source: experts[expert]!, name: output.tunedNames[expert]!, resident: pass.at === "finetuned" && expert === 0 ? resident : undefined },
      rows: output.elements / cols, cols, fisher, sliceElements: pass.memory?.sliceElements,
    };
  };
  /** `group`: how many entries share the threshold, and the key below it. */
  const finishTrim = async (entry: (typeof waiting)[number], how: Parameters<typeof trimChange>[3], K: number, group?: { n: number; below: number | undefined }): Promise<void> => {
    const { output, stats, expert, change, keys } = entry;
    const { stats: kept, mask } = await trimChange(buffers, change, keys, how, probesOf(output.role, K), signal);
    releaseWeighed(buffers, entry);
    Object.assign(stats.experts[expert]!, kept);
    if (kept.threshold !== undefined && group) stats.experts[expert]!.threshold = percentile(group.n, trim!, kept.threshold, group.below) * (trim!.key === "fisher" ? scale : 1);
    if (mask) await pass.masks.put(output.name, expert, mask);
  };

  const onTensor = async (tensor: FisherTensor): Promise<void> => {
    throwIfCancelled(signal);
    if (pass.onFisher && mode.kind === "trim" && byName.has(tensor.name)) await keepFisher(gpu, tensor, scale, pass.onFisher);
    for (const output of byName.get(tensor.name) ?? []) {
      const scope = scopeOf(output.role, trim);
      if (mode.kind === "count" && scope !== "model") continue;
      const known = partial.get(output.name);
      const stats: TensorStats = known ?? { ...output.role, name: output.name, shape: output.shape, elements: output.elements, fisherSum: 0, base2Sum: 0, experts: experts.map(() => ({ delta2Sum: 0, jointSum: 0 })) };
      partial.set(output.name, stats);
      if (tensor.rowIds) await compactSums(gpu, pass, output, stats, tensor, scale, changeOf);
      else {
        for (let expert = 0; expert < experts.length; expert++) {
          const change = changeOf(output, expert, tensor);
          const again = mode.kind === "trim" && scope !== "block" && (output.role.inBlock2d || scope !== undefined);
          const weighed = await weighChange(buffers, change, trim?.key ?? "fisher", again, signal);
          const { keys, sums } = weighed;
          const row = stats.experts[expert]!;
          row.delta2Sum += sums.delta2;
          row.jointSum! += sums.joint * scale;
          if (expert === 0) {
            stats.fisherSum! += sums.fisher * scale;
            stats.base2Sum! += sums.base2;
          }
          const entry = { output, stats, expert, ...weighed };
          if (mode.kind === "count") {
            for (const panel of keys) {
              for await (const values of readKeys(gpu, panel)) for (const select of mode.selects[expert]!) select.add(values);
            }
            releaseWeighed(buffers, entry);
          } else if (!output.role.inBlock2d && !scope) releaseWeighed(buffers, entry);
          else if (!scope) await finishTrim(entry, undefined, tensor.cols);
          else if (scope === "block") waiting.push({ ...entry, change: withoutResident(entry.change) });
          else if (scope === "model") await finishTrim(entry, { cut: mode.cuts![expert]!.cut, dropZero: trim!.dropZero, state: taken[expert]! }, tensor.cols, { n: modelElements(pass.outputs, trim!), below: mode.cuts![expert]!.below });
          else await finishTrim(entry, { rule: keepRule(output.elements, trim!.rule, trim!.share), dropZero: trim!.dropZero }, tensor.cols, { n: output.elements, below: await keyBelow(gpu, keys, output.elements, trim!) });
        }
      }
      if (!tensor.complete || mode.kind === "count") continue;
      partial.delete(output.name);
      if (pass.trimEmbed && (output.role.isEmbedding || output.role.isHead)) await trimEmbedding(pass, output, stats, changeOf);
      if (!waiting.some((w) => w.output === output)) pass.onTensor(stats);
    }
  };

  const blockDone = async (layer: number): Promise<void> => {
    if (waiting.length > 0 && trim) {
      const block = waiting;
      waiting = [];
      const cuts = [];
      for (let expert = 0; expert < experts.length; expert++) {
        const keys = block.filter((w) => w.expert === expert).flatMap((w) => w.keys);
        const n = keys.reduce((sum, k) => sum + k.elements, 0);
        cuts.push({ n, cut: await selectCut(gpu, keys, keepRule(n, trim.rule, trim.share)), below: await keyBelow(gpu, keys, n, trim) });
      }
      const states = experts.map(() => ({ taken: 0 }));
      for (const entry of block) {
        const group = cuts[entry.expert]!;
        await finishTrim(entry, { cut: group.cut, dropZero: trim.dropZero, state: states[entry.expert]! }, entry.change.cols, group);
      }
      for (const stats of new Set(block.map((w) => w.stats))) pass.onTensor(stats);
    }
    pass.onBackwardBlock?.(layer);
  };

  const { end, ...squares } = fisherVisitor(gpu, onTensor, panelBytes);
  const visitor: GradientVisitor = { ...squares, blockDone };
  if (pass.probes === "activations") {
    const linear = visitor.linear!;
    // The mask is known with the last batch; the inputs of the batches before it are kept until then.
    const earlier = new Map<string, Probes[]>();
    visitor.linear = async (gradient, batch) => {
      const { name, x, K } = gradient;
      const before = earlier.get(name) ?? [];
      if (batch.last) inputs = [...before, { buffer: x, rows: batch.rows }];
      else {
        const copy = buffers.alloc(4 * batch.rows * K, "layer inputs");
        gpu.copy(x, 0, copy, 0, 4 * batch.rows * K);
        earlier.set(name, [...before, { buffer: copy, rows: batch.rows }]);
      }
      await linear(gradient, batch);
      if (!batch.last) return;
      inputs = undefined;
      earlier.delete(name);
      buffers.free(...before.map((b) => b.buffer));
    };
  }
  try {
    const { losses } = await decoder.pass(sequences, {
      visitor,
      signal,
      lossScale: LOSS_SCALE,
      labels: { weights, targets: sampler?.targets },
      onLogitsPanel: sampler?.onLogitsPanel,
      onForwardBlock: pass.onForwardBlock,
    });
    return { losses: regroup(losses) };
  } finally {
    end();
    buffers.end();
  }
}

/** Sums of an input embedding, whose Fisher is zero but for the rows that occurred. */
async function compactSums(gpu: Gpu, pass: FisherPass, output: PassOutput, stats: TensorStats, tensor: FisherTensor, scale: number, changeOf: (output: PassOutput, expert: number, fisher: undefined) => Change): Promise<void> {
  const ids = tensor.rowIds!;
  const C = tensor.cols;
  const F = await gpu.readFloats(tensor.panels[0]!.buffer, ids.length * C);
  for (const value of F) stats.fisherSum! += value * scale;
  for (let expert = 0; expert < pass.experts.length; expert++) {
    const change = changeOf(output, expert, undefined);
    let at = 0;
    let row = 0;
    const sums = await changeSums(change, pass.signal, (keys) => {
      for (; row < ids.length && (ids[row]! + 1) * C <= at + keys.length; row++) {
        const from = ids[row]! * C - at;
        for (let c = 0; c < C; c++) stats.experts[expert]!.jointSum! += F[row * C + c]! * scale * keys[from + c]! ** 2;
      }
      at += keys.length;
    });
    stats.experts[expert]!.delta2Sum += sums.delta2;
    if (expert === 0) stats.base2Sum! += sums.base2;
  }
}

/** Hands over the element-wise F of a tensor, or of one panel of the head; rows that no input used are not mentioned. */
async function keepFisher(gpu: Gpu, { name, cols, panels, rowIds }: FisherTensor, scale: number, onFisher: NonNullable<FisherPass["onFisher"]>): Promise<void> {
  for (const panel of panels) {
    const values = (await gpu.readFloats(panel.buffer, panel.rows * cols)).map((v) => v * scale);
    if (rowIds) for (let i = 0; i < rowIds.length; i++) await onFisher(name, rowIds[i]! * cols, values.subarray(i * cols, (i + 1) * cols));
    else await onFisher(name, panel.row0 * cols, values);
  }
}

/** Magnitude trim of an embedding or head (METHODS A21): only its cut is kept, the mask is made again while merging. */
async function trimEmbedding(pass: FisherPass, output: PassOutput, stats: TensorStats, changeOf: (output: PassOutput, expert: number, fisher: undefined) => Change): Promise<void> {
  const trim = pass.trim;
  if (!trim) return;
  for (let expert = 0; expert < pass.experts.length; expert++) {
    const change = changeOf(output, expert, undefined);
    const cut = await magnitudeCut([change], keepRule(output.elements, trim.rule, trim.share), pass.signal);
    const row: ExpertStats = stats.experts[expert]!;
    Object.assign(row, await keptSums(change, cut, trim.dropZero, { taken: 0 }, pass.signal), { cut, threshold: cut.threshold });
  }
}

/** Guards a combination that cannot be measured. Throws "bad-recipe". */
export function checkPass(pass: Pick<FisherPass, "trim" | "probes">): void {
  if (pass.probes === "activations" && pass.trim?.scope === "block")
    throw new StudioError("bad-recipe", 'calib is "activations" and trimScope is "block": the inputs of a layer are gone when its block\'s threshold is known. Set trimScope to tensor, or calib to frobenius.', { where: "params.calib" });
}
