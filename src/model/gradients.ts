import type { Weight } from "../gpu/weight";

/**
 * What the backward pass shows to whoever wants gradients of parameters. Buffers are f32 on the GPU, row-major, and
 * valid until the returned promise settles. Rows are the tokens of all sequences of the batch, one after another:
 * sequence s owns rows [starts[s], starts[s + 1]).
 */
export interface GradientBatch {
  sequences: number;
  /** Place of the batch's first sequence in the list that was given. */
  firstSequence: number;
  rows: number;
  /** u32 [sequences + 1] on the GPU. */
  starts: GPUBuffer;
  /** The same on the CPU. */
  startsCpu: Uint32Array;
  /** True for the first / last batch of the pass that touches this tensor: the pass may be cut into several batches. */
  first: boolean;
  last: boolean;
}

/** A linear layer y = x W^T + b, W [N, K]. Gradient of sequence s: dW_s = dy_s^T x_s, db_s = column sums of dy_s. */
export interface LinearGradient {
  name: string;
  biasName: string | undefined;
  N: number;
  K: number;
  x: GPUBuffer;
  dy: GPUBuffer;
  /** W itself as stored: whoever compares it with another checkpoint need not read it again. */
  weight: Weight;
}

/**
 * RMSNorm gains [C] over rows of length C. Gradient of sequence s: dgain_s[c] = sum over its rows of dy * x * rstd.
 * `rowsPerToken` is 1, or the number of heads for q_norm and k_norm (then there are rows * rowsPerToken rows of length C).
 */
export interface NormGradient {
  name: string;
  C: number;
  x: GPUBuffer;
  rstd: GPUBuffer;
  dy: GPUBuffer;
  rowsPerToken: number;
}

/** Input embedding: gradient row of token v in sequence s is the sum of dx over its rows whose token is v. `tokens` per row, on the CPU. */
export interface EmbeddingGradient {
  name: string;
  V: number;
  C: number;
  tokens: Uint32Array;
  dx: GPUBuffer;
  /** The head shares this tensor: its gradient adds to the one given to `head`. */
  tied: boolean;
}

/**
 * Rows [row0, row0 + rows) of the output head [V, C]; dlogits [batch rows, rows] of that panel. When `tied`, this is
 * called after the blocks (with the embedding's dx known), so that both parts can be summed before squaring.
 */
export interface HeadGradient {
  name: string;
  V: number;
  C: number;
  row0: number;
  rows: number;
  hidden: GPUBuffer;
  dlogits: GPUBuffer;
  /** These rows of the head as stored. */
  weight: Weight;
  tied: boolean;
  /** With `tied`: the embedding's side, to be added per sequence before squaring. */
  embedding?: { tokens: Uint32Array; dx: GPUBuffer };
}

export interface GradientVisitor {
  linear?(gradient: LinearGradient, batch: GradientBatch): Promise<void>;
  norm?(gradient: NormGradient, batch: GradientBatch): Promise<void>;
  embedding?(gradient: EmbeddingGradient, batch: GradientBatch): Promise<void>;
  head?(gradient: HeadGradient, batch: GradientBatch): Promise<void>;
  /** All parameters of the block have been shown (for every batch). */
  blockDone?(layer: number): Promise<void>;
}
