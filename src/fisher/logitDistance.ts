import { StudioError } from "../core/errors";
import type { TensorSource } from "../core/tensors";
import { MAX_BINDING_BYTES, type Gpu } from "../gpu/gpu";
import { addRowDistance } from "../kernels/stats/rowDistance";
import type { ModelConfig } from "../model/config";
import { createDecoder } from "../model/decoder";
import type { LogitsPanel } from "../model/head";
import { Meeting } from "../model/meeting";
import { BufferScope } from "../model/scope";
import type { PassMemory } from "./types";

export interface DistancePass {
  models: { source: TensorSource; config: ModelConfig }[];
  sequences: number[][];
  signal: AbortSignal;
  memory?: PassMemory | undefined;
  /** Called for each block of each model. */
  onBlock?(): void;
}

/**
 * How far the models' outputs are apart on some texts, for every pair of them:
 *   g[i][j] = sum over samples of mean over tokens of |logits_i - logits_j|_2
 * symmetric, 0 on the diagonal; not yet divided by the number of samples. All models go forward side by side, each on its own
 * blocks, and meet at every panel of the vocabulary, so that no row of logits is ever whole. Ids that not all models
 * have do not count. Source: Sens-Merging, arXiv:2502.12420 (METHODS 6.2).
 */
export async function logitDistances(gpu: Gpu, pass: DistancePass): Promise<number[][]> {
  const { models, sequences, signal } = pass;
  const count = models.length;
  const distance = models.map(() => models.map(() => 0));
  const vocab = Math.min(...models.map((m) => m.config.vocab));
  const rows = sequences.reduce((sum, s) => sum + s.length, 0);
  const scope = new BufferScope(gpu);
  const pairs = models.flatMap((_, i) => models.slice(i + 1).map((__, j) => ({ i, j: i + 1 + j, squares: scope.alloc(4 * rows, "logit distances") })));
  const meet = new Meeting<LogitsPanel>(count, (panels) => {
    for (const { i, j, squares } of pairs) {
      const [a, b] = [panels[i]!, panels[j]!];
      if (a.panel.row0 !== b.panel.row0) throw new StudioError("internal", `Comparing logits: panels begin at rows ${a.panel.row0} and ${b.panel.row0}. This is a fault of the planner, not of the models.`);
      addRowDistance(gpu, {
        a: { buffer: a.logits, stride: a.panel.rows }, b: { buffer: b.logits, stride: b.panel.rows },
        rows, columns: Math.min(a.panel.rows, b.panel.rows, vocab - a.panel.row0), out: squares, first: a.panel.row0 === 0,
      });
    }
  });
  // Models with different vocabularies are cut alike: into panels of which each has several.
  const alike = models.every((m) => m.config.vocab === vocab);
  const widest = Math.max(...models.map((m) => Math.max(m.config.hidden, rows)));
  const panelBytes = Math.min(pass.memory?.panelBytes ?? MAX_BINDING_BYTES, alike ? Infinity : 2 * widest * vocab);
  try {
    await meet.all(models.map(({ source, config }, k) =>
      createDecoder(gpu, source, config, { panelBytes, maxRows: rows }).forward(sequences, {
        signal,
        onLogitsPanel: async (at) => {
          if (at.panel.row0 < vocab) await meet.come(k, at);
        },
        onBlock: () => pass.onBlock?.(),
      }),
    ));
    for (const { i, j, squares } of pairs) {
      const values = await gpu.readFloats(squares, rows);
      let row = 0;
      let sum = 0;
      for (const { length } of sequences) {
        let mean = 0;
        for (let t = 0; t < length; t++) mean += Math.sqrt(values[row++]!) / length;
        sum += mean;
      }
      distance[i]![j] = distance[j]![i] = sum;
    }
    return distance;
  } finally {
    scope.end();
  }
}
