import { StudioError } from "../core/errors";

/**
 * Sequences concatenated in their order and cut every `length` tokens, the rest dropped: what the published code of AIM feeds,
 * with blocks of 512. Throws "bad-request" when they do not fill one block. Source: METHODS 5.
 */
export function blocksOf(sequences: number[][], length = 512): number[][] {
  const tokens = sequences.flat();
  const blocks = Array.from({ length: Math.floor(tokens.length / length) }, (_, i) => tokens.slice(i * length, (i + 1) * length));
  if (blocks.length === 0)
    throw new StudioError("bad-request", `Cutting the calibration texts into blocks: together they have ${tokens.length} tokens, and a block takes ${length}. Take more texts, or feed each text by itself.`, {
      title: "Too little calibration text", found: `${tokens.length} tokens`, expected: `at least ${length}`,
    });
  return blocks;
}

/** Sequences in runs whose tokens together are at most `tokens`; a longer sequence is a run of its own. */
export function runsOf(sequences: number[][], tokens: number): { first: number; sequences: number[][] }[] {
  const runs: { first: number; sequences: number[][] }[] = [];
  let held = Infinity;
  sequences.forEach((sequence, s) => {
    held += sequence.length;
    if (held <= tokens) return void runs.at(-1)!.sequences.push(sequence);
    runs.push({ first: s, sequences: [sequence] });
    held = sequence.length;
  });
  return runs;
}
