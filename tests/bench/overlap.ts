/**
 * How well reading, uploading, computing, reading back, hashing and writing hide behind one another: every stage of every
 * phase alone, with the bytes it had in the whole, then the longest of them against the time of the phase.
 *   read      the reads that the phase made, in their order, three at a time
 *   upload    as many bytes written to GPU buffers, until the queue is done
 *   compute   time that the queue is busy in a run whose data is there: reads answer at once, uploads are left out
 *   readback  as many bytes mapped and copied out of an idle queue
 *   select    the CPU's work on values, from that same run
 *   hash, write   as many bytes hashed; written to the disk
 * A software adapter computes on the same cores that read, hash and copy. There no overlap can be faster than all CPU
 * seconds on all cores: that bound is printed beside the longest stage.
 */
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { diskOutput } from "../../src/cli/diskOutput";
import { nodeGpu } from "../../src/cli/nodeGpu";
import { readFolder } from "../../src/cli/nodeFiles";
import type { OutputFolder } from "../../src/core/files";
import type { Checkpoint } from "../../src/core/tensors";
import type { ExportReport, MeasureReport, PhaseTimes, Stage } from "../../src/engine/api";
import type { EngineEnv } from "../../src/engine/engine";
import { largestOf } from "../../src/export/verify";
import { openCheckpoint } from "../../src/formats/checkpoint";
import { Gpu } from "../../src/gpu/gpu";
import { memoryFolder } from "../../src/store/memoryFolder";
import { bench, recipeFor } from "../support/engineBench";
import { wrappedGpu } from "../support/wrappedGpu";
import { makeCheckpoint, type SHAPES } from "../support/makeCheckpoint.mjs";

export interface OverlapOptions {
  shape: keyof typeof SHAPES;
  layers?: number | undefined;
  vocab?: number | undefined;
  samples: number;
  tokens: number;
  delay: number;
  json: string;
}

interface Cost {
  ms: number;
  cpuMs: number;
}
interface Row {
  stage: Stage;
  bytes: number;
  alone: Cost;
  together: number;
}

const PIECE = 16 * 1024 * 1024;
const cores = availableParallelism();

async function costOf(work: () => Promise<void>): Promise<Cost> {
  const cpu = process.cpuUsage();
  const started = performance.now();
  await work();
  const ms = performance.now() - started;
  const used = process.cpuUsage(cpu);
  return { ms, cpuMs: (used.user + used.system) / 1000 };
}

interface Read {
  side: string;
  name: string;
  offset: number;
  length: number;
}

/** Both reports of one job: the pass and the merge. */
interface Job {
  measured: MeasureReport;
  report: ExportReport;
  cost: Cost;
}

async function job(gpu: GPU, models: Record<string, Checkpoint>, options: OverlapOptions, openOutput: EngineEnv["openOutput"], onPhase: (id: string) => void): Promise<Job> {
  const { engine } = bench(gpu, models, { openOutput, ingest: "in place" });
  const recipe = recipeFor("fim-ties", { N: options.samples, len: options.tokens }, { models: [{ id: "partner", name: "partner" }] });
  const onProgress: Parameters<typeof engine.measure>[2] = ({ phases }) => onPhase(phases.find((p) => p.state === "now")?.id ?? "");
  let measured!: MeasureReport;
  let report!: ExportReport;
  const cost = await costOf(async () => {
    measured = await engine.measure("job", recipe, onProgress, () => undefined);
    report = await engine.exportModel("job", recipe, { kind: "stage", name: "merged" }, onProgress);
  });
  return { measured, report, cost };
}

/** A checkpoint whose reads take `delay` longer, and are told. */
function watched(checkpoint: Checkpoint, delay: number, onRead: (name: string, offset: number, length: number) => void): Checkpoint {
  return {
    ...checkpoint, tensors: checkpoint.tensors, text: (path) => checkpoint.text(path),
    read: async (name, offset, length, into) => {
      onRead(name, offset, length);
      if (delay > 0) await new Promise((resolve) => setTimeout(resolve, delay));
      return checkpoint.read(name, offset, length, into);
    },
  };
}

/** One device for every run, so that kernels are compiled once; with `uploads` off, buffers keep what they held. */
function sharedDevice(gpu: GPU): GPU & { uploads: boolean } {
  let shared: Promise<GPUDevice> | undefined;
  const entry = Object.assign(
    wrappedGpu(gpu, (request) => (shared ??= request().then((device) => {
      const write = device.queue.writeBuffer.bind(device.queue);
      device.queue.writeBuffer = (buffer, offset, data, from, size) => {
        if (entry.uploads || (size ?? data.byteLength) <= 256 * 1024) write(buffer, offset, data, from, size);
      };
      return device;
    }))),
    { uploads: true },
  );
  return entry;
}

