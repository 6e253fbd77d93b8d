import { createSHA256 } from "hash-wasm";
import { StudioError, throwIfCancelled, toStudioError } from "../core/errors";
import type { FileSource, OutputFolder } from "../core/files";
import { hashName, MT19937 } from "../core/random";
import { bytesPerElement, isFloatDtype, type Checkpoint, type FloatDtype } from "../core/tensors";
import { openCheckpoint } from "../formats/checkpoint";
import { Scratch } from "../core/scratch";
import { toFloat32 } from "../formats/dtypes";
import { HEAD } from "../model/architectures";
import { applyOpCpu } from "../merge/cpu";
import type { OutputTensor } from "../model/pairing";
import { MERGE_SLICE, readSlice, withCuts, type MergeSources, type TensorWork } from "./mergeTensor";
import type { OutputPlan } from "./plan";
import type { WrittenFile } from "./writer";

export interface Check {
  id: string;
  label: string;
  found: string;
  verdict: "pass" | "fail" | "skipped";
}

export interface VerifyJob {
  plan: OutputPlan;
  written: WrittenFile[];
  sources: MergeSources;
  workOf(tensor: OutputTensor): Promise<TensorWork | undefined>;
  output: OutputFolder;
  /** Seeds the choice of tiles. */
  recipeHash: string;
  /** Software adapters and the CPU agree bit for bit; a hardware GPU may round the last bit of f32 another way. */
  exact: boolean;
  sliceElements?: number | undefined;
  signal: AbortSignal;
  onBytes(bytes: number): void;
}

export const TILES = 64;
const TILE_ELEMENTS = 4096;
const number = (value: number): string => value.toLocaleString("en-US");

/**
 * Reads the result back from where it was written and checks it as a stranger would: the files parse, index and headers
 * agree, sizes and hashes are those that were written, no value is NaN or infinite, and 64 random tiles equal a second
 * computation on the CPU.
 */
export async function verifyOutput(job: VerifyJob): Promise<{ checks: Check[]; tiles: { compared: number; equal: number } }> {
  const { plan, output } = job;
  const checks: Check[] = [];
  const add = (id: string, label: string, ok: boolean, found: string): void => void checks.push({ id, label, found, verdict: ok ? "pass" : "fail" });

  const files: FileSource[] = [];
  for (const { path } of job.written) files.push(await output.open(path));
  let result: Checkpoint;
  try {
    result = await openCheckpoint("result", files);
  } catch (error) {
    add("parse", "Files parse", false, toStudioError(error).message);
    return { checks, tiles: { compared: 0, equal: 0 } };
  }
  add("parse", "Files parse", true, `${plan.shards.length} ${plan.shards.length === 1 ? "file" : "shards"}, ${number(result.tensors.size)} tensors, no gaps, no overlaps`);

  const missing = plan.tensors.filter((t) => {
    const info = result.tensors.get(t.name);
    return !info || info.dtype !== t.dtype || info.elements !== t.elements;
  });
  const total = [...result.tensors.values()].reduce((sum, t) => sum + t.end - t.begin, 0);
  add("index", plan.index ? "Index agrees" : "Header agrees", missing.length === 0 && result.tensors.size === plan.tensors.length && total === plan.tensorBytes && result.warnings.length === 0,
    missing.length > 0 ? `${missing.length} tensors differ from the plan, first "${missing[0]!.name}"` : `${number(plan.tensors.length)} names planned, ${number(result.tensors.size)} in the ${plan.index ? "shards" : "file"}; total_size ${number(total)}`);

  const parameters = [...result.tensors.values()].reduce((sum, t) => sum + t.elements, 0);
  const planned = plan.tensors.reduce((sum, t) => sum + t.elements, 0);
  const tied = result.config.tie_word_embeddings === true;
  const headFits = tied ? !result.tensors.has(HEAD) : true;
  add("parameters", "Parameters", parameters === planned && headFits && tied === plan.tied, `${number(parameters)}, ${parameters === planned ? "as forecast" : `${number(planned)} were forecast`}; ${HEAD} ${result.tensors.has(HEAD) ? "present" : "absent"} and tie_word_embeddings ${String(tied)}`);

  const values = await readValues(job, files, result);
  add("hashes", "Bytes", values.hashesWrong.length === 0, values.hashesWrong.length === 0 ? `${job.written.length} files read again, SHA-256 as written` : `${values.hashesWrong.join(", ")}: SHA-256 differs from what was written`);
  add("values", "Values", values.bad === 0, values.bad > 0 ? `${number(values.bad)} NaN or infinite values, first in ${values.badIn}` : `no NaN, no infinity; largest |w| ${values.largest.toPrecision(3)} in ${values.largestIn}`);

  const tiles = await compareTiles(job, result);
  const enough = tiles.equal === tiles.compared;
  add("tiles", "Tiles", tiles.far === 0 && (enough || !job.exact), `${tiles.equal} of ${tiles.compared} equal to the CPU, byte for byte${enough ? "" : tiles.far === 0 ? "; the rest differ by one rounding step" : `; ${tiles.far} differ by more than one rounding step, first in ${tiles.farIn}`}`);

  const format = result.metadata.format === "pt";
  add("elsewhere", "Loads elsewhere", format && headFits, `by the rules of transformers and vLLM: format "pt" ${format ? "stated" : "missing"}, file names ${plan.index ? "and index " : ""}as expected; llama.cpp ${tied ? "ties the head itself" : "finds output.weight"}`);
  return { checks, tiles: { compared: tiles.compared, equal: tiles.equal } };
}

