import { defineKernel } from "../../gpu/kernel";
import type { Binding, Gpu } from "../../gpu/gpu";
import embeddingFisherWgsl from "../../../shaders/nn/embedding_fisher.wgsl?raw";

/** Sum over sequences of the squared gradient of embedding rows, see shaders/nn/embedding_fisher.wgsl. */
export const embeddingFisher = defineKernel({
  name: "nn/embedding_fisher",
  wgsl: embeddingFisherWgsl,
  inputs: ["dx", "offsets", "rows", "sequence"],
  outputs: ["out"],
  params: { T: "u32", unique: "u32", C: "u32", accumulate: "u32", scale: "f32", group0: "u32" },
  constants: { SQUARE: 1, GROUP: 64 },
  workgroups: ({ unique, C }, c) => Math.ceil((unique * C) / c.GROUP!),
  cost: ({ T, unique, C }) => (T + unique) * C,
});

/** Where each token of a list occurs: token unique[i] at entries [offsets[i], offsets[i+1]) of `rows` and `sequence`. */
export interface Occurrences {
  /** Token ids, ascending. */
  unique: Uint32Array;
  offsets: Uint32Array;
  /** Rows of the batch, ascending within a token. */
  rows: Uint32Array;
  sequence: Uint32Array;
}

/**
 * Occurrences in a batch whose sequence s owns rows [starts[s], starts[s+1]). `unique` fixes the list of token ids
 * (ascending; a token that does not occur gets an empty range, a token that is not listed is left out), so that several
 * batches add into one compact buffer, or a long list is worked off in parts; without it, the tokens of the batch.
 */
export function tokenOccurrences(tokens: Uint32Array, starts: Uint32Array, unique: Uint32Array = Uint32Array.from(new Set(tokens)).sort()): Occurrences {
  const slot = new Map(Array.from(unique, (id, i) => [id, i]));
  const offsets = new Uint32Array(unique.length + 1);
  for (const token of tokens) {
    const i = slot.get(token);
    if (i !== undefined) offsets[i + 1]! += 1;
  }
  for (let i = 0; i < unique.length; i++) offsets[i + 1]! += offsets[i]!;
  const next = offsets.slice();
  const rows = new Uint32Array(offsets[unique.length]!);
  const sequence = new Uint32Array(rows.length);
  for (let s = 0; s + 1 < starts.length; s++)
    for (let row = starts[s]!; row < starts[s + 1]!; row++) {
      const i = slot.get(tokens[row]!);
      if (i === undefined) continue;
      const at = next[i]!++;
      rows[at] = row;
      sequence[at] = s;
    }
  return { unique, offsets, rows, sequence };
}

/**
 * out[i,c] (+)= scale * sum_s (sum of dx[t,c] over rows t of s whose token is occurrences.unique[i])^2.
 * dx is f32 [rows, C], out f32 [unique, C]: all other rows of the embedding's Fisher are zero.
 * `square: false` sums the plain gradients.
 */
export function fisherEmbedding(gpu: Gpu, call: { dx: Binding; occurrences: Occurrences; C: number; out: Binding; accumulate: boolean; scale?: number; square?: boolean }): void {
  const { dx, occurrences, C, out, accumulate, scale = 1, square = true } = call;
  const lists = [occurrences.offsets, occurrences.rows, occurrences.sequence].map((list) => gpu.upload(list)) as [GPUBuffer, GPUBuffer, GPUBuffer];
  gpu.run(
    embeddingFisher,
    { dx, offsets: lists[0], rows: lists[1], sequence: lists[2], out },
    { T: occurrences.rows.length, unique: occurrences.unique.length, C, accumulate: accumulate ? 1 : 0, scale },
    { SQUARE: square ? 1 : 0 },
  );
  gpu.release(...lists);
}
