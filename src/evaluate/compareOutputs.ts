import { StudioError } from "../core/errors";
import type { TensorSource } from "../core/tensors";
import type { Gpu } from "../gpu/gpu";
import type { BatchState } from "../model/batchState";
import { DEFAULT_LIMITS } from "../model/batches";
import type { ModelConfig } from "../model/config";
import { createDecoder } from "../model/decoder";
import type { LogitsPanel } from "../model/head";
import { Meeting } from "../model/meeting";
import { OutputComparison } from "./divergence";

export interface ComparisonPass {
  models: { source: TensorSource; config: ModelConfig }[];
  /** (p, q): KL(p || q) is wanted. */
  pairs: readonly (readonly [number, number])[];
  /** Stretches of text, each begun anew, of at least 2 and at most 512 tokens. */
  windows: number[][];
  signal: AbortSignal;
  panelBytes?: number | undefined;
  /** Called for each block of each model. */
  onBlock?(): void;
}

/** Logits of a panel of every model are in host memory at one time. */
const PANEL_BYTES = 32 * 1024 * 1024;

interface Brought {
  at: LogitsPanel;
  state: BatchState;
  values: Float32Array;
}

/**
 * Perplexities of models on a text, and divergences between their predictions (see OutputComparison for the formulas). All
 * models go forward side by side, block by block, and meet at every panel of the vocabulary, so that no row of logits is ever
 * whole. Ids that not all models have do not count. Throws "bad-request" for unusable tokens, "cancelled", and what reading throws.
 */
export async function compareOutputs(gpu: Gpu, pass: ComparisonPass): Promise<{ perplexities: number[]; divergences: number[] }> {
  const { models, pairs, windows, signal } = pass;
  const vocab = Math.min(...models.map((m) => m.config.vocab));
  const starts = windows.map((_, w) => windows.slice(0, w).reduce((sum, s) => sum + s.length, 0));
  const comparison = new OutputComparison(models.length, pairs, Int32Array.from(windows.flatMap((w) => [...w.slice(1), -1])));
  const meet = new Meeting<Brought>(models.length, (brought) => {
    const [{ at, state }] = brought as [Brought];
    if (brought.some((b) => b.at.panel.row0 !== at.panel.row0 || b.state.batch.firstSequence !== state.batch.firstSequence || b.state.rows !== state.rows)) throw new StudioError("internal", "Comparing predictions: the models' panels differ. This is a fault of the planner, not of the models.");
    const columns = Math.min(vocab - at.panel.row0, ...brought.map((b) => b.at.panel.rows));
    comparison.add(starts[state.batch.firstSequence]!, state.rows, at.panel.row0, columns, brought.map((b) => ({ values: b.values, stride: b.at.panel.rows })));
  });
  // Models with different vocabularies are cut alike: into panels of which each has several.
  const alike = models.every((m) => m.config.vocab === vocab);
  const widest = Math.max(DEFAULT_LIMITS.maxRows, ...models.map((m) => m.config.hidden));
  const panelBytes = Math.min(pass.panelBytes ?? PANEL_BYTES, alike ? Infinity : 2 * widest * vocab);
  await meet.all(models.map(({ source, config }, k) =>
    createDecoder(gpu, source, config, { panelBytes }).forward(windows, {
      signal, loss: false,
      onLogitsPanel: async (at, state) => {
        if (at.panel.row0 >= vocab) return;
        await meet.come(k, { at, state, values: await gpu.readFloats(at.logits, state.rows * at.panel.rows) });
      },
      onBlock: () => pass.onBlock?.(),
    }),
  ));
  return { perplexities: models.map((_, k) => comparison.perplexity(k)), divergences: pairs.map((_, i) => comparison.divergence(i)) };
}
