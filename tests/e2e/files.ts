/** Model folders on disk for the browser to take in, and the folders it hands back. */
import { closeSync, copyFileSync, cpSync, ftruncateSync, mkdirSync, openSync, readFileSync, readdirSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { fixtures, ROOT } from "./studio";

/** Copies of base and fine-tuned under names that sort base first: dropped folders take their roles in that order. */
export function copyPair(into: string, set: "qwen2-tiny-f32" | "llama-tiny-bf16"): { base: string; tuned: string } {
  const base = join(into, "tiny-base");
  const tuned = join(into, "tiny-tuned");
  cpSync(join(fixtures, set, "base"), base, { recursive: true });
  cpSync(join(fixtures, set, "finetuned"), tuned, { recursive: true });
  return { base, tuned };
}

/** Copies of the sample pair under names that sort base first. */
export function copySample(into: string): { base: string; tuned: string } {
  const [base, tuned] = [join(into, "a-base"), join(into, "b-tuned")];
  cpSync(join(ROOT, "public/samples/base"), base, { recursive: true });
  cpSync(join(ROOT, "public/samples/long-cot"), tuned, { recursive: true });
  return { base, tuned };
}

/** The bytes behind the header of a folder's model.safetensors: two results of other names have the same. */
export function tensorsOf(folder: string): Buffer {
  const file = readFileSync(join(folder, "model.safetensors"));
  return file.subarray(8 + Number(file.readBigUInt64LE(0)));
}

/** The header of a safetensors file: length, JSON padded to 8. */
export function headerOf(json: string): Buffer {
  const text = Buffer.from(json.padEnd(Math.ceil(Buffer.byteLength(json) / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text]);
}

/** The parsed header of a file on disk, and where its data begins. */
export function readHeader(path: string): { header: Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>; dataStart: number; bytes: Buffer } {
  const bytes = readFileSync(path);
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString()) as ReturnType<typeof readHeader>["header"];
  return { header, dataStart: 8 + length, bytes };
}

/** A folder with the config of `like` and one file of these bytes. */
export function modelFolder(into: string, name: string, like: string, files: Record<string, Buffer | string>): string {
  const folder = join(into, name);
  mkdirSync(folder, { recursive: true });
  copyFileSync(join(like, "config.json"), join(folder, "config.json"));
  for (const [path, content] of Object.entries(files)) writeFileSync(join(folder, path), content);
  return folder;
}

/** A sparse model file of `megabytes` decimal megabytes: zeros, with a mark in every 16 MB so that no two chunks are equal. */
export function bigModel(into: string, name: string, megabytes: number, tensors = 8): string {
  const folder = join(into, name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "config.json"), JSON.stringify({ architectures: ["SparseForCausalLM"], model_type: "sparse" }));
  const each = Math.floor((megabytes * 1e6) / tensors / 8) * 8;
  const entries = Object.fromEntries(Array.from({ length: tensors }, (_, i) => [`layer.${i}.weight`, { dtype: "BF16", shape: [each / 2], data_offsets: [i * each, (i + 1) * each] }]));
  const header = headerOf(JSON.stringify({ __metadata__: { format: "pt" }, ...entries }));
  const file = openSync(join(folder, "model.safetensors"), "w");
  writeSync(file, header);
  ftruncateSync(file, header.length + each * tensors);
  for (let at = 0; at < each * tensors; at += 16e6) writeSync(file, Buffer.from([at / 16e6 + 1, 0x3f]), 0, 2, header.length + at);
  closeSync(file);
  return folder;
}

/** Files of a folder by name. */
export const contents = (folder: string): Map<string, Buffer> => new Map(readdirSync(folder).sort().map((name) => [name, readFileSync(join(folder, name))]));
