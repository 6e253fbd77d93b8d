import { StudioError, type ErrorDetails } from "../core/errors";
import type { FileSource } from "../core/files";
import { DTYPES, type Dtype, type TensorInfo } from "../core/tensors";
import { DTYPE_BITS } from "./dtypes";
import { parseJson, JsonSyntaxError, type JsonNode } from "./json";

export interface SafetensorsHeader {
  /** In the order of their bytes. */
  tensors: TensorInfo[];
  metadata: Record<string, string>;
  /** First byte after the header: 8 + N. */
  dataStart: number;
}

/** Header bytes the official reader refuses to go beyond. */
const MAX_HEADER_BYTES = 100_000_000n;
const U64_MAX = 2n ** 64n - 1n;

/** A name as it may be shown: control characters become visible, long ones are cut. */
const shown = (name: string): string => JSON.stringify(name.length > 120 ? `${name.slice(0, 117)}...` : name);

class HeaderFault extends Error {
  constructor(readonly official: string, readonly found: string, readonly details: ErrorDetails = {}) {
    super(found);
  }
}

const invalid = (found: string, details: ErrorDetails = {}): never => {
  throw new HeaderFault("InvalidHeaderDeserialization", found, details);
};

interface Entry {
  name: string;
  dtype: Dtype;
  shape: bigint[];
  begin: bigint;
  end: bigint;
}

/** A JSON integer that fits u64: `1.0`, `1e0`, `-0` and 2^64 are floating point to the official reader. */
function unsigned(node: JsonNode, what: string): bigint {
  if (node.kind === "number" && /^\d+$/.test(node.text)) {
    const value = BigInt(node.text);
    if (value <= U64_MAX) return value;
  }
  return invalid(`${what} has ${node.kind === "number" ? node.text : `a ${node.kind}`} where a whole number of at least 0 must be`);
}

function unsignedList(node: JsonNode, what: string): bigint[] {
  return node.kind === "array" ? node.items.map((item) => unsigned(item, what)) : invalid(`${what} is a ${node.kind}, not a list`);
}

/** `"F32"`, and `{"F32": null}` because that is how the official reader's enum may be spelt too. */
function readDtype(node: JsonNode, name: string): Dtype {
  const only = node.kind === "object" && node.entries.length === 1 ? node.entries[0] : undefined;
  const word = node.kind === "string" ? node.value : only?.value.kind === "literal" && only.value.value === null ? only.key : invalid(`the dtype of tensor ${shown(name)} is no text`);
  return (DTYPES as readonly string[]).includes(word) ? (word as Dtype) : invalid(`tensor ${shown(name)} has the unknown dtype ${shown(word)}`, { tensor: name });
}

function readEntry(name: string, node: JsonNode): Entry {
  const fields = new Map<string, JsonNode>();
  const keys = ["dtype", "shape", "data_offsets"];
  if (node.kind === "array") {
    // A list of the three fields in order is the same record to the official reader.
    if (node.items.length !== 3) invalid(`tensor ${shown(name)} is a list of ${node.items.length} values, not a record`);
    node.items.forEach((item, i) => fields.set(keys[i]!, item));
  } else if (node.kind === "object") {
    for (const { key, value } of node.entries) {
      if (!keys.includes(key)) continue;
      if (fields.has(key)) invalid(`tensor ${shown(name)} names its field "${key}" twice`, { tensor: name });
      fields.set(key, value);
    }
  } else invalid(`tensor ${shown(name)} is no record`);
  const [dtype, shape, offsets] = keys.map((key) => fields.get(key) ?? invalid(`tensor ${shown(name)} has no "${key}"`, { tensor: name }));
  const range = unsignedList(offsets!, `data_offsets of tensor ${shown(name)}`);
  if (range.length !== 2) invalid(`data_offsets of tensor ${shown(name)} has ${range.length} numbers, expected 2`, { tensor: name });
  return { name, dtype: readDtype(dtype!, name), shape: unsignedList(shape!, `the shape of tensor ${shown(name)}`), begin: range[0]!, end: range[1]! };
}

function readMetadata(node: JsonNode): Record<string, string> {
  if (node.kind === "literal" && node.value === null) return {};
  if (node.kind !== "object") return invalid("__metadata__ is no record");
  return Object.fromEntries(node.entries.map(({ key, value }) => (value.kind === "string" ? [key, value.value] : invalid(`__metadata__ holds ${shown(key)} with a ${value.kind}, expected text`))));
}

