import { createSHA256 } from "hash-wasm";
import { StudioError, throwIfCancelled, toStudioError } from "../core/errors";
import type { FileSource, OutputFile, OutputFolder } from "../core/files";
import { hashName, MT19937 } from "../core/random";
import { clockOf, staged } from "../core/stages";
import { bytesPerElement, isFloatDtype, type Checkpoint, type FloatDtype, type TensorInfo } from "../core/tensors";
import { openCheckpoint } from "../formats/checkpoint";
import { Scratch } from "../core/scratch";
import { toFloat32 } from "../formats/dtypes";
import { elementAt, nonFiniteValues } from "../formats/finite";
import { countsEquals, makerState } from "../kernels/stats/maskMaker";
import { HEAD } from "../model/architectures";
import { applyOpCpu } from "../merge/cpu";
import { projectSlack } from "../merge/project";
import { bodyElements, type OutputTensor } from "../model/pairing";
import { tokenRows, vocabSize } from "../model/vocabulary";
import type { ReadAhead } from "../store/readAhead";
import { isCopied } from "./finite";
import { needsWholeRows, readSlice, sliceBytes, sliceOf, withMasks, type MergeSources, type TensorWork } from "./mergeTensor";
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
  /** Software adapters and the CPU agree bit for bit; a hardware GPU may round the last bit of f32 another way, and sums the products of a projection in another order. */
  exact: boolean;
  /** Reads the files ahead; they are its sources from 1000 on. */
  ahead?: ReadAhead | undefined;
  signal: AbortSignal;
  onBytes(bytes: number): void;
}

export const TILES = 64;
const TILE_ELEMENTS = 4096;
/** Most bytes of one read. */
const PIECE_BYTES = 8 * 1024 * 1024;
const FIRST_FILE = 1000;
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
    return !info || info.dtype !== t.dtype || info.shape.join() !== t.shape.join();
  });
  const total = [...result.tensors.values()].reduce((sum, t) => sum + t.end - t.begin, 0);
  add("index", plan.index ? "Index agrees" : "Header agrees", missing.length === 0 && result.tensors.size === plan.tensors.length && total === plan.tensorBytes && result.warnings.length === 0,
    missing.length > 0 ? `${missing.length} tensors differ from the plan, first "${missing[0]!.name}"` : `${number(plan.tensors.length)} names planned, ${number(result.tensors.size)} in the ${plan.index ? "shards" : "file"}; total_size ${number(total)}`);

  const parameters = [...result.tensors.values()].reduce((sum, t) => sum + t.elements, 0);
  const planned = plan.tensors.reduce((sum, t) => sum + t.elements, 0);
  const tied = result.config.tie_word_embeddings === true;
  const headFits = tied ? !result.tensors.has(HEAD) : true;
  const rows = tokenRows(result);
  const vocab = plan.vocab === undefined || (rows === plan.vocab && vocabSize(result.config) === rows);
  add("parameters", "Parameters", parameters === planned && headFits && tied === plan.tied && vocab, `${number(parameters)}, ${parameters === planned ? "as forecast" : `${number(planned)} were forecast`}; ${HEAD} ${result.tensors.has(HEAD) ? "present" : "absent"} and tie_word_embeddings ${String(tied)}${plan.vocab === undefined ? "" : `; ${number(rows ?? 0)} token rows and vocab_size ${String(vocabSize(result.config))}`}`);

  const values = await readValues(job, files, result);
  add("hashes", "Bytes", values.hashesWrong.length === 0, values.hashesWrong.length === 0 ? `${job.written.length} files read again, SHA-256 as written` : `${values.hashesWrong.join(", ")}: SHA-256 differs from what was written`);
  const stored: string[] = [];
  let bad = 0;
  let badIn = "";
  for (const [name, { count, first }] of values.bad) {
    const tensor = plan.tensors.find((t) => t.name === name)!;
    if (first >= bodyElements(tensor) || isCopied(tensor, await job.workOf(tensor))) stored.push(`${name} (${number(count)}, first at ${elementAt(first, tensor.shape)})`);
    else [bad, badIn] = [bad + count, badIn || name];
  }
  const copied = stored.length === 0 ? "" : `; copied with the NaN or infinite values of the input: ${stored.join(", ")}`;
  add("values", "Values", bad === 0, `${bad > 0 ? `${number(bad)} NaN or infinite values, first in ${badIn}` : `no NaN, no infinity${copied ? " in what was computed" : ""}; largest |w| ${values.largest.toPrecision(3)} in ${values.largestIn}`}${copied}`);

  const tiles = await compareTiles(job, result);
  const enough = tiles.equal === tiles.compared;
  add("tiles", "Tiles", tiles.far === 0 && (enough || !job.exact), `${tiles.equal} of ${tiles.compared} equal to the CPU, byte for byte${enough ? "" : tiles.far === 0 ? `; the rest differ by one rounding step${tiles.longSums > 0 ? `, in ${tiles.longSums} of them by what another order of long sums may make` : ""}` : `; ${tiles.far} differ by more than one rounding step, first in ${tiles.farIn}`}`);

  const format = result.metadata.format === "pt";
  add("elsewhere", "Loads elsewhere", format && headFits, `by the rules of transformers and vLLM: format "pt" ${format ? "stated" : "missing"}, file names ${plan.index ? "and index " : ""}as expected; llama.cpp ${tied ? "ties the head itself" : "finds output.weight"}`);
  return { checks, tiles: { compared: tiles.compared, equal: tiles.equal } };
}