const bytesOf = (phase: PhaseTimes | undefined, stage: Stage): number => phase?.stages.find((s) => s.stage === stage)?.bytes ?? 0;
const busyOf = (phase: PhaseTimes | undefined, stage: Stage): number => phase?.stages.find((s) => s.stage === stage)?.busyMs ?? 0;
const phaseOf = ({ measured, report }: Job, id: string): PhaseTimes | undefined => [...(measured.phases ?? []), ...(report.phases ?? [])].find((p) => p.phase === id);

async function eachPiece(bytes: number, work: (length: number) => Promise<void> | void): Promise<void> {
  for (let at = 0; at < bytes; at += PIECE) await work(Math.min(PIECE, bytes - at));
}

/** The stages that can be run by themselves. */
class Alone {
  private readonly piece = new Uint8Array(PIECE).fill(63);

  constructor(
    private readonly gpu: Gpu,
    private readonly models: Record<string, Checkpoint>,
    private readonly folder: string,
    private readonly delay: number,
  ) {}

  read(reads: readonly Read[]): Promise<Cost> {
    return costOf(async () => {
      let next = 0;
      const reader = async (): Promise<void> => {
        let room = new Uint8Array(0);
        for (let read = reads[next++]; read; read = reads[next++]) {
          if (room.length < read.length) room = new Uint8Array(read.length);
          if (this.delay > 0) await new Promise((resolve) => setTimeout(resolve, this.delay));
          await this.models[read.side]!.read(read.name, read.offset, read.length, room);
        }
      };
      await Promise.all([reader(), reader(), reader()]);
    });
  }

  async readFile(path: string, size: number): Promise<void> {
    const handle = await open(path, "r");
    for (let at = 0; at < size; at += PIECE) await handle.read(this.piece, 0, Math.min(PIECE, size - at), at);
    await handle.close();
  }

  upload(bytes: number): Promise<Cost> {
    return costOf(async () => {
      const buffers = [this.gpu.alloc(PIECE), this.gpu.alloc(PIECE)];
      let turn = 0;
      await eachPiece(bytes, async (length) => {
        this.gpu.write(buffers[turn++ % 2]!, 0, this.piece.subarray(0, length));
        if (turn % 4 === 0) await this.gpu.sync();
      });
      await this.gpu.sync();
      this.gpu.release(...buffers);
    });
  }

  readback(bytes: number): Promise<Cost> {
    return costOf(async () => {
      const buffer = this.gpu.alloc(PIECE);
      await eachPiece(bytes, async (length) => void (await this.gpu.read(buffer, length)));
      this.gpu.release(buffer);
    });
  }

  hash(bytes: number): Promise<Cost> {
    return costOf(async () => {
      const hasher = createHash("sha256");
      await eachPiece(bytes, (length) => void hasher.update(this.piece.subarray(0, length)));
      hasher.digest("hex");
    });
  }

  check(bytes: number): Promise<Cost> {
    return costOf(() => eachPiece(bytes, (length) => void largestOf(this.piece.subarray(0, length), "BF16")));
  }

  write(bytes: number): Promise<Cost> {
    return costOf(async () => {
      const path = join(this.folder, "alone.bin");
      const handle = await open(path, "w");
      await eachPiece(bytes, async (length) => void (await handle.write(this.piece, 0, length)));
      await handle.close();
      rmSync(path);
    });
  }
}

const PHASES = { forward: "Forward", backward: "Loss, backward, trim", write: "Merge and write", verify: "Read back and verify" };

