import { StudioError } from "../core/errors";
import { MAX_BINDING_BYTES } from "../gpu/gpu";
import type { ModelConfig } from "./config";

/** Sequences whose rows are computed together, one after another. */
export interface Batch {
  /** Index of the first sequence in the list that was planned; the batch holds the next ones in order. */
  firstSequence: number;
  sequences: number[][];
  rows: number;
  /** Length of the longest sequence. */
  longest: number;
  /** Token id of each row. */
  tokens: Uint32Array;
  /** Sequence s owns rows [starts[s], starts[s + 1]). */
  starts: Uint32Array;
  /** [rows, 2]: first row and one past the last row of each row's sequence. */
  spans: Uint32Array;
}

export interface BatchLimits {
  /** A batch holds at least one sequence, and more while its rows stay within this. */
  maxRows: number;
  /** No activation, nor the attention probabilities of one head, is larger. */
  maxBytes: number;
}

export const DEFAULT_LIMITS: BatchLimits = { maxRows: 512, maxBytes: MAX_BINDING_BYTES };

type Sizes = Pick<ModelConfig, "hidden" | "intermediate" | "heads" | "kvHeads" | "headDim" | "vocab">;

/** Throws "bad-request" naming the sequence and the position of the first thing that is wrong. */
export function checkSequences(sequences: readonly (readonly number[])[], vocab: number): void {
  const refuse = (sentence: string, where: string): never => {
    throw new StudioError("bad-request", `Reading the token sequences: ${sentence}`, { title: "Unusable token ids", where });
  };
  if (sequences.length === 0) refuse("there is none; at least one sequence of two tokens is needed.", "the list of sequences");
  sequences.forEach((sequence, s) => {
    const where = `sequence ${s + 1}`;
    if (sequence.length < 2) refuse(`${where} has ${sequence.length} token${sequence.length === 1 ? "" : "s"}; at least 2 are needed, because each token is predicted from those before it.`, where);
    sequence.forEach((id, position) => {
      if (!Number.isInteger(id) || id < 0 || id >= vocab)
        refuse(`${where} has ${String(id)} at position ${position + 1}; token ids of this model are whole numbers from 0 to ${vocab - 1}. Use the tokenizer of the base model.`, `${where}, position ${position + 1}`);
    });
  });
}

/**
 * Packs sequences, in order, into batches:
 *   rows <= maxRows (a longer sequence is a batch of its own),
 *   4 rows max(C, F, H D, KV D) <= maxBytes,   4 rows longest <= maxBytes  (the probabilities of one head)
 * The order of sums over sequences is therefore the order of the list, whatever the packing.
 * Throws "bad-request" for unusable ids and for a sequence that does not fit alone.
 */
export function planBatches(sequences: number[][], config: Sizes, limits: Partial<BatchLimits> = {}): Batch[] {
  const { maxRows, maxBytes } = { ...DEFAULT_LIMITS, ...limits };
  checkSequences(sequences, config.vocab);
  const widest = Math.max(config.hidden, config.intermediate, config.heads * config.headDim, config.kvHeads * config.headDim);
  const fits = (rows: number, longest: number): boolean => 4 * rows * widest <= maxBytes && 4 * rows * longest <= maxBytes;
  const batches: Batch[] = [];
  let first = 0;
  while (first < sequences.length) {
    let rows = sequences[first]!.length;
    let longest = rows;
    if (!fits(rows, longest)) {
      const most = Math.floor(Math.min(maxBytes / (4 * widest), Math.sqrt(maxBytes / 4)));
      throw new StudioError("bad-request", `Planning the pass: sequence ${first + 1} has ${rows} tokens, and with this model at most ${most} fit in a GPU buffer. Cut it into shorter sequences.`, {
        title: "A sequence is too long", where: `sequence ${first + 1}`, found: `${rows} tokens`, expected: `at most ${most}`,
      });
    }
    let end = first + 1;
    for (; end < sequences.length; end++) {
      const length = sequences[end]!.length;
      if (rows + length > maxRows || !fits(rows + length, Math.max(longest, length))) break;
      rows += length;
      longest = Math.max(longest, length);
    }
    batches.push(packBatch(sequences.slice(first, end), first));
    first = end;
  }
  return batches;
}

function packBatch(sequences: number[][], firstSequence: number): Batch {
  const starts = new Uint32Array(sequences.length + 1);
  sequences.forEach((sequence, s) => (starts[s + 1] = starts[s]! + sequence.length));
  const rows = starts.at(-1)!;
  const spans = new Uint32Array(2 * rows);
  for (let s = 0; s < sequences.length; s++)
    for (let row = starts[s]!; row < starts[s + 1]!; row++) {
      spans[2 * row] = starts[s]!;
      spans[2 * row + 1] = starts[s + 1]!;
    }
  return { firstSequence, sequences, rows, longest: Math.max(...sequences.map((x) => x.length)), tokens: Uint32Array.from(sequences.flat()), starts, spans };
}
