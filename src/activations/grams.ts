import { StudioError } from "../core/errors";
import type { Gpu } from "../gpu/gpu";
import { addGram, addSquares, allocGram, type GramPanels } from "../kernels/nn/gram";
import type { ForwardVisitor, ModuleInput } from "../model/forwardVisitor";
import { Pace } from "../model/pace";
import { capture, configOf, type Model } from "./capture";
import { walksOf, type WalkOptions } from "./walks";

/** An input that is wanted, under a name of its own; of `diagonal` ones only sum x^2. */
export interface GramWanted {
  key: string;
  diagonal: boolean;
}

export interface GramHooks {
  /** Asked for every input of linear layers, with the weights that read it. */
  want(names: readonly string[], K: number): GramWanted | undefined;
  /** G = X^T X / tokens, row-major [K, K], or its diagonal [K]; each once, in the order of the walk. */
  found(wanted: GramWanted, gram: Float32Array): Promise<void>;
  /** Where sums wait when the texts are walked in more than one run. */
  sums: { put(key: string, values: Float32Array): Promise<void>; get(key: string): Promise<Float32Array | undefined> };
}

/** Sums of one input on the GPU while the batches of a block pass. */
type Sum = { wanted: GramWanted; K: number; panels: GramPanels };

/**
 * Gram matrices of the inputs of linear layers over `sequences`, in f32, one block on the GPU at a time: for a block the
 * matrices of its different inputs, 4 K^2 bytes each, or 4 K. Every token counts alike.
 * Throws as `capture` does, and "bad-file" when an input is not finite.
 */
export async function inputGrams(gpu: Gpu, model: Model & { name?: string }, sequences: number[][], hooks: GramHooks, options: WalkOptions = {}): Promise<void> {
  const { layers, hidden } = configOf(model);
  const tokens = sequences.reduce((sum, s) => sum + s.length, 0);
  const { runs, signal, decoder, onBlock } = walksOf(options, sequences, { layers, bytesPerToken: 4 * hidden });
  const pace = new Pace(gpu, signal);
  for (const [r, run] of runs.entries()) {
    const open = new Map<string, Sum>();
    const start = async (wanted: GramWanted, K: number): Promise<{ sum: Sum; accumulate: boolean }> => {
      const panels = wanted.diagonal ? [{ row0: 0, rows: 1, buffer: gpu.alloc(4 * K, "sums of squares") }] : allocGram(gpu, K, decoder.panelBytes);
      open.set(wanted.key, { wanted, K, panels });
      const before = r > 0 ? await hooks.sums.get(wanted.key) : undefined;
      if (r > 0 && !before) throw new StudioError("storage-full", `Summing the inputs of ${wanted.key}: the sums over the first texts are no longer in the browser's storage. Make room and run the pass again.`, { title: "The pass is gone", where: wanted.key, todo: "Make room and run the pass again.", passGone: true });
      for (const { row0, rows, buffer } of before ? panels : []) gpu.write(buffer, 0, before!.subarray(row0 * K, (row0 + rows) * K));
      return { sum: open.get(wanted.key)!, accumulate: before !== undefined };
    };
    const finish = async ({ wanted, K, panels }: Sum, names: readonly string[]): Promise<void> => {
      const gram = new Float32Array(wanted.diagonal ? K : K * K);
      for (const { row0, rows, buffer } of panels) gram.set(await gpu.readFloats(buffer, rows * K), row0 * K);
      gpu.release(...panels.map((p) => p.buffer));
      open.delete(wanted.key);
      if (r < runs.length - 1) return hooks.sums.put(wanted.key, gram);
      for (let i = 0; i < gram.length; i++) gram[i] = gram[i]! / tokens;
      checkFinite(gram, K, model.name ?? "the model", names[0]!);
      await hooks.found(wanted, gram);
      // Nothing waits there any more.
      if (r > 0) await hooks.sums.put(wanted.key, new Float32Array(0));
    };
    const visitor: ForwardVisitor = {
      input: async ({ names, kind, x, K }: ModuleInput, batch) => {
        const wanted = kind === "linear" ? hooks.want(names, K) : undefined;
        if (!wanted) return;
        const known = open.get(wanted.key);
        const { sum, accumulate } = known ? { sum: known, accumulate: true } : await start(wanted, K);
        const rows = { x, K, rows: batch.rows, starts: batch.starts, sequences: batch.sequences };
        if (wanted.diagonal) addSquares(gpu, rows, sum.panels[0]!.buffer, accumulate);
        else addGram(gpu, rows, sum.panels, accumulate);
        await pace.after(2 * batch.rows * K * (wanted.diagonal ? 1 : K));
        if (batch.last) await finish(sum, names);
      },
    };
    try {
      await capture(gpu, model, run.sequences, visitor, { ...decoder, signal, onBlock });
    } finally {
      for (const { panels } of open.values()) gpu.release(...panels.map((p) => p.buffer));
    }
  }
}

/** The diagonal tells: it is a sum of squares, and bounds all other entries. */
function checkFinite(gram: Float32Array, K: number, model: string, name: string): void {
  const step = gram.length === K ? 1 : K + 1;
  for (let c = 0; c < K; c++)
    if (!Number.isFinite(gram[c * step] ?? 0))
      throw new StudioError("bad-file", `Running the calibration text through "${model}": channel ${c} of the input of "${name}" is not finite (NaN or infinity, or its square is beyond f32). The weights overflow or hold NaN; check them.`, { title: "Activations that are no numbers", where: name, found: String(gram[c * step]), expected: "numbers" });
}
