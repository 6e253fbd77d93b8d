import { createHash } from "node:crypto";
import { memoryFile, type FileSource, type OutputFolder } from "../../src/core/files";
import type { Recipe } from "../../src/core/recipe";
import type { Checkpoint, FloatDtype } from "../../src/core/tensors";
import type { EngineApi, ExportReport, MeasureReport, Shape } from "../../src/engine/api";
import { createEngine, type EngineEnv } from "../../src/engine/engine";
import { openCheckpoint } from "../../src/formats/checkpoint";
import { toFloat32 } from "../../src/formats/dtypes";
import { memoryKeyValue } from "../../src/store/keyValue";
import { memoryFolder } from "../../src/store/memoryFolder";
import { nodeEntry, ownEntry, wrappedGpu } from "./wrappedGpu";

/** Devices that the engine made, and the bytes of their buffers that are not destroyed. */
export interface WatchedGpu {
  gpu: GPU;
  devices: GPUDevice[];
  liveBuffers(): { label: string; size: number }[];
}

/** An entry point whose devices and buffers are counted; `apart`, each is a device that can be lost. No adapter is a failure, never a skip. */
export async function watchedGpu(how?: "apart"): Promise<WatchedGpu> {
  const inner = await (how ? ownEntry() : nodeEntry());
  const devices: GPUDevice[] = [];
  const live = new Set<GPUBuffer>();
  const watchDevice = (device: GPUDevice): GPUDevice => {
    devices.push(device);
    const create = device.createBuffer.bind(device);
    // A device that is gone takes its buffers along.
    void device.lost.then(() => own.forEach((buffer) => live.delete(buffer)));
    const own: GPUBuffer[] = [];
    device.createBuffer = (descriptor) => {
      const buffer = create(descriptor);
      live.add(buffer);
      own.push(buffer);
      const destroy = buffer.destroy.bind(buffer);
      buffer.destroy = () => {
        live.delete(buffer);
        destroy();
      };
      return buffer;
    };
    return device;
  };
  const gpu = wrappedGpu(inner, async (request) => watchDevice(await request()));
  return { gpu, devices, liveBuffers: () => [...live].map(({ label, size }) => ({ label, size })) };
}

/** The engine over checkpoints in memory. `env` may be changed between calls. */
export interface Bench {
  engine: EngineApi;
  env: EngineEnv;
  models: Map<string, Checkpoint>;
  /** What the pass store holds. */
  passes: Map<string, unknown>;
  /** The last folder that an export was given. */
  output(): ReturnType<typeof memoryFolder>;
  measure(recipe: Recipe): Promise<MeasureReport>;
  shape(recipe: Recipe): Promise<Shape>;
  merge(recipe: Recipe): Promise<Merged>;
}

export interface Merged {
  report: ExportReport;
  files: ReadonlyMap<string, Uint8Array>;
  checkpoint: Checkpoint;
}

const nothing = () => undefined;

export function bench(gpu: GPU | undefined, models: Record<string, Checkpoint>, change: Partial<EngineEnv> = {}): Bench {
  const opened = new Map(Object.entries(models));
  const passes = new Map<string, unknown>();
  let output: ReturnType<typeof memoryFolder>;
  const refuse = async (): Promise<never> => Promise.reject(new Error("this library only lists"));
  const env: EngineEnv = {
    gpu,
    passes: memoryKeyValue(passes),
    library: {
      list: async () => [],
      get: async (id) => opened.get(id) ?? Promise.reject(new Error(`no model ${id}`)),
      ingest: refuse, remove: refuse, persist: async () => false,
      storage: async () => ({ usedBytes: 0, freeBytes: undefined, persistent: false }),
    },
    openOutput: async () => (output = memoryFolder()),
    ...change,
  };
  const engine = createEngine(env);
  return {
    engine, env, models: opened, passes, output: () => output,
    measure: (recipe) => engine.measure("job", recipe, nothing, nothing),
    shape: (recipe) => engine.shape(recipe),
    async merge(recipe) {
      const report = await engine.exportModel("job", recipe, { kind: "stage", name: "merged" }, nothing);
      const { files } = output;
      return { report, files, checkpoint: await openCheckpoint("merged", [...files].map(([path, bytes]) => memoryFile(path, bytes))) };
    },
  };
}

