import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { memoryFile } from "../../src/core/files";
import { parseProblems } from "../../src/core/problems";
import type { Problem } from "../../src/core/trying";
import type { Checkpoint, FloatDtype, TensorSource } from "../../src/core/tensors";
import { openCheckpoint } from "../../src/formats/checkpoint";
import { readSafetensorsHeader } from "../../src/formats/safetensors";
import { readFloatTensor } from "../../src/model/weights";

const FIXTURES = new URL("../fixtures/", import.meta.url).pathname;
export const fixturePath = (...parts: string[]): string => join(FIXTURES, ...parts);

/** A model folder of the fixtures, read whole: they are small. */
export async function fixtureCheckpoint(...parts: string[]): Promise<Checkpoint> {
  const folder = fixturePath(...parts);
  if (!existsSync(folder)) throw new Error(`no fixture folder ${folder}`);
  return memoryCheckpoint(folder);
}

const SAMPLES = new URL("../../public/samples/", import.meta.url).pathname;

/** A model of the sample pair, "base" or "long-cot", read whole. */
export const sampleCheckpoint = (name: string): Promise<Checkpoint> => memoryCheckpoint(join(SAMPLES, name));

/** The first problems of the sample pair. */
export const sampleProblems = (count: number): Problem[] => parseProblems("problems.jsonl", readFileSync(join(SAMPLES, "problems.jsonl"), "utf8")).problems.slice(0, count);

const memoryCheckpoint = (folder: string): Promise<Checkpoint> => openCheckpoint(basename(folder), readdirSync(folder).map((path) => memoryFile(path, new Uint8Array(readFileSync(join(folder, path))))));

/** One safetensors file of the fixtures: Fisher, masks, reference tensors. */
export async function fixtureTensors(...parts: string[]): Promise<TensorSource> {
  const file = memoryFile(parts.at(-1)!, new Uint8Array(readFileSync(fixturePath(...parts))));
  const header = await readSafetensorsHeader(file);
  const tensors = new Map(header.tensors.map((t) => [t.name, t]));
  return { tensors, read: async (name, offset, length) => file.read(tensors.get(name)!.begin + offset, length) };
}

export const fixtureJson = <T>(...parts: string[]): T => JSON.parse(readFileSync(fixturePath(...parts), "utf8")) as T;

/** All parameters of a checkpoint as float64, exactly as stored. */
export async function float64Parameters(checkpoint: TensorSource): Promise<Map<string, Float64Array>> {
  const out = new Map<string, Float64Array>();
  for (const [name, info] of checkpoint.tensors) if ((["F32", "BF16", "F16"] as FloatDtype[]).includes(info.dtype as FloatDtype)) out.set(name, Float64Array.from(await readFloatTensor(checkpoint, name)));
  return out;
}
