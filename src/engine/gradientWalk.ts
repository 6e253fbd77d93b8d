import { StudioError } from "../core/errors";
import { formatBytes } from "../core/modelFiles";
import type { Checkpoint } from "../core/tensors";
import type { PassMemory } from "../fisher/measure";
import { MAX_BINDING_BYTES, type Gpu } from "../gpu/gpu";
import type { AdapterFacts } from "../gpu/info";
import { parseModelConfig } from "../model/config";
import { fisherSupport } from "../model/support";
import { calibrationSequences } from "../text/calibration";
import type { RecipeContext } from "./context";
import { paperCheckpoint, PaperGpu } from "./paperGpu";
import { passHostBytes } from "./planHost";

/** What the passes of methods share that walk through whole models with gradients. */

const MIN_PANEL = 8 * 1024 ** 2;

/** A walk on paper, and how it stays within the GPU's budget. */
export interface PaperWalk {
  memory: PassMemory;
  gpuBytes: number;
  hostBytes: number;
  readBytes: number;
  dispatches: number;
  flops: number;
}

/**
 * Runs a walk through models on a GPU of paper, with the first memory plan that the budget has room for, or the one that takes
 * least: whole panels, block inputs in host memory, ever smaller panels. `inputBytes`: of the inputs of all blocks.
 */
export async function walkOnPaper(models: readonly Checkpoint[], on: { facts: Pick<AdapterFacts, "state" | "vendor" | "architecture" | "description">; gpuBytes: number }, inputBytes: number, walk: (gpu: Gpu, models: Checkpoint[], memory: PassMemory) => Promise<unknown>): Promise<PaperWalk> {
  const tries: PassMemory[] = [{ panelBytes: MAX_BINDING_BYTES, inputsOnHost: false }];
  for (let panelBytes = MAX_BINDING_BYTES; panelBytes >= MIN_PANEL; panelBytes /= 2) tries.push({ panelBytes, inputsOnHost: true });
  let best: PaperWalk | undefined;
  for (const memory of tries) {
    const gpu = await PaperGpu.on(on.facts);
    gpu.budgetBytes = on.gpuBytes;
    let readBytes = 0;
    await walk(gpu, models.map((model) => paperCheckpoint(model, (bytes) => void (readBytes += bytes))), memory);
    const hostBytes = passHostBytes({ ring: 0, largestRead: gpu.largestRead, keysOnCpu: 0, largestMask: 0, inputs: memory.inputsOnHost ? inputBytes : 0, embedded: 0 });
    const found = { memory, gpuBytes: gpu.peakBytes, hostBytes, readBytes, dispatches: gpu.dispatches, flops: gpu.flops };
    if (!best || found.gpuBytes < best.gpuBytes) best = found;
    if (found.gpuBytes <= on.gpuBytes) return found;
  }
  return best!;
}

/** What a small budget costs, where it cuts matrices. */
export const panelNotes = ({ panelBytes = MAX_BINDING_BYTES }: PassMemory): string[] =>
  panelBytes < MAX_BINDING_BYTES ? [`To stay within the GPU budget, matrices are cut into panels of ${formatBytes(panelBytes)}. Sums over panels are rounded in another order, so last bits may differ from a run with a larger budget.`] : [];

/** Bytes of the inputs of all blocks for so many tokens. */
export function blockInputBytes({ config }: Checkpoint, tokens: number): number {
  const { layers, hidden } = parseModelConfig(config);
  return 4 * layers * hidden * tokens;
}

export const tokensIn = (sequences: readonly (readonly number[])[]): number => sequences.reduce((sum, s) => sum + s.length, 0);

/** Throws "unknown-architecture" naming the missing part when gradients cannot run on one of the models. */
export function requireWalk(label: string, models: readonly Checkpoint[]): void {
  for (const model of models) {
    const { available, reason } = fisherSupport(model.config, model.tensors);
    if (!available)
      throw new StudioError("unknown-architecture", `${label} on "${model.name}": ${reason ?? "this architecture has no forward and backward pass here"}. Choose a method without gradients, such as task arithmetic or TIES.`, { title: "No gradients for this architecture", where: model.name, ...(reason ? { found: reason } : {}), todo: "Choose a method without gradients." });
  }
}

/** Throws "bad-recipe" when the recipe names no text. */
export function requireText(label: string, { recipe }: Pick<RecipeContext, "recipe">): void {
  if (!recipe.calibration && !recipe.tokens) throw new StudioError("bad-recipe", `Reading the recipe: ${label} needs calibration text, and "calibration" is missing.`, { title: "No calibration text", where: "calibration" });
}

/** The recipe's token ids, else its calibration text in the base's tokenizer: one text that all models read. */
export const textSequences = async ({ recipe, base }: Pick<RecipeContext, "recipe" | "base">, signal?: AbortSignal): Promise<number[][]> => recipe.tokens ?? calibrationSequences(recipe.calibration!, base, signal);
