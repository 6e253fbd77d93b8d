import { memoryFile, type FileSource } from "../../src/core/files";
import type { Checkpoint, FloatDtype } from "../../src/core/tensors";
import { openCheckpoint } from "../../src/formats/checkpoint";
import { fromFloat32, toFloat32 } from "../../src/formats/dtypes";
import { writeSafetensorsHeader } from "../../src/formats/safetensors";
import { randomFloats } from "./compare";

/** A checkpoint in memory from values: what a test wants each tensor to be, rounded to its dtype. */
export async function checkpointOf(name: string, tensors: { name: string; dtype: FloatDtype; shape: number[]; values: Float32Array }[], files: readonly FileSource[], metadata: Record<string, string> = { format: "pt" }): Promise<Checkpoint> {
  const { bytes, order } = writeSafetensorsHeader(tensors, metadata);
  const file = new Uint8Array(order.at(-1)!.end);
  file.set(bytes);
  const byName = new Map(tensors.map((t) => [t.name, t]));
  for (const entry of order) {
    const { values, dtype } = byName.get(entry.name)!;
    file.set(fromFloat32(values, dtype), entry.begin);
  }
  return openCheckpoint(name, [...files.filter((f) => !f.path.endsWith(".safetensors")), memoryFile("model.safetensors", file)]);
}

/**
 * A fine-tuned partner of a checkpoint: every value moves by a multiple of `grid` up to `steps` of them, so that many
 * changes are equal in size and some are 0. Other files stay those of the base, or are replaced by path.
 */
export async function perturbed(base: Checkpoint, seed: number, { grid = 1 / 256, steps = 5, files = [] as FileSource[] } = {}): Promise<Checkpoint> {
  const tensors = [];
  for (const [at, info] of [...base.tensors.values()].entries()) {
    const values = toFloat32(await base.read(info.name, 0, info.end - info.begin), info.dtype as FloatDtype);
    const noise = randomFloats(seed * 977 + at, values.length);
    tensors.push({ name: info.name, dtype: info.dtype as FloatDtype, shape: info.shape, values: values.map((v, i) => v + grid * Math.round(noise[i]! * steps)) });
  }
  const paths = new Set(files.map((f) => f.path));
  return checkpointOf(`${base.name}-${seed}`, tensors, [...base.files.filter((f) => !paths.has(f.path)), ...files]);
}

/** The same model with other values in some places of one tensor. */
export async function withValues(model: Checkpoint, name: string, places: readonly (readonly [element: number, value: number])[]): Promise<Checkpoint> {
  const tensors = await Promise.all([...model.tensors.values()].map(async (info) => {
    const values = toFloat32(await model.read(info.name, 0, info.end - info.begin), info.dtype as FloatDtype);
    if (info.name === name) for (const [at, value] of places) values[at] = value;
    return { name: info.name, dtype: info.dtype as FloatDtype, shape: info.shape, values };
  }));
  return checkpointOf(`${model.name} changed`, tensors, model.files);
}
