import type { GradientBatch } from "./gradients";

/**
 * What a forward walk shows of its modules. Buffers are f32 on the GPU, row-major, rows as in GradientBatch, and valid until
 * the returned promise settles: work encoded before then sees them unchanged, later steps may write over them.
 */
export interface ModuleInput {
  /**
   * Weights of the modules that read this tensor: q, k and v, or gate and up, come in one call. The head goes by
   * "lm_head.weight", also where it shares the embedding's tensor.
   */
  names: readonly string[];
  kind: "linear" | "norm";
  /** [rows * rowsPerToken, K] */
  x: GPUBuffer;
  K: number;
  /** 1, or the number of heads for q_norm and k_norm. */
  rowsPerToken: number;
}

/** Output of a linear layer in a block (its bias included, the residual not yet added), of the embedding, or of the final norm: [rows, N]. */
export interface ModuleOutput {
  name: string;
  y: GPUBuffer;
  N: number;
}

export interface ForwardVisitor {
  /** Every linear layer and RMSNorm of the model, in the order in which they are computed. */
  input?(at: ModuleInput, batch: GradientBatch): Promise<void>;
  output?(at: ModuleOutput, batch: GradientBatch): Promise<void>;
  /** All modules of the block have been shown, for every batch. */
  blockDone?(layer: number): Promise<void>;
}
