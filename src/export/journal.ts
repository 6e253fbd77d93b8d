import { sha256 } from "../core/digest";
import type { FileMark } from "../core/files";
import type { OutputPlan, PlannedShard } from "./plan";

export interface WrittenFile {
  path: string;
  bytes: number;
  sha256: string;
}

/** What is noted after each flush: the shards that are whole, and how far the one in work has come, a whole number of tensors. */
export interface ExportNote {
  v: 1;
  files: WrittenFile[];
  current?: { path: string; mark: FileMark };
}

/** The note of an earlier try; undefined for anything else. */
export function readNote(earlier: unknown): ExportNote | undefined {
  const note = earlier as Partial<ExportNote> | undefined;
  return note?.v === 1 && Array.isArray(note.files) ? (note as ExportNote) : undefined;
}

/** Bytes that a later try need not write again. */
export const keptBytes = (earlier: unknown): number => {
  const note = readNote(earlier);
  return note ? note.files.reduce((sum, f) => sum + f.bytes, 0) + (note.current?.mark.bytes ?? 0) : 0;
};

/** The mark to go on with in this shard: one that lies at the beginning of a tensor, or at the end of the last. */
export function markIn(shard: PlannedShard, note: ExportNote | undefined): FileMark | undefined {
  const current = note?.current;
  if (current?.path !== shard.path) return undefined;
  const { bytes } = current.mark;
  return bytes === shard.bytes || shard.tensors.some((t) => t.begin === bytes) ? current.mark : undefined;
}

/**
 * What the bytes of an export follow from: two exports with one key write the same files, so that one can go on where the
 * other stopped. `inputs` names the models by content, `numbers` is what the pass found, `adapter` rounds its own way.
 */
export async function exportKey(job: { recipeHash: string; plan: OutputPlan; inputs: unknown; numbers: unknown; adapter: string }): Promise<string> {
  const { recipeHash, plan, inputs, numbers, adapter } = job;
  const shards = plan.shards.map((s) => [s.path, s.bytes, new TextDecoder().decode(s.header), s.tensors.map((t) => [t.from, t.action, t.baseName, t.tunedNames])]);
  return sha256(JSON.stringify([recipeHash, shards, inputs, numbers, adapter]));
}
