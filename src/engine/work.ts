import { StudioError, throwIfCancelled } from "../core/errors";
import { rowLength } from "../core/tensors";
import { voteBalance } from "../merge/cpu";
import type { Mask, TensorOp } from "../merge/ops";
import type { ArrayStore, MaskStore, TensorStats } from "../fisher/types";
import { makerState } from "../kernels/stats/maskMaker";
import type { PassOutput } from "../fisher/measure";
import { MERGE_SLICE, readSlice, withMasks, type TensorWork } from "../export/mergeTensor";
import type { Shape } from "../analysis/types";
import type { OutputTensor } from "../model/pairing";
import type { RecipeContext } from "./context";
import { fishersOf } from "./fisherAveragePass";
import { ownRows, rowsOf } from "./rows";
import { stageOps, stagesOf } from "./stages";
import { factsOf, settingsAt } from "./operation";

/** What a pass left behind for the merge. */
export interface Measured {
  stats: ReadonlyMap<string, TensorStats>;
  masks: MaskStore;
  arrays: ArrayStore;
  /** What the stages after the merge found, in their order. */
  stages?: ArrayStore[];
  /** Tells this run of the pass from all others. */
  run?: string;
}

/**
 * Says for each output tensor what is done to it: the method's operation with the layer's coefficients, masks and
 * calibration, and the rows that take another (ids with two meanings). Throws "storage-full" when a mask of the pass is gone.
 */
export async function planWork(context: RecipeContext, shape: Shape, measured: Measured | undefined, signal: AbortSignal): Promise<(tensor: OutputTensor) => Promise<TensorWork | undefined>> {
  const { method, params, experts, outputs } = context;
  const byName = new Map(outputs.map((o) => [o.name, o]));
  const rows = shape.experts.map((e) => new Map(e.tensors.map((t) => [t.name, t])));
  const own = await ownRows(context);

  const build = async (output: PassOutput, majority: number | undefined): Promise<TensorWork> => {
    const stats = measured?.stats.get(output.name);
    const masks: Mask[] = [];
    for (let k = 0; k < experts.length; k++) {
      const mask = await measured?.masks.get(output.name, k);
      const trimmed = stats?.experts[k];
      if (trimmed?.kept !== undefined && !trimmed.maker && !mask)
        throw new StudioError("storage-full", `Merging "${output.name}": the mask that the pass made is no longer in the browser's storage. Run the pass again.`, { title: "The pass is gone", where: output.name, todo: "Run the pass again.", passGone: true });
      masks.push(mask);
    }
    const makers = stats?.experts.some((e) => e.maker) ? stats.experts.map((e) => e.maker) : undefined;
    const facts = factsOf(output);
    const names = method.arrays?.(settingsAt(context, output).params, facts, experts.length) ?? [];
    const arrays = await Promise.all(names.map((name) => measured?.arrays.get(name)));
    const alphas = rows.map((r) => r.get(output.name)?.alpha ?? 0);
    const row = rows[0]?.get(output.name);
    const plan = (coefficients: number[]): TensorOp =>
      method.planTensor({
        ...settingsAt(context, output), alphas: coefficients, masks,
        tensor: facts,
        ...(names.length > 0 ? { arrays } : {}),
        ...(row?.calibrated && row.rho !== undefined ? { rho: row.rho } : {}),
        ...(majority === undefined ? {} : { majority }),
        cols: rowLength(output),
        ...(stats?.study ? { study: stats.study } : {}),
        rescale: experts.map((_, k) => stats?.experts[k]?.rescale ?? 1),
      });
    const other = rowsOf(output, own);
    const op = plan(alphas);
    const fishers = op.kind === "weighted" && measured ? fishersOf(context, output, op, measured.arrays, measured.run) : undefined;
    return { op, ...(fishers ? { fishers } : {}), ...(other.length > 0 ? { rows: other } : {}), ...(makers ? { makers } : {}) };
  };

  let majority: number | undefined;
  if (method.needsMajority?.(params, experts.length)) {
    majority = 0;
    for (const tensor of context.plan.tensors) {
      const output = byName.get(tensor.name);
      if (!output) continue;
      const work = await build(output, 0);
      const states = experts.map(() => makerState());
      for (let start = 0; start < output.elements; start += MERGE_SLICE) {
        throwIfCancelled(signal);
        const cut = withMasks(work, await readSlice(context, tensor, work, start, Math.min(MERGE_SLICE, output.elements - start)), states);
        if (cut.op.kind === "ties") majority += voteBalance(cut.op, cut.slice);
      }
    }
  }
  const stages = stagesOf(context).flatMap((stage, i) => (measured?.stages?.[i] ? [stageOps(context, stage, measured.stages[i]!)] : []));
  return async (tensor) => {
    const output = byName.get(tensor.name);
    if (!output) return undefined;
    const work = await build(output, majority);
    const then = (await Promise.all(stages.map((opOf) => opOf(output)))).filter((op) => op !== undefined);
    return then.length > 0 ? { ...work, then } : work;
  };
}
