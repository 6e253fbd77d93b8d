import type { Batch } from "./batches";
import type { BlockBatch } from "./block";
import type { GradientBatch } from "./gradients";
import type { BufferScope } from "./scope";

/** One batch on the GPU while a pass runs; the buffers below come and go as the pass moves on. f32 unless said. */
export class BatchState implements BlockBatch {
  readonly rows: number;
  readonly longest: number;
  readonly spans: GPUBuffer;
  readonly gradient: GradientBatch;
  /** Current hidden states [rows, C]. */
  x!: GPUBuffer;
  /** The same in host memory, where they wait for the next block. */
  waiting: Float32Array | undefined;
  /** Input of each block kept for the backward pass: on the GPU, in host memory, or absent where only a journal has it. */
  readonly inputs: (GPUBuffer | Float32Array | undefined)[] = [];
  /** Output of the final norm [rows, C], and its rstd [rows]. */
  normed!: GPUBuffer;
  rstd!: GPUBuffer;
  /** d loss / d x [rows, C], on its way down. */
  dx!: GPUBuffer;

  constructor(
    scope: BufferScope,
    readonly batch: Batch,
    place: { first: boolean; last: boolean },
  ) {
    this.rows = batch.rows;
    this.longest = batch.longest;
    this.spans = scope.upload(batch.spans, "spans");
    this.gradient = { sequences: batch.sequences.length, firstSequence: batch.firstSequence, rows: batch.rows, starts: scope.upload(batch.starts, "starts"), startsCpu: batch.starts, ...place };
  }
}
