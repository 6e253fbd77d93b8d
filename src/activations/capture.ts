import { StudioError } from "../core/errors";
import type { Checkpoint } from "../core/tensors";
import type { Gpu } from "../gpu/gpu";
import { parseModelConfig, type ModelConfig } from "../model/config";
import { createDecoder, type DecoderOptions, type ForwardOptions } from "../model/decoder";
import type { ForwardVisitor } from "../model/forwardVisitor";
import { fisherSupport } from "../model/support";

/** A model that can be walked: a folder, or one that is formed while it is read (a merge that was not written yet). */
export type Model = Pick<Checkpoint, "tensors" | "read" | "lease" | "config">;

/** `inputsOnHost` bounds what the GPU holds between two blocks: without it the hidden states of all sequences, 4 C bytes a token. */
export interface CaptureOptions extends DecoderOptions, Pick<ForwardOptions, "signal" | "onBlock" | "onLogitsPanel"> {}

/**
 * Walks `sequences` through a model, block by block, and shows the visitor what goes into and comes out of the modules.
 * Blocks come in order; of one block all batches, in the order of the sequences, before the next block. No loss is
 * formed; the head is read for `onLogitsPanel` alone. Which sequences share a batch moves results by rounding at most.
 * Throws "bad-request" for unusable tokens and for architectures without a forward, "cancelled", and what reading throws.
 */
export async function capture(gpu: Gpu, model: Model, sequences: number[][], visitor: ForwardVisitor, options: CaptureOptions = {}): Promise<void> {
  const { signal, onBlock, onLogitsPanel, ...decoder } = options;
  await createDecoder(gpu, model, configOf(model), decoder).forward(sequences, { visitor, loss: false, signal, onBlock, onLogitsPanel });
}

/** The model's configuration, where a forward exists for it. */
export function configOf(model: Model): ModelConfig {
  const { available, reason } = fisherSupport(model.config, model.tensors);
  if (!available) throw new StudioError("bad-request", `Running the calibration text through the model: this cannot be done. ${reason} Choose a method without calibration.`, { title: "No forward for this model", found: reason ?? "" });
  return parseModelConfig(model.config);
}