/** A checkpoint that calls `before` ahead of every read. */
export const hookedReads = (checkpoint: Checkpoint, before: () => void): Checkpoint => ({
  ...checkpoint,
  read: async (name, offset, length, into) => {
    before();
    return checkpoint.read(name, offset, length, into);
  },
});

/** A whole recipe for models of a bench, by id. */
export const recipeFor = (method: string, params: Recipe["params"] = {}, change: Partial<Omit<Recipe, "reconciliation" | "output">> & { reconciliation?: Partial<Recipe["reconciliation"]>; output?: Partial<Recipe["output"]> } = {}): Recipe => ({
  version: 1, method, params,
  base: { id: "base", name: "base" },
  models: [{ id: "finetuned", name: "finetuned" }],
  ...change,
  reconciliation: { tied: "untie", context: "max", tokenizer: "base", chatTemplate: "base", generationConfig: "base", clashRows: "mix", ...change.reconciliation },
  output: { dtype: "base", maxShardBytes: 5_000_000_000, name: "merged", ...change.output },
});

/** All values of a float tensor. */
export async function valuesOf(checkpoint: Pick<Checkpoint, "tensors" | "read">, name: string): Promise<Float32Array> {
  const info = checkpoint.tensors.get(name);
  if (!info) throw new Error(`no tensor ${name}`);
  return toFloat32(await checkpoint.read(name, 0, info.end - info.begin), info.dtype as FloatDtype);
}

export const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** Dtype and digest of the stored bytes of every tensor, to compare two results whatever their shards. */
export async function tensorBytesOf(checkpoint: Checkpoint): Promise<Map<string, string>> {
  const out = new Map<string, string>();
  for (const [name, info] of checkpoint.tensors) out.set(name, `${info.dtype} ${digest(await checkpoint.read(name, 0, info.end - info.begin))}`);
  return out;
}

/** A folder that stores what is written but lets a test change it before it is read back, or fail. */
export function tamperedFolder(fault: { onWrite?(path: string, total: number): void; onOpen?(path: string, bytes: Uint8Array): Uint8Array }): OutputFolder & { readonly files: ReadonlyMap<string, Uint8Array>; discarded: number } {
  const inner = memoryFolder();
  return {
    files: inner.files,
    discarded: 0,
    async create(path, size) {
      const file = await inner.create(path, size);
      let total = 0;
      return {
        write: async (bytes) => {
          fault.onWrite?.(path, (total += bytes.byteLength));
          await file.write(bytes);
        },
        flush: () => file.flush(),
        close: () => file.close(),
      };
    },
    async open(path): Promise<FileSource> {
      const file = await inner.open(path);
      return fault.onOpen ? memoryFile(path, fault.onOpen(path, (await file.read(0, file.size)).slice())) : file;
    },
    finish: () => inner.finish(),
    async discard() {
      this.discarded++;
      await inner.discard();
    },
  };
}

/** Where a kept Fisher goes in tests: bytes in memory, and whether the file was closed or discarded. */
export function fisherMemory(): { fisherFile: NonNullable<EngineEnv["fisherFile"]>; state: { bytes?: Uint8Array; closed: boolean; discarded: boolean }; tensors(): Promise<Checkpoint> } {
  const state: { bytes?: Uint8Array; closed: boolean; discarded: boolean } = { closed: false, discarded: false };
  return {
    state,
    fisherFile: async (_, size) => {
      const bytes = (state.bytes = new Uint8Array(size));
      return {
        writeAt: async (offset, part) => bytes.set(part, offset),
        close: async () => void (state.closed = true),
        discard: async () => void (state.discarded = true),
      };
    },
    tensors: () => openCheckpoint("fisher", [memoryFile("config.json", new TextEncoder().encode("{}")), memoryFile("model.safetensors", state.bytes!)]),
  };
}
