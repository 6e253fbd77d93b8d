import { createSHA256, type IHasher } from "hash-wasm";
import type { OutputFolder } from "../core/files";
import { isFloatDtype } from "../core/tensors";
import type { Gpu } from "../gpu/gpu";
import type { OutputTensor } from "../model/pairing";
import { copyTensor, mergeTensor, type MergeSources, type TensorWork } from "./mergeTensor";
import type { OutputPlan } from "./plan";

export interface WrittenFile {
  path: string;
  bytes: number;
  sha256: string;
}

export interface WriteShards {
  gpu: Gpu | undefined;
  sources: MergeSources;
  plan: OutputPlan;
  /** Asked once per tensor, when its turn comes. Undefined copies the stored bytes. */
  workOf(tensor: OutputTensor): Promise<TensorWork | undefined>;
  output: OutputFolder;
  signal: AbortSignal;
  onBytes(bytes: number): void;
  onShard?(index: number): void;
  sliceElements?: number | undefined;
}

/** A tensor whose stored dtype is the output's, or which is not computed with, is copied bit by bit. */
const isPlainCopy = (tensor: OutputTensor, storedDtype: string): boolean => tensor.action === "copy" && (tensor.dtype === storedDtype || !isFloatDtype(tensor.dtype));

/**
 * Writes every shard from front to back: header, then each tensor slice by slice as it is merged. Nothing larger than a
 * slice of each model is in memory. Returns path, size and SHA-256 of each file.
 */
export async function writeShards(job: WriteShards): Promise<WrittenFile[]> {
  const { gpu, sources, plan, output, signal } = job;
  const hasher = await createSHA256();
  const written: WrittenFile[] = [];
  for (const [index, shard] of plan.shards.entries()) {
    const file = await output.create(shard.path, shard.bytes);
    hasher.init();
    const put = async (bytes: Uint8Array): Promise<void> => {
      hasher.update(bytes);
      await file.write(bytes);
      job.onBytes(bytes.byteLength);
    };
    try {
      await put(shard.header);
      for (const tensor of shard.tensors) {
        const source = tensor.from === "base" ? sources.base.tensors.get(tensor.baseName) : sources.experts[0]?.tensors.get(tensor.tunedNames[0]!);
        if (isPlainCopy(tensor, source!.dtype)) for await (const bytes of copyTensor(sources, tensor, signal)) await put(bytes);
        else {
          const work = (await job.workOf(tensor)) ?? { op: { kind: "copy" as const, ...(tensor.from === "base" ? {} : { source: 0 }) } };
          for await (const { bytes } of mergeTensor(gpu, sources, tensor, work, signal, job.sliceElements)) await put(bytes);
        }
      }
    } finally {
      await file.close();
    }
    written.push({ path: shard.path, bytes: shard.bytes, sha256: hasher.digest("hex") });
    job.onShard?.(index);
  }
  return written;
}

/** Writes a small file whole. */
export async function writeSmall(output: OutputFolder, path: string, bytes: Uint8Array, hasher: IHasher): Promise<WrittenFile> {
  const file = await output.create(path, bytes.byteLength);
  try {
    await file.write(bytes);
  } finally {
    await file.close();
  }
  return { path, bytes: bytes.byteLength, sha256: hasher.init().update(bytes).digest("hex") };
}
