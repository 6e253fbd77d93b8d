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

/** Where each token of a list occurs: the i-th at entries [offsets[i], offsets[i+1]) of `rows` and `sequence`. */
export interface Occurrences {
  offsets: Uint32Array;
  /** Rows of the batch, ascending within a token. */
  rows: Uint32Array;
  sequence: Uint32Array;
}

/**
 * Occurrences in a batch whose sequence s owns rows [starts[s], starts[s+1]). A token of `ids` that does
 * not occur gets an empty range, a token that is not listed is left out: several batches can add into one compact
 * buffer, and a long list can be worked off in parts.
 */
export function tokenOccurrences(tokens: Uint32Array, starts: Uint32Array, ids: Uint32Array): Occurrences {
  const slot = new Map(Array.from(ids, (id, i) => [id, i]));
  const offsets = new Uint32Array(ids.length + 1);
  for (const token of tokens) {
    const i = slot.get(token);
    if (i !== undefined) offsets[i + 1]! += 1;
  }
  for (let i = 0; i < ids.length; i++) offsets[i + 1]! += offsets[i]!;
  const next = offsets.slice();
  const rows = new Uint32Array(offsets[ids.length]!);
  const sequence = new Uint32Array(rows.length);
  for (let s = 0; s + 1 < starts.length; s++)
    for (let row = starts[s]!; row < starts[s + 1]!; row++) {
      const i = slot.get(tokens[row]!);
      if (i === undefined) continue;
      const at = next[i]!++;
      rows[at] = row;
      sequence[at] = s;
    }
  return { offsets, rows, sequence };
}

/** dx f32 [T, C] on the GPU; token per row and sequence starts on the CPU; out f32 [ids.length, C]. */
export interface FisherEmbeddingCall {
  dx: Binding;
  tokens: Uint32Array;
  startsCpu: Uint32Array;
  /** Token ids of the rows of `out`, ascending. */
  ids: Uint32Array;
  C: number;
  out: Binding;
  /** out += instead of out =. */
  accumulate?: boolean;
  scale?: number;
  /** False: the sum of the plain gradients. */
  square?: boolean;
}

/**
 * out[i,c] (+)= scale * sum_s (sum of dx[t,c] over rows t of s whose token is ids[i])^2. With the distinct tokens of the
 * batch as ids, all other rows of the embedding's Fisher are zero.
 */
export function fisherEmbedding(gpu: Gpu, call: FisherEmbeddingCall): void {
  const { dx, C, out, accumulate = false, scale = 1, square = true } = call;
  const occurrences = tokenOccurrences(call.tokens, call.startsCpu, call.ids);
  const lists = [occurrences.offsets, occurrences.rows, occurrences.sequence].map((list) => gpu.upload(list)) as [GPUBuffer, GPUBuffer, GPUBuffer];
  gpu.run(
    embeddingFisher,
    { dx, offsets: lists[0], rows: lists[1], sequence: lists[2], out },
    { T: occurrences.rows.length, unique: call.ids.length, C, accumulate: accumulate ? 1 : 0, scale },
    { SQUARE: square ? 1 : 0 },
  );
  gpu.release(...lists);
}
