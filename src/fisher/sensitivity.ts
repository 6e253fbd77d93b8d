import { throwIfCancelled } from "../core/errors";
import type { TensorSource } from "../core/tensors";
import { MAX_BINDING_BYTES, type Gpu } from "../gpu/gpu";
import { fisherBias, fisherEmbedding, fisherHead, fisherLinear, fisherNorm } from "../kernels/nn/fisher";
import { addSensitivity, finishSensitivity, sensitivityBytes } from "../kernels/stats/sensitivity";
import type { StoredPanel } from "../kernels/stats/weigh";
import type { ModelConfig } from "../model/config";
import { createDecoder, type PassResult } from "../model/decoder";
import type { GradientBatch, GradientVisitor } from "../model/gradients";
import { BufferScope } from "../model/scope";
import { gatherEmbeddingRows, loadVector } from "../model/weights";
import type { PassMemory } from "./types";

/** 2^12, as in the Fisher pass: gradients stay clear of subnormals. */
const LOSS_SCALE = 4096;

export interface SensitivityPass {
  source: TensorSource;
  config: ModelConfig;
  sequences: number[][];
  signal: AbortSignal;
  /** Sums of earlier samples, which these are added to. */
  before?: ReadonlyMap<string, number> | undefined;
  memory?: PassMemory | undefined;
  onForwardBlock?(layer: number): void;
  onBackwardBlock?(layer: number): void;
}

/**
 * How much each tensor of a model matters to its loss on some texts:
 *   S = sum over samples of sum over the entries of |theta dL/dtheta|,   L = mean cross entropy of the sample's tokens
 * in float64 by tensor name; not yet divided by the number of samples, and the same however they are spread over calls. Every sample is a batch of its own, so that the
 * absolute value comes before samples are added; the weights of a block are read once for all of them. An embedding that
 * is the head too has one gradient, of both uses. Source: Sens-Merging, arXiv:2502.12420 (METHODS 6.1).
 */
export async function sensitivities(gpu: Gpu, pass: SensitivityPass): Promise<PassResult & { sums: Map<string, number> }> {
  const { source, config, sequences, signal } = pass;
  const panelBytes = pass.memory?.panelBytes ?? MAX_BINDING_BYTES;
  const scope = new BufferScope(gpu);
  const sums = new Map(pass.before);
  /** Sums of what is being finished, by panel and sample; and its values where nobody else holds them. */
  const open = new Map<string, { partials: GPUBuffer; samples: number; theta?: GPUBuffer }>();

  /** One gradient of a panel: formed, multiplied, added up; after the last sample its sum is read. */
  const add = async (name: string, row0: number, elements: number, batch: GradientBatch, form: (out: GPUBuffer) => void, theta: (known: GPUBuffer | undefined) => Promise<StoredPanel> | StoredPanel, alone = false): Promise<void> => {
    throwIfCancelled(signal);
    const key = `${name}@${row0}`;
    const state = open.get(key) ?? { partials: scope.alloc((alone ? 1 : sequences.length) * sensitivityBytes(elements), "sensitivity"), samples: 0 };
    open.set(key, state);
    const values = await theta(state.theta);
    const gradient = scope.alloc(4 * elements, `gradient ${name}`);
    form(gradient);
    addSensitivity(gpu, { theta: values, gradient, partials: { buffer: state.partials, offset: state.samples++ * sensitivityBytes(elements), size: sensitivityBytes(elements) }, elements });
    scope.free(gradient);
    if (!batch.last && !alone) return;
    open.delete(key);
    sums.set(name, (await finishSensitivity(gpu, LOSS_SCALE * (sums.get(name) ?? 0), state.partials, elements, state.samples)) / LOSS_SCALE);
    scope.free(state.partials, state.theta);
  };
  /** A gain or bias, which the decoder does not show: read with the first sample, held until the last. */
  const vector = (name: string) => async (known: GPUBuffer | undefined): Promise<StoredPanel> => {
    const buffer = known ?? scope.adopt(await loadVector(gpu, source, name));
    open.get(`${name}@0`)!.theta = buffer;
    return { buffer, dtype: "F32" };
  };
  const plain = ({ starts, sequences: count }: GradientBatch) => ({ starts, sequences: count, accumulate: false, square: false });

  const visitor: GradientVisitor = {
    async linear({ name, biasName, N, K, x, dy, weight }, batch) {
      for (const panel of weight.panels) {
        const form = (out: GPUBuffer): void => fisherLinear(gpu, { ...plain(batch), x, dy, N, K, row0: panel.row0, rows: panel.rows, dyStride: N, dyColumn0: panel.row0, out });
        await add(name, panel.row0, panel.rows * K, batch, form, () => ({ buffer: panel.buffer, dtype: weight.dtype }));
      }
      if (biasName !== undefined) await add(biasName, 0, N, batch, (out) => fisherBias(gpu, { ...plain(batch), dy, N, out }), vector(biasName));
    },
    async norm({ name, C, x, rstd, dy, rowsPerToken }, batch) {
      await add(name, 0, C, batch, (out) => fisherNorm(gpu, { ...plain(batch), x, rstd, dy, C, rowsPerToken, out }), vector(name));
    },
    async embedding({ name, C, tokens, dx, tied }, batch) {
      if (tied) return; // counted with the head
      const ids = Uint32Array.from(new Set(tokens)).sort();
      const rows = scope.upload(await gatherEmbeddingRows(source, name, ids), "embedding rows");
      // The rows differ from sample to sample.
      await add(name, 0, ids.length * C, batch, (out) => fisherEmbedding(gpu, { dx, tokens, startsCpu: batch.startsCpu, ids, C, out, square: false }), () => ({ buffer: rows, dtype: "F32" }), true);
      scope.free(rows);
    },
    async head({ name, C, row0, rows, hidden, dlogits, embedding, weight }, batch) {
      await add(name, row0, rows * C, batch, (out) => fisherHead(gpu, { ...plain(batch), x: hidden, dy: dlogits, K: C, row0, rows, embedding, out }), () => ({ buffer: weight.panels[0]!.buffer, dtype: weight.dtype }));
    },
  };
  try {
    const decoder = createDecoder(gpu, source, config, { panelBytes, inputsOnHost: pass.memory?.inputsOnHost, maxRows: 1 });
    const result = await decoder.pass(sequences, { visitor, signal, lossScale: LOSS_SCALE, onForwardBlock: pass.onForwardBlock, onBackwardBlock: pass.onBackwardBlock });
    return { ...result, sums };
  } finally {
    scope.end();
  }
}