export async function main(options: OverlapOptions): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "overlap-"));
  try {
    const adapter = await nodeGpu();
    if (!adapter) throw new Error("No WebGPU adapter. Install a driver, or chromium and libvulkan1 for the software adapter.");
    const entry = sharedDevice(adapter);
    const config = { ...(options.layers ? { num_hidden_layers: options.layers } : {}), ...(options.vocab ? { vocab_size: options.vocab } : {}) };
    const models: Record<string, Checkpoint> = {};
    for (const side of ["base", "partner"] as const) {
      makeCheckpoint({ out: join(folder, side), shape: options.shape, side, config });
      models[side] = await openCheckpoint(side, (await readFolder(join(folder, side))).files);
    }

    // Compiles the kernels, so that no phase pays for it.
    const idle = (): void => undefined;
    await job(entry, models, options, async () => nowhere(), idle);

    const reads = new Map<string, Read[]>();
    let phase = "";
    const told = Object.fromEntries(Object.entries(models).map(([side, checkpoint]) => [side, watched(checkpoint, options.delay, (name, offset, length) => {
      const list = reads.get(phase);
      if (list) list.push({ side, name, offset, length });
      else reads.set(phase, [{ side, name, offset, length }]);
    })]));
    const together = await job(entry, told, options, async (_, { key }) => diskOutput(join(folder, "merged"), key), (id) => (phase = id));
    const resident = Object.fromEntries(Object.entries(models).map(([side, c]) => [side, { ...c, tensors: c.tensors, text: (path: string) => c.text(path), read: async (_: string, __: number, length: number, into?: Uint8Array) => into?.subarray(0, length) ?? new Uint8Array(length) } as Checkpoint]));
    entry.uploads = false;
    const still = await job(entry, resident, options, async () => nowhere(), idle);
    entry.uploads = true;

    const gpu = await Gpu.create(entry);
    const alone = new Alone(gpu, models, folder, options.delay);
    const phases = [];
    for (const [id, label] of Object.entries(PHASES)) {
      const whole = phaseOf(together, id);
      if (!whole) continue;
      const rows: Row[] = [];
      const add = async (stage: Stage, cost: (bytes: number) => Promise<Cost>): Promise<void> => {
        const bytes = bytesOf(whole, stage);
        const busy = busyOf(whole, stage);
        if (bytes > 0 || busy > 0) rows.push({ stage, bytes, alone: await cost(bytes), together: busy });
      };
      const shards = together.report.files.filter((f) => f.path.endsWith(".safetensors"));
      await add("read", () => (id === "verify" ? costOf(async () => { for (const f of shards) await alone.readFile(join(folder, "merged", f.path), f.bytes); }) : alone.read(reads.get(id) ?? [])));
      await add("upload", (bytes) => alone.upload(bytes));
      // The CPU seconds of a software adapter are those of its threads: all that this thread did not use.
      await add("compute", async () => ({ ms: busyOf(phaseOf(still, id), "compute"), cpuMs: busyOf(phaseOf(still, id), "compute") * (gpu.software ? cores : 0) }));
      await add("readback", (bytes) => alone.readback(bytes));
      await add("select", async (bytes) => (id === "verify" ? alone.check(bytes) : { ms: busyOf(phaseOf(still, id), "select"), cpuMs: busyOf(phaseOf(still, id), "select") }));
      await add("hash", (bytes) => alone.hash(bytes));
      await add("write", (bytes) => alone.write(bytes));
      const longest = rows.reduce((a, b) => (b.alone.ms > a.alone.ms ? b : a));
      const cpuBoundMs = rows.reduce((sum, r) => sum + r.alone.cpuMs, 0) / cores;
      phases.push({ id, label, wallMs: whole.wallMs, longest: longest.stage, longestMs: longest.alone.ms, ratio: whole.wallMs / longest.alone.ms, sumMs: rows.reduce((sum, r) => sum + r.alone.ms, 0), cpuBoundMs, toBound: whole.wallMs / Math.max(longest.alone.ms, cpuBoundMs), stages: rows });
    }
    const result = {
      date: new Date().toISOString(), adapter: together.measured.adapter, software: gpu.software, cores, ...options, bytes: together.report.totalBytes,
      reads: { measure: together.measured.reads, export: together.report.reads }, checks: together.report.checks.map(({ id, verdict }) => ({ id, verdict })), cost: together.cost, phases,
    };
    gpu.destroy();
    print(result);
    mkdirSync(dirname(options.json), { recursive: true });
    writeFileSync(options.json, `${JSON.stringify(result, null, 2)}\n`);
    console.log(`\n${options.json}`);
    return 0;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Takes everything and keeps nothing; what is read back is not there, so verification ends at once. */
function nowhere(): OutputFolder {
  return { ...memoryFolder(), create: async () => ({ write: async () => undefined, flush: async () => undefined, close: async () => "" }), open: async (path) => ({ path, size: 0, lastModified: 0, read: async () => new Uint8Array(0) }) };
}

interface Result {
  adapter: string;
  cores: number;
  software: boolean;
  phases: { label: string; wallMs: number; longest: Stage; longestMs: number; ratio: number; sumMs: number; cpuBoundMs: number; toBound: number; stages: Row[] }[];
}

function print({ adapter, cores: n, software, phases }: Result): void {
  const s = (ms: number): string => (ms / 1000).toFixed(2).padStart(8);
  console.log(`${adapter}, ${n} cores${software ? "; the adapter computes on them" : ""}\n`);
  for (const { label, stages } of phases) {
    console.log(`${label.padEnd(24)}   alone s   CPU s   together s       MB`);
    for (const r of stages) console.log(`  ${r.stage.padEnd(22)} ${s(r.alone.ms)}${s(r.alone.cpuMs)}     ${s(r.together)} ${(r.bytes / 1e6).toFixed(0).padStart(8)}`);
  }
  console.log("\nphase                       wall s  longest alone        ratio   all in turn s   CPU s / cores   wall / the larger bound");
  for (const p of phases) console.log(`${p.label.padEnd(24)}  ${s(p.wallMs)}  ${s(p.longestMs)} ${p.longest.padEnd(9)}  ${p.ratio.toFixed(2).padStart(6)}        ${s(p.sumMs)}        ${s(p.cpuBoundMs)}        ${p.toBound.toFixed(2).padStart(6)}`);
}