/** A range of a file that is read as one piece; `tensor` where it holds values that are checked. */
interface Piece {
  offset: number;
  length: number;
  tensor: { name: string; dtype: FloatDtype } | undefined;
}

/** A file from front to back: what lies before the tensors, then each tensor in slices. */
function piecesOf(file: FileSource, tensors: Iterable<TensorInfo>, pieceBytes: number): Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  const upTo = (end: number, tensor: Piece["tensor"]): void => {
    for (; at < end; at = pieces.at(-1)!.offset + pieces.at(-1)!.length) pieces.push({ offset: at, length: Math.min(pieceBytes, end - at), tensor });
  };
  for (const { name, dtype, begin, end } of [...tensors].filter((t) => t.file === file.path).sort((a, b) => a.begin - b.begin)) {
    upTo(begin, undefined);
    upTo(end, isFloatDtype(dtype) ? { name, dtype } : undefined);
  }
  upTo(file.size, undefined);
  return pieces;
}

/** Reads every file once: for its hash, and for the values in it. */
async function readValues(job: VerifyJob, files: FileSource[], result: Checkpoint) {
  const found = { bad: new Map<string, { count: number; first: number }>(), largest: 0, largestIn: "", hashesWrong: [] as string[] };
  const pieceBytes = Math.min(job.ahead?.bufferBytes ?? PIECE_BYTES, PIECE_BYTES) & ~3;
  const pieces = files.map((file) => piecesOf(file, result.tensors.values(), pieceBytes));
  const scratch = Scratch.take();
  const sources = files.map((file, i) => job.ahead?.wrapFile(file, FIRST_FILE + i) ?? { lease: async (offset: number, length: number) => ({ bytes: await file.read(offset, length, scratch.bytes("stored", pieceBytes)), done: () => undefined }) });
  job.ahead?.follow(files.flatMap((file, i) => pieces[i]!.map(({ offset, length }) => ({ source: FIRST_FILE + i, name: file.path, offset, length }))));
  for (const [i, file] of files.entries()) {
    const hash = await (job.output.digest?.(file.size) ?? digestHere(job.signal));
    for (const { offset, length, tensor } of pieces[i]!) {
      throwIfCancelled(job.signal);
      const { bytes, done } = await sources[i]!.lease(offset, length);
      try {
        // Hashed beside the search for bad values, where there is a thread for it.
        await hash.write(bytes);
        if (tensor) {
          const { largest, bad } = staged(job.signal, "select", length, () => largestOf(bytes, tensor.dtype));
          if (bad > 0) {
            const before = found.bad.get(tensor.name);
            const at = (offset - result.tensors.get(tensor.name)!.begin) / bytesPerElement(tensor.dtype);
            found.bad.set(tensor.name, { count: bad + (before?.count ?? 0), first: before?.first ?? at + nonFiniteValues(bytes, tensor.dtype).first });
          }
          if (largest > found.largest) Object.assign(found, { largest, largestIn: tensor.name });
        }
      } finally {
        done();
      }
      job.onBytes(length);
    }
    if ((await hash.close()) !== job.written.find((w) => w.path === file.path)!.sha256) found.hashesWrong.push(file.path);
  }
  for (const { stage, busyMs, bytes } of (await job.output.times?.()) ?? []) if (stage === "hash") clockOf(job.signal)?.add(stage, busyMs, bytes);
  scratch.give();
  return found;
}

/** A SHA-256 in this thread. */
async function digestHere(signal: AbortSignal): Promise<Pick<OutputFile, "write" | "close">> {
  const hasher = await createSHA256();
  hasher.init();
  return { write: async (bytes) => staged(signal, "hash", bytes.byteLength, () => void hasher.update(bytes)), close: async () => hasher.digest("hex") };
}