/** Bytes of a tensor, with the overflow and alignment tests in the official order (left to right, so a leading 0 saves the product). */
function byteLength(entry: Entry): { elements: bigint; bytes: bigint } {
  const overflow = (): never => {
    throw new HeaderFault("ValidationOverflow", `the size of tensor ${shown(entry.name)} does not fit 64 bits, its shape is [${entry.shape.join(", ")}]`, { tensor: entry.name });
  };
  let elements = 1n;
  for (const d of entry.shape) {
    elements *= d;
    if (elements > U64_MAX) overflow();
  }
  const bits = elements * BigInt(DTYPE_BITS[entry.dtype]);
  if (bits > U64_MAX) overflow();
  if (bits % 8n !== 0n) throw new HeaderFault("MisalignedSlice", `tensor ${shown(entry.name)} ends in the middle of a byte: ${elements} values of ${entry.dtype}`, { tensor: entry.name });
  return { elements, bytes: bits / 8n };
}

function parseEntries(text: string): { entries: Entry[]; metadata: Record<string, string>; duplicate: string | undefined } {
  let root: JsonNode;
  try {
    root = parseJson(text);
  } catch (error) {
    if (error instanceof JsonSyntaxError) return invalid(`the header is no valid JSON: ${error.message}`);
    throw error;
  }
  if (root.kind !== "object") return invalid(`the header is a JSON ${root.kind}, expected a record`);
  const entries = new Map<string, Entry>();
  let metadata: Record<string, string> | undefined;
  let duplicate: string | undefined;
  for (const { key, value } of root.entries) {
    if (key === "__metadata__") {
      if (metadata) invalid('the header names "__metadata__" twice');
      metadata = readMetadata(value);
      continue;
    }
    if (entries.has(key)) duplicate ??= key;
    entries.set(key, readEntry(key, value));
  }
  return { entries: [...entries.values()], metadata: metadata ?? {}, duplicate };
}

async function readHeader(file: FileSource): Promise<SafetensorsHeader> {
  if (file.size < 8) throw new HeaderFault("HeaderTooSmall", `the file has ${file.size} bytes, a header alone needs 8`);
  const lengthBytes = await file.read(0, 8);
  if (lengthBytes.byteLength < 8) throw new HeaderFault("HeaderTooSmall", `only ${lengthBytes.byteLength} bytes could be read`);
  const declared = new DataView(lengthBytes.buffer, lengthBytes.byteOffset, 8).getBigUint64(0, true);
  if (declared > MAX_HEADER_BYTES) throw new HeaderFault("HeaderTooLarge", `the header claims ${declared} bytes, at most 100,000,000 are allowed`);
  const length = Number(declared);
  const dataStart = 8 + length;
  if (dataStart > file.size) throw new HeaderFault("InvalidHeaderLength", `the header ends at byte ${dataStart} but the file has ${file.size}`);
  const bytes = await file.read(8, length);
  let text: string;
  try {
    // The default decoder would drop a byte order mark, which is no JSON.
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new HeaderFault("InvalidHeader", "the header is not valid UTF-8");
  }
  const { entries, metadata, duplicate } = parseEntries(text);
  if (duplicate !== undefined) throw new HeaderFault("DuplicateTensor", `tensor ${shown(duplicate)} is listed twice`, { tensor: duplicate, why: "One name with two places: a reader can only guess which is meant." });

  entries.sort((a, b) => (a.begin < b.begin ? -1 : a.begin > b.begin ? 1 : a.end < b.end ? -1 : a.end > b.end ? 1 : 0));
  let next = 0n;
  const tensors: TensorInfo[] = [];
  for (const entry of entries) {
    if (entry.begin !== next || entry.end < entry.begin) {
      throw new HeaderFault("InvalidOffset", `tensor ${shown(entry.name)} lies at bytes ${entry.begin} to ${entry.end} of the data, expected it to begin at ${next}`, { tensor: entry.name, why: "Tensors must follow each other without holes or overlap." });
    }
    next = entry.end;
    const { elements, bytes: expected } = byteLength(entry);
    if (entry.end - entry.begin !== expected) {
      throw new HeaderFault("TensorInvalidInfo", `tensor ${shown(entry.name)} takes ${entry.end - entry.begin} bytes, but [${entry.shape.join(", ")}] of ${entry.dtype} needs ${expected}`, { tensor: entry.name });
    }
    tensors.push({ name: entry.name, dtype: entry.dtype, shape: entry.shape.map(Number), elements: Number(elements), file: file.path, begin: dataStart + Number(entry.begin), end: dataStart + Number(entry.end) });
  }
  const total = BigInt(dataStart) + next;
  if (total !== BigInt(file.size)) {
    const last = tensors.at(-1);
    throw new HeaderFault("MetadataIncompleteBuffer", total > BigInt(file.size) && last
      ? `tensor ${shown(last.name)} ends at byte ${total} but the file has ${file.size}`
      : `the tensors end at byte ${total} but the file has ${file.size}`, total > BigInt(file.size) ? { why: "The file is incomplete: a download or copy stopped early." } : {});
  }
  return { tensors, metadata, dataStart };
}

