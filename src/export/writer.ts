import type { FileMark, OutputFolder } from "../core/files";
import type { Gpu } from "../gpu/gpu";
import type { OutputTensor } from "../model/pairing";
import { markIn, readNote, type ExportNote, type WrittenFile } from "./journal";
import { copyTensor } from "./copyTensor";
import { mergeTensor, type MergeSources, type TensorWork } from "./mergeTensor";
import type { OutputPlan, PlannedShard } from "./plan";

export type { WrittenFile } from "./journal";

export interface WriteShards {
  gpu: Gpu | undefined;
  sources: MergeSources;
  plan: OutputPlan;
  /** Asked once per tensor, when its turn comes. Undefined copies the stored bytes. */
  workOf(tensor: OutputTensor): Promise<TensorWork | undefined>;
  output: OutputFolder;
  signal: AbortSignal;
  onBytes(bytes: number): void;
  /** Bytes of an earlier try that are there already; told before the bytes that follow them. */
  onKept?(bytes: number): void;
  onShard?(index: number): void;
  sliceElements?: number | undefined;
  /** At the end of a tensor, when this many bytes were written since the last time, what is done is flushed and noted. */
  flushBytes?: number | undefined;
}

const FLUSH_BYTES = 256 * 1024 * 1024;
const MIN_FLUSH_BYTES = 64 * 1024;

/** A sixteenth of the whole, from 64 KiB to 256 MiB: an export that stops has that much to do again, and the tensor it was in. */
const flushBytesOf = (plan: OutputPlan): number => Math.min(FLUSH_BYTES, Math.max(MIN_FLUSH_BYTES, Math.ceil(plan.tensorBytes / 16)));

/** The stored bytes of an output tensor, slice by slice. */
async function* bytesOf({ gpu, sources, workOf, signal, sliceElements }: WriteShards, tensor: OutputTensor): AsyncGenerator<Uint8Array> {
  const work = await workOf(tensor);
  if (work) for await (const { bytes } of mergeTensor(gpu, sources, tensor, work, signal, sliceElements)) yield bytes;
  yield* copyTensor(sources, tensor, signal);
}

/**
 * Writes every shard from front to back: header, then each tensor slice by slice as it is merged. Nothing larger than a
 * slice of each model is in memory. With a journal, whole shards and tensors of an earlier try are taken over. Returns path,
 * size and SHA-256 of each file.
 */
export async function writeShards(job: WriteShards): Promise<WrittenFile[]> {
  const { plan, output } = job;
  const written: WrittenFile[] = [];
  let earlier = readNote(output.journal?.earlier);
  const note = async (current?: ExportNote["current"]): Promise<void> => output.journal?.note({ v: 1, files: [...written], ...(current ? { current } : {}) } satisfies ExportNote);
  for (const [index, shard] of plan.shards.entries()) {
    const known = earlier?.files[index];
    if (known?.path === shard.path && known.bytes === shard.bytes && (await output.journal!.adopt(shard.path, shard.bytes))) {
      written.push(known);
      job.onKept?.(shard.bytes);
    } else {
      const mark = markIn(shard, earlier);
      const sha256 = await writeShard(job, shard, mark && (await output.journal!.holds(shard.path, mark.bytes)) ? mark : undefined, note);
      written.push({ path: shard.path, bytes: shard.bytes, sha256 });
      // What was noted about later shards is of another state of things.
      earlier = undefined;
      await note();
    }
    job.onShard?.(index);
  }
  return written;
}

/** One shard, from its beginning or from a mark in it; returns its SHA-256. */
async function writeShard(job: WriteShards, shard: PlannedShard, mark: FileMark | undefined, note: (current: ExportNote["current"]) => Promise<void>): Promise<string> {
  const file = await job.output.create(shard.path, shard.bytes, mark);
  const flushBytes = job.flushBytes ?? flushBytesOf(job.plan);
  let unflushed = 0;
  let noting: Promise<void> = Promise.resolve();
  const put = async (bytes: Uint8Array): Promise<void> => {
    await file.write(bytes);
    unflushed += bytes.byteLength;
    job.onBytes(bytes.byteLength);
  };
  const flush = async (): Promise<void> => {
    const at = await file.flush();
    if (at) await note({ path: shard.path, mark: at });
  };
  if (mark) job.onKept?.(mark.bytes);
  else await put(shard.header);
  for (const tensor of shard.tensors) {
    if (mark && tensor.begin < mark.bytes) continue;
    for await (const bytes of bytesOf(job, tensor)) await put(bytes);
    if (unflushed < flushBytes || tensor.end === shard.bytes) continue;
    unflushed = 0;
    await noting;
    // Asked for now, so that it covers exactly what was written; the next tensor is merged meanwhile.
    noting = flush();
    noting.catch(() => undefined);
  }
  await noting;
  return file.close();
}

/** Writes a small file whole. */
export async function writeSmall(output: OutputFolder, path: string, bytes: Uint8Array): Promise<WrittenFile> {
  const file = await output.create(path, bytes.byteLength);
  await file.write(bytes);
  return { path, bytes: bytes.byteLength, sha256: await file.close() };
}