/** The largest finite |value| of stored floats, and how many are NaN or infinite: without their sign, their bits order as they do. */
export function largestOf(bytes: Uint8Array, dtype: FloatDtype): { largest: number; bad: number } {
  const width = bytesPerElement(dtype);
  const whole = bytes.byteOffset % width === 0 ? bytes : bytes.slice();
  const infinity = dtype === "F32" ? 0x7f800000 : dtype === "BF16" ? 0x7f80 : 0x7c00;
  let most = largestMagnitude(bytes, width);
  let bad = 0;
  if (most >= infinity) {
    const values = width === 4 ? new Uint32Array(whole.buffer, whole.byteOffset, whole.byteLength / 4) : new Uint16Array(whole.buffer, whole.byteOffset, whole.byteLength / 2);
    const unsigned = width === 4 ? 0x7fffffff : 0x7fff;
    most = 0;
    for (const value of values) {
      const magnitude = value & unsigned;
      if (magnitude >= infinity) bad++;
      else if (magnitude > most) most = magnitude;
    }
  }
  const stored = width === 4 ? Uint32Array.of(most) : Uint16Array.of(most);
  return { largest: toFloat32(new Uint8Array(stored.buffer), dtype)[0]!, bad };
}

/** The largest of all values' bits without their sign; values of two bytes are looked at two by two, in words of four. */
function largestMagnitude(bytes: Uint8Array, width: number): number {
  const whole = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  const words = new Int32Array(whole.buffer, whole.byteOffset, whole.byteLength >>> 2);
  const [lowMask, highMask] = width === 4 ? [0x7fffffff, 0] : [0x7fff, 0x7fff0000];
  let [low, high] = [0, 0];
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    const a = word & lowMask;
    const b = word & highMask;
    if (a > low) low = a;
    if (b > high) high = b;
  }
  const last = whole.byteLength & 2 ? (whole[whole.byteLength - 2]! | (whole[whole.byteLength - 1]! << 8)) & 0x7fff : 0;
  return Math.max(low, high >>> 16, last);
}

async function compareTiles(job: VerifyJob, result: Checkpoint): Promise<{ compared: number; equal: number; longSums: number; far: number; farIn: string }> {
  const merged = job.plan.tensors.filter((t) => t.action === "merge" && bodyElements(t) > 0);
  const totals = { compared: 0, equal: 0, longSums: 0, far: 0, farIn: "" };
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
    const fromStart = work.makers?.some((maker) => maker && countsEquals(maker)) ?? false;
    const total = bodyElements(tensor);
    const tile = sliceOf({ ...tensor, elements: total }, TILE_ELEMENTS, needsWholeRows(work));
    const blocks = Math.ceil(total / tile);
    const start = fromStart ? 0 : (rng.next() % blocks) * tile;
    const elements = Math.min(tile, total - start);
    const want = await cpuTile(job.sources, tensor, work, start, elements, job.signal);
    const width = bytesPerElement(tensor.dtype as FloatDtype);
    const got = await result.read(tensor.name, start * width, elements * width);
    totals.compared++;
    const steps = roundingSteps(got, want, tensor.dtype as FloatDtype);
    if (steps === 0) totals.equal++;
    else if (steps > 1 && work.op.kind === "project" && !job.exact && withinSlack(got, want, tensor.dtype as FloatDtype, projectSlack(work.op, await readSlice(job.sources, tensor, work, start, elements)))) totals.longSums++;
    else if (steps > 1) {
      totals.far++;
      totals.farIn ||= tensor.name;
    }
  }
  return totals;
}

async function cpuTile(sources: MergeSources, tensor: OutputTensor, work: TensorWork, start: number, elements: number, signal: AbortSignal): Promise<Uint8Array> {
  const slice = await readSlice(sources, tensor, work, start, elements);
  const cut = withMasks(work, slice, sources.experts.map(() => makerState()));
  const dtype = tensor.dtype as FloatDtype;
  return sliceBytes((op, part, stored) => staged(signal, "compute", elements * bytesPerElement(stored), () => applyOpCpu(op, part, stored)), { ...tensor, dtype }, work, slice, cut);
}

/** Unit of least precision over the value, and the smallest distance of two values. */
const SPACING: Record<FloatDtype, [relative: number, least: number]> = { F32: [2 ** -23, 2 ** -149], BF16: [2 ** -7, 2 ** -133], F16: [2 ** -10, 2 ** -24] };

/** Whether two arrays of stored floats lie no further apart than `slack` and one rounding step. */
export function withinSlack(a: Uint8Array, b: Uint8Array, dtype: FloatDtype, slack: ArrayLike<number>): boolean {
  const [relative, least] = SPACING[dtype];
  const other = toFloat32(b, dtype);
  return toFloat32(a, dtype).every((v, i) => Math.abs(v - other[i]!) <= slack[i]! + Math.max(least, relative * Math.max(Math.abs(v), Math.abs(other[i]!))));
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
