import { StudioError } from "../core/errors";

/**
 * A pass in steps, each of which can be the last that an interrupted run finished:
 *   0 .. L-1        forward through a block       leaves x.1 .. x.L, the input of each next block
 *   L               the loss                      leaves labels and log-sum-exp of each row
 *   L+1             backward through the head     leaves dx.L, the gradient that arrives below the head
 *   L+2 .. 2L+1     backward through block L-1-i  leaves dx.l, the gradient that arrives below block l
 *   2L+2            the embedding, and a tied head
 * Every array is f32 [rows, C] of one batch, named "x.<layer>.<batch>"; what later steps do not read is dropped.
 */
export interface WalkSteps {
  loss: number;
  head: number;
  firstBackward: number;
  embedding: number;
  all: number;
}

export const walkSteps = (layers: number): WalkSteps => ({ loss: layers, head: layers + 1, firstBackward: layers + 2, embedding: 2 * layers + 2, all: 2 * layers + 3 });

/** The block whose backward step comes next; -1 when only the embedding is left. */
export const nextBackward = (layers: number, done: number): number => layers - 1 - Math.max(0, done - walkSteps(layers).firstBackward);

export const inputName = (layer: number, batch: number): string => `x.${layer}.${batch}`;
export const gradientName = (layer: number, batch: number): string => `dx.${layer}.${batch}`;
export const labelsName = (batch: number): string => `labels.${batch}`;
export const lossName = (batch: number): string => `loss.${batch}`;

/** Where a pass that was interrupted left off, and where it puts what it needs to go on from there. */
export interface WalkJournal {
  /** Finished steps. */
  readonly done: number;
  /** Loss of each sequence, once that step is finished. */
  readonly losses: number[] | undefined;
  /** Throws journalDamaged unless the arrays of these names are there. */
  require(names: readonly string[]): Promise<void>;
  /** Throws journalDamaged unless the array is there with this length. */
  read(name: string, length: number): Promise<Float32Array>;
  put(name: string, values: Float32Array): Promise<void>;
  /** The first `done` steps are finished; arrays put before this count from now on, those named in `drop` no longer. */
  commit(done: number, change: { losses?: number[] | undefined; drop: readonly string[] }): Promise<void>;
}

/** Arrays that the rest of a pass reads, when `done` steps are finished. */
export function neededArrays(config: { layers: number; tied: boolean }, batches: number, done: number): string[] {
  const { layers: L, tied } = config;
  const steps = walkSteps(L);
  if (done >= steps.all) return [];
  const names: string[] = [];
  const next = nextBackward(L, done);
  for (let b = 0; b < batches; b++) {
    // The input of block 0 is gathered again; of a finished block nothing is read.
    for (let layer = 1; layer <= Math.min(done, next); layer++) names.push(inputName(layer, b));
    if (done >= L && (done <= steps.head || tied)) names.push(inputName(L, b));
    if (done > steps.loss && (done <= steps.head || tied)) names.push(labelsName(b), lossName(b));
    if (done > steps.head) names.push(gradientName(next + 1, b));
  }
  return [...new Set(names)];
}

/** A journal that cannot be continued: whoever asked for the pass drops it and starts over. */
export const journalDamaged = (what: string): StudioError =>
  new StudioError("internal", `Continuing an interrupted pass: ${what}. The pass has to start over.`, { title: "The journal is not whole", journalDamaged: true });