/**
 * Reads and validates the header: 8-byte length N, N bytes of JSON, then data; nothing of the data is read.
 * Accepts and refuses what the official reader (safetensors 0.8) does, and refuses duplicate tensor names besides,
 * which the format forbids and the official reader overlooks.
 * Throws "bad-file"; `details.official` is the official error's name, or "DuplicateTensor".
 */
export async function readSafetensorsHeader(file: FileSource): Promise<SafetensorsHeader> {
  try {
    return await readHeader(file);
  } catch (error) {
    if (!(error instanceof HeaderFault)) throw error;
    const todo = "Copy or download the file again.";
    throw new StudioError("bad-file", `Reading ${file.path}: ${error.found}. ${error.details.why ? `${error.details.why} ` : ""}${todo}`, {
      title: "The safetensors file cannot be read", where: file.path, found: error.found, todo, official: error.official, ...error.details,
    });
  }
}

const encoder = new TextEncoder();

/** Order of two texts by their UTF-8 bytes; JavaScript compares UTF-16 units, which differs above U+FFFF. */
export function compareUtf8(a: string, b: string): number {
  if (a === b) return 0;
  const x = encoder.encode(a);
  const y = encoder.encode(b);
  const n = Math.min(x.length, y.length);
  for (let i = 0; i < n; i++) if (x[i] !== y[i]) return x[i]! - y[i]!;
  return x.length - y.length;
}

export interface TensorSpec { name: string; dtype: Dtype; shape: readonly number[] }

/** Bytes of a tensor of this dtype and shape. */
export const tensorBytes = ({ dtype, shape }: Pick<TensorSpec, "dtype" | "shape">): number => (shape.reduce((n, d) => n * d, 1) * DTYPE_BITS[dtype]) / 8;

/**
 * Header of a file of these tensors, as the official writer lays them out: dtype enum descending (largest alignment first),
 * then name by UTF-8 bytes; compact JSON with `__metadata__` first, padded with spaces so that the data starts at a multiple of 8.
 * `order` has the absolute byte range of each tensor; `file` is left empty.
 */
export function writeSafetensorsHeader(tensors: readonly TensorSpec[], metadata: Readonly<Record<string, string>>): { bytes: Uint8Array; order: TensorInfo[] } {
  const sorted = [...tensors].sort((a, b) => DTYPES.indexOf(b.dtype) - DTYPES.indexOf(a.dtype) || compareUtf8(a.name, b.name));
  let offset = 0;
  const places = sorted.map((t) => ({ ...t, begin: offset, end: (offset += tensorBytes(t)) }));
  // Written by hand: an object literal would move integer-like names to the front.
  const rows = places.map((t) => `${JSON.stringify(t.name)}:{"dtype":"${t.dtype}","shape":[${t.shape.join(",")}],"data_offsets":[${t.begin},${t.end}]}`);
  if (Object.keys(metadata).length > 0) rows.unshift(`"__metadata__":${JSON.stringify(metadata)}`);
  const json = encoder.encode(`{${rows.join(",")}}`);
  const padded = Math.ceil((8 + json.length) / 8) * 8;
  const bytes = new Uint8Array(padded).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(padded - 8), true);
  bytes.set(json, 8);
  const order = places.map((t) => ({ name: t.name, dtype: t.dtype, shape: [...t.shape], elements: t.shape.reduce((n, d) => n * d, 1), file: "", begin: padded + t.begin, end: padded + t.end }));
  return { bytes, order };
}
