import { hashName, randomUniform } from "../core/random";
import type { Gpu } from "../gpu/gpu";
import type { BatchState } from "../model/batchState";
import type { LogitsPanel } from "../model/head";

/**
 * Token-level Fisher (METHODS A10, `fisher: token`): every prediction gets a backward pass of its own. Prediction t of a
 * sequence becomes the prefix of t + 2 tokens whose loss counts at its last prediction only, because later tokens cannot
 * change it. F is then the mean over predictions of the squared gradient of -log p(x_{t+1} | x_0..t).
 * `weights` are per prefix and row; `regroup` picks the losses of the whole sequences.
 */
export function expandTokens(sequences: number[][]): { sequences: number[][]; weights: number[][]; regroup(losses: number[]): number[] } {
  const expanded = sequences.flatMap((s) => s.slice(1).map((_, t) => s.slice(0, t + 2)));
  const weights = expanded.map((s) => s.map((_, t) => (t === s.length - 2 ? 1 : 0)));
  // The loss of a prefix is the mean over its predictions; the longest prefix is the whole sequence.
  let at = -1;
  const last = sequences.map((s) => (at += s.length - 1));
  return { sequences: expanded, weights, regroup: (losses) => last.map((i) => losses[i]!) };
}

/**
 * Labels drawn from the model's own distribution (true Fisher, METHODS A11): argmax over the vocabulary of
 * logit + Gumbel noise. The noise of (sequence, position, token) is a function of the seed alone, so that batches and
 * panels do not matter. `onLogitsPanel` is shown every panel, then `targets` gives the labels.
 */
export function labelSampler(gpu: Gpu, sequences: number[][], seed: number): { onLogitsPanel(at: LogitsPanel, state: BatchState): Promise<void>; targets(): Promise<number[][]> } {
  const best = sequences.map((s) => new Float64Array(s.length).fill(-Infinity));
  const targets = sequences.map((s) => s.map(() => 0));
  return {
    async onLogitsPanel({ panel, logits }, { batch, rows }) {
      const values = await gpu.readFloats(logits, rows * panel.rows);
      batch.sequences.forEach((tokens, s) => {
        const sequence = batch.firstSequence + s;
        for (let t = 0; t < tokens.length; t++) {
          const key = hashName(`label/${seed}/${sequence}/${t}`);
          const row = (batch.starts[s]! + t) * panel.rows;
          for (let c = 0; c < panel.rows; c++) {
            const score = values[row + c]! - Math.log(-Math.log(randomUniform(key, panel.row0 + c)));
            if (score > best[sequence]![t]!) {
              best[sequence]![t] = score;
              targets[sequence]![t] = panel.row0 + c;
            }
          }
        }
      });
    },
    targets: async () => targets,
  };
}