async function readValues(job: VerifyJob, files: FileSource[], result: Checkpoint) {
  const found = { bad: 0, badIn: "", largest: 0, largestIn: "", hashesWrong: [] as string[] };
  const hasher = await createSHA256();
  const piece = 8 * 1024 * 1024;
  const scratch = Scratch.take();
  for (const file of files) {
    hasher.init();
    for (let at = 0; at < file.size; at += piece) {
      throwIfCancelled(job.signal);
      const bytes = await file.read(at, Math.min(piece, file.size - at), scratch.bytes("stored", piece));
      hasher.update(bytes);
      job.onBytes(bytes.byteLength);
    }
    if (hasher.digest("hex") !== job.written.find((w) => w.path === file.path)!.sha256) found.hashesWrong.push(file.path);
  }
  for (const info of result.tensors.values()) {
    if (!isFloatDtype(info.dtype)) continue;
    const width = bytesPerElement(info.dtype);
    const slice = job.sliceElements ?? MERGE_SLICE;
    for (let at = 0; at < info.elements; at += slice) {
      throwIfCancelled(job.signal);
      const count = Math.min(slice, info.elements - at);
      const values = toFloat32(await result.read(info.name, at * width, count * width, scratch.bytes("stored", count * width)), info.dtype, scratch.floats("values", count));
      job.onBytes(count * width);
      for (let i = 0; i < values.length; i++) {
        const magnitude = Math.abs(values[i]!);
        if (magnitude <= found.largest) continue;
        if (Number.isFinite(magnitude)) {
          found.largest = magnitude;
          found.largestIn = info.name;
        } else {
          found.badIn ||= info.name;
          found.bad++;
        }
      }
    }
  }
  scratch.give();
  return found;
}

async function compareTiles(job: VerifyJob, result: Checkpoint): Promise<{ compared: number; equal: number; far: number; farIn: string }> {
  const merged = job.plan.tensors.filter((t) => t.action === "merge" && t.elements > 0);
  const totals = { compared: 0, equal: 0, far: 0, farIn: "" };
  if (merged.length === 0) return totals;
  const rng = new MT19937(hashName(job.recipeHash));
  // One tensor's work at a time: its masks cover the whole tensor.
  let last: { name: string; work: TensorWork | undefined } | undefined;
  for (let i = 0; i < TILES; i++) {
    throwIfCancelled(job.signal);
    const tensor = merged[rng.next() % merged.length]!;
    if (last?.name !== tensor.name) last = { name: tensor.name, work: await job.workOf(tensor) };
    const { work } = last;
    if (!work) continue;
    // A cut that keeps an exact number of equal keys can only be followed from the tensor's beginning.
    const fromStart = work.cuts?.some((c) => c && Number.isFinite(c.equal)) ?? false;
    const blocks = Math.ceil(tensor.elements / TILE_ELEMENTS);
    const start = fromStart ? 0 : (rng.next() % blocks) * TILE_ELEMENTS;
    const elements = Math.min(TILE_ELEMENTS, tensor.elements - start);
    const want = await cpuTile(job.sources, tensor, work, start, elements);
    const width = bytesPerElement(tensor.dtype as FloatDtype);
    const got = await result.read(tensor.name, start * width, elements * width);
    totals.compared++;
    const steps = roundingSteps(got, want, tensor.dtype as FloatDtype);
    if (steps === 0) totals.equal++;
    else if (steps > 1) {
      totals.far++;
      totals.farIn ||= tensor.name;
    }
  }
  return totals;
}

async function cpuTile(sources: MergeSources, tensor: OutputTensor, work: TensorWork, start: number, elements: number): Promise<Uint8Array> {
  const slice = await readSlice(sources, tensor, work, start, elements);
  const cut = withCuts(work, slice, sources.experts.map(() => ({ taken: 0 })));
  const dtype = tensor.dtype as FloatDtype;
  const out = applyOpCpu(cut.op, cut.slice, dtype).slice();
  const cols = tensor.shape.length >= 2 ? tensor.elements / tensor.shape[0]! : 1;
  const width = bytesPerElement(dtype);
  for (const { row0, row1, op } of work.rows ?? []) {
    const from = Math.max(row0 * cols, start);
    const to = Math.min(row1 * cols, start + elements);
    if (from < to) out.set(applyOpCpu(op, slice, dtype).subarray((from - start) * width, (to - start) * width), (from - start) * width);
  }
  return out;
}

/** Largest distance of two arrays of stored floats in steps between neighbouring values; 0 when their bytes are equal. */
export function roundingSteps(a: Uint8Array, b: Uint8Array, dtype: FloatDtype): number {
  if (a.byteLength !== b.byteLength) throw new StudioError("internal", `Comparing tiles of ${a.byteLength} and ${b.byteLength} bytes.`);
  const width = bytesPerElement(dtype);
  const va = new DataView(a.buffer, a.byteOffset, a.byteLength);
  const vb = new DataView(b.buffer, b.byteOffset, b.byteLength);
  const ordinal = (view: DataView, at: number): number => {
    const bits = width === 4 ? view.getUint32(at, true) : view.getUint16(at, true);
    const sign = width === 4 ? 0x80000000 : 0x8000;
    // -0 lies one step below +0, so that only equal bytes are 0 apart.
    return bits >= sign ? sign - bits - 1 : bits;
  };
  let worst = 0;
  for (let at = 0; at < a.byteLength; at += width) {
    const steps = Math.abs(ordinal(va, at) - ordinal(vb, at));
    if (steps > worst) worst = steps;
  }
  return worst;
}
