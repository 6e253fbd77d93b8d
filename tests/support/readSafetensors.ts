import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { safetensors } from "@jax-js/loaders";

/** One tensor as a reader that shares no code with this project sees it. */
export interface ForeignTensor {
  dtype: string;
  shape: number[];
  data: Float32Array;
}

/** All tensors of one file, read by a published package. It knows F32, not BF16; another dtype throws. */
export function readSafetensors(path: string): Map<string, ForeignTensor> {
  const bytes = readFileSync(path);
  const { tensors } = safetensors.parse(new Uint8Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)));
  return new Map(
    Object.entries(tensors).map(([name, { dtype, shape, data }]) => {
      if (!(data instanceof Float32Array)) throw new Error(`${path}: "${name}" is ${dtype}, this reader is used for F32`);
      return [name, { dtype, shape, data }];
    }),
  );
}

/** The tensors of every shard in a folder; a name in two shards is an error. */
export function readShards(folder: string): Map<string, ForeignTensor> {
  const all = new Map<string, ForeignTensor>();
  for (const file of readdirSync(folder).filter((f) => f.endsWith(".safetensors")).sort())
    for (const [name, tensor] of readSafetensors(join(folder, file))) {
      if (all.has(name)) throw new Error(`"${name}" is in two shards of ${folder}`);
      all.set(name, tensor);
    }
  return all;
}

/** max |a - b| over two tensors of one shape. */
export function largestDifference(a: ForeignTensor, b: ForeignTensor): number {
  if (a.shape.join() !== b.shape.join()) throw new Error(`shapes differ: [${a.shape}] and [${b.shape}]`);
  let most = 0;
  for (let i = 0; i < a.data.length; i++) {
    const difference = Math.abs(a.data[i]! - b.data[i]!);
    // Not Math.max alone: a NaN must fail, not vanish.
    if (!(difference <= most)) most = difference;
  }
  return most;
}
