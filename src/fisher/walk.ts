import { throwIfCancelled } from "../core/errors";
import { MAX_BINDING_BYTES, type Gpu } from "../gpu/gpu";
import { readKeys, selectCut } from "../kernels/stats/select";
import { keepRule, type RankSelect } from "../kernels/stats/trim";
import { createDecoder, type PassResult } from "../model/decoder";
import type { GradientVisitor } from "../model/gradients";
import type { TensorRole } from "../model/roles";
import { BufferScope } from "../model/scope";
import { fisherVisitor, type FisherPanel, type FisherTensor } from "./accumulate";
import { compactSums, trimEmbedding } from "./embedding";
import { walkJournal, type PassState } from "./journal";
import { keepFisher } from "./keep";
import { expandTokens, labelSampler } from "./labels";
import { keepLayerInputs } from "./layerInputs";
import { gaussianProbes, type Probes } from "./probes";
import { keyBelow, modelElements, percentile, scopeOf, shareRule, type ModelCut } from "./threshold";
import { releaseWeighed, trimChange, weighChange, withoutResident, type Change, type Weighed } from "./trimTensor";
import type { FisherPass, PassOutput, TensorStats } from "./types";

/** 2^12: gradients far below 1 square to less than f32 holds otherwise; exact, undone in the scalars (PERFORMANCE 5). */
const LOSS_SCALE = 4096;

/** Panels of the first rows of a tensor: those of an embedding that all models have. */
const firstRows = (panels: readonly FisherPanel[], rows: number): FisherPanel[] => panels.flatMap((panel) => (panel.row0 < rows ? [{ ...panel, rows: Math.min(panel.rows, rows - panel.row0) }] : []));

/** What a walk does with the keys of a tensor: trims, or counts them for the threshold of the whole model. */
export type Mode = { kind: "trim"; cuts: ModelCut[] | undefined } | { kind: "count"; selects: RankSelect[][] };

/** One forward and backward through the model, from where `from` says that an earlier run stopped. Returns the loss of each sequence. */
export async function fisherWalk(gpu: Gpu, pass: FisherPass, mode: Mode, from: PassState): Promise<PassResult> {
  const { signal, trim, experts, journal } = pass;
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
  const taken = from.taken.map((n) => ({ taken: n }));
  /** Tensors finished since the last step was written down. */
  let fresh: TensorStats[] = [];
  const finished = (stats: TensorStats): void => {
    fresh.push(stats);
    pass.onTensor(stats);
  };

  const changeOf = (output: PassOutput, expert: number, fisher: FisherTensor | undefined): Change => {
    const cols = output.shape.length >= 2 ? output.shape.at(-1)! : output.elements;
    const rows = output.elements / cols;
    // The weight whose gradient was taken is on the GPU already: it is the base, or the first fine-tuned model.
    const resident = fisher?.weight?.panels;
    return {
      base: { source: pass.base, name: output.baseName, resident: pass.at === "base" ? resident : undefined },
      tuned: { source: experts[expert]!, name: output.tunedNames[expert]!, resident: pass.at === "finetuned" && expert === 0 ? resident : undefined },
      rows, cols, fisher: fisher && { ...fisher, panels: firstRows(fisher.panels, rows) }, sliceElements: pass.memory?.sliceElements,
    };
  };
  /** `group`: how many entries share the threshold, and the key below it. */
  const finishTrim = async (entry: (typeof waiting)[number], how: Parameters<typeof trimChange>[3], K: number, group?: { n: number; below: number | undefined }): Promise<void> => {
    const { output, stats, expert, change, keys } = entry;
    const { stats: kept, mask } = await trimChange(buffers, change, keys, how, probesOf(output.role, K), signal);
    releaseWeighed(buffers, entry);
    Object.assign(stats.experts[expert]!, kept);
    if (kept.threshold !== undefined && group) stats.experts[expert]!.threshold = percentile(group.n, shareRule(trim!, output, expert), kept.threshold, group.below) * (trim!.key === "fisher" ? scale : 1);
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
          else {
            const share = shareRule(trim!, output, expert);
            await finishTrim(entry, { rule: keepRule(output.elements, share.rule, share.share), dropZero: trim!.dropZero }, tensor.cols, { n: output.elements, below: await keyBelow(gpu, keys, output.elements, share) });
          }
        }
      }
      if (!tensor.complete || mode.kind === "count") continue;
      partial.delete(output.name);
      if (pass.trimEmbed && (output.role.isEmbedding || output.role.isHead)) await trimEmbedding(pass, output, stats, changeOf);
      if (!waiting.some((w) => w.output === output)) finished(stats);
    }
  };

  const blockDone = async (): Promise<void> => {
    if (waiting.length === 0 || !trim) return;
    const block = waiting;
    waiting = [];
    const cuts = [];
    for (let expert = 0; expert < experts.length; expert++) {
      const keys = block.filter((w) => w.expert === expert).flatMap((w) => w.keys);
      const n = keys.reduce((sum, k) => sum + k.elements, 0);
      const share = shareRule(trim, block[0]!.output, expert);
      cuts.push({ n, cut: await selectCut(gpu, keys, keepRule(n, share.rule, share.share)), below: await keyBelow(gpu, keys, n, share) });
    }
    const states = experts.map(() => ({ taken: 0 }));
    for (const entry of block) {
      const group = cuts[entry.expert]!;
      await finishTrim(entry, { cut: group.cut, dropZero: trim.dropZero, state: states[entry.expert]! }, entry.change.cols, group);
    }
    for (const stats of new Set(block.map((w) => w.stats))) finished(stats);
  };

  const { end, ...squares } = fisherVisitor(gpu, onTensor, panelBytes);
  const visitor: GradientVisitor = { ...squares, blockDone };
  if (pass.probes === "activations") keepLayerInputs(buffers, visitor, (probes) => (inputs = probes));
  try {
    const { losses, pinnedBlocks } = await decoder.pass(sequences, {
      visitor,
      signal,
      lossScale: LOSS_SCALE,
      labels: { weights, targets: sampler?.targets },
      onLogitsPanel: sampler?.onLogitsPanel,
      onForwardBlock: pass.onForwardBlock,
      onBackwardBlock: pass.onBackwardBlock,
      journal: journal && walkJournal(journal, from, () => {
        const stats = fresh;
        fresh = [];
        return { stats, taken: taken.map((t) => t.taken), ...(mode.kind === "count" ? { selects: mode.selects.map((row) => row.map((s) => s.save())) } : {}) };
      }),
    });
    return { losses: regroup(losses), pinnedBlocks };
  } finally {
    end();
    buffers.end();
  }
}
