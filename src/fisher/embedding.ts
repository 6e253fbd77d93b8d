import type { Gpu } from "../gpu/gpu";
import { keepRule } from "../kernels/stats/trim";
import type { FisherTensor } from "./accumulate";
import { changeSums, keptSums, magnitudeCut } from "./magnitude";
import type { Change } from "./trimTensor";
import type { ExpertStats, FisherPass, PassOutput, TensorStats } from "./types";

/** Sums of an input embedding, whose Fisher is zero but for the rows that occurred. */
export async function compactSums(gpu: Gpu, pass: FisherPass, output: PassOutput, stats: TensorStats, tensor: FisherTensor, scale: number, changeOf: (output: PassOutput, expert: number, fisher: undefined) => Change): Promise<void> {
  const ids = tensor.rowIds!;
  const C = tensor.cols;
  const F = await gpu.readFloats(tensor.panels[0]!.buffer, ids.length * C);
  const shared = ids.filter((id) => id * C < output.elements).length;
  for (const value of F.subarray(0, shared * C)) stats.fisherSum! += value * scale;
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

/** Magnitude trim of an embedding or head (METHODS A21): only its cut is kept, the mask is made again while merging. */
export async function trimEmbedding(pass: FisherPass, output: PassOutput, stats: TensorStats, changeOf: (output: PassOutput, expert: number, fisher: undefined) => Change): Promise<void> {
  const trim = pass.trim;
  if (!trim) return;
  for (let expert = 0; expert < pass.experts.length; expert++) {
    const change = changeOf(output, expert, undefined);
    const cut = await magnitudeCut([change], keepRule(output.elements, trim.rule, trim.shareOf(output.name, expert)), pass.signal);
    const row: ExpertStats = stats.experts[expert]!;
    Object.assign(row, await keptSums(change, cut, trim.dropZero, { taken: 0 }, pass.signal), { threshold: cut.threshold, maker: { kind: "cut", cut, dropZero: trim.dropZero } } satisfies Partial<ExpertStats>);
  }
}
