import { throwIfCancelled } from "../core/errors";
import type { TensorSource } from "../core/tensors";
import { MAX_BINDING_BYTES, type Gpu } from "../gpu/gpu";
import type { ModelConfig } from "../model/config";
import { createDecoder, type PassResult } from "../model/decoder";
import { fisherVisitor, type FisherTensor } from "./accumulate";
import { labelSampler } from "./labels";
import { PIECE } from "./stored";
import type { PassMemory } from "./types";

/** 2^12, as in the pass of FIM: squares stay clear of subnormals. */
const LOSS_SCALE = 4096;

export interface ModelFisher {
  source: TensorSource;
  config: ModelConfig;
  sequences: number[][];
  /** The tokens themselves, or tokens drawn from the model. */
  labels: "self" | "sampled";
  seed: number;
  signal: AbortSignal;
  memory?: PassMemory | undefined;
  onForwardBlock?(layer: number): void;
  onBackwardBlock?(layer: number): void;
  /** Where F goes, in order: values of a tensor, or the rows of one that is zero elsewhere. */
  store: { add(name: string, elements: number, values: Float32Array): Promise<void>; addRows(name: string, ids: Uint32Array, values: Float32Array): Promise<void> };
}

/** Sums over one tensor in float64. */
export interface FisherSums {
  sum: number;
  square: number;
}

/**
 * The diagonal Fisher of one model at its own weights, all of it handed over, tensor after tensor:
 *   F = mean over sequences of (d loss / d theta)^2,   loss = mean cross entropy of a sequence
 * squared per sequence, so it is the sequence-level Fisher (METHODS 8, A10), not the one of single predictions. Nothing larger than
 * a panel is on the GPU and a piece in memory. Returns the losses and the sums of F and F^2 by tensor. Throws as createDecoder does.
 */
export async function modelFisher(gpu: Gpu, pass: ModelFisher): Promise<PassResult & { sums: Map<string, FisherSums> }> {
  const { source, config, sequences, signal, store } = pass;
  const scale = 1 / (sequences.length * LOSS_SCALE * LOSS_SCALE);
  const sums = new Map<string, FisherSums>();
  const panelBytes = pass.memory?.panelBytes ?? MAX_BINDING_BYTES;

  const read = async (tensor: FisherTensor, buffer: GPUBuffer, count: number, offset: number): Promise<Float32Array> => {
    throwIfCancelled(signal);
    const values = await gpu.readFloats(buffer, count, 4 * offset);
    const known = sums.get(tensor.name) ?? { sum: 0, square: 0 };
    for (let i = 0; i < values.length; i++) {
      const F = Math.fround(values[i]! * scale);
      values[i] = F;
      known.sum += F;
      known.square += F * F;
    }
    sums.set(tensor.name, known);
    return values;
  };
  const onTensor = async (tensor: FisherTensor): Promise<void> => {
    const { name, rows, cols, panels, rowIds } = tensor;
    if (rowIds) return store.addRows(name, rowIds, await read(tensor, panels[0]!.buffer, rowIds.length * cols, 0));
    for (const panel of panels) {
      const count = panel.rows * cols;
      for (let at = 0; at < count; at += PIECE) await store.add(name, rows * cols, await read(tensor, panel.buffer, Math.min(PIECE, count - at), at));
    }
  };

  const { end, ...visitor } = fisherVisitor(gpu, onTensor, panelBytes);
  const sampler = pass.labels === "sampled" ? labelSampler(gpu, sequences, pass.seed) : undefined;
  try {
    const decoder = createDecoder(gpu, source, config, { panelBytes, inputsOnHost: pass.memory?.inputsOnHost });
    const result = await decoder.pass(sequences, {
      visitor, signal,
      lossScale: LOSS_SCALE,
      labels: { targets: sampler?.targets },
      onLogitsPanel: sampler?.onLogitsPanel,
      onForwardBlock: pass.onForwardBlock,
      onBackwardBlock: pass.onBackwardBlock,
    });
    return { ...result, sums };
  } finally {
    end();
  }
}
