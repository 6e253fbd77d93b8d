import { StudioError, type ErrorDetails } from "../core/errors";
import type { FileSource } from "../core/files";
import type { Checkpoint, TensorInfo } from "../core/tensors";
import { parseJson, JsonSyntaxError, toPlain } from "./json";
import { readSafetensorsHeader } from "./safetensors";

const INDEX = "model.safetensors.index.json";

/** `check` names the test that failed, for tests and for the error card's copy. */
function refuse(name: string, check: string, found: string, todo: string, details: ErrorDetails = {}): never {
  throw new StudioError("bad-file", `Reading the model folder "${name}": ${found}. ${todo}`, { title: "The folder cannot be read", where: name, found, todo, check, ...details });
}

async function readText(file: FileSource): Promise<string> {
  const bytes = await file.read(0, file.size);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new StudioError("bad-file", `Reading ${file.path}: the file is no valid UTF-8 text. Copy the file again.`, { title: "A text file cannot be read", where: file.path, check: "not-text" }, { cause });
  }
}

/** The built-in parser is many times faster on a tokenizer of 10 MB; ours is asked for the place of a mistake. */
function parsePlain(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return toPlain(parseJson(text));
  }
}

/** A JSON record from a small file; the sentence says line and column of a mistake. */
export function parseJsonRecord(text: string, path: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = parsePlain(text);
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    throw new StudioError("bad-file", `Reading ${path}: the JSON is malformed, ${error.message}. Copy the file again.`, { title: `${path} is malformed`, where: path, found: error.message, check: "malformed-json" }, { cause: error });
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new StudioError("bad-file", `Reading ${path}: found ${Array.isArray(value) ? "a list" : JSON.stringify(value)}, expected a JSON object.`, { title: `${path} is no object`, where: path, check: "json-not-object" });
}

/** What a folder without usable safetensors holds instead, in the reader's words. */
function refuseWithoutWeights(name: string, paths: string[]): never {
  const some = (pattern: RegExp): string | undefined => paths.find((p) => pattern.test(p));
  const gguf = some(/\.gguf$/i);
  if (gguf) refuse(name, "gguf", `it holds ${gguf}, a GGUF file`, "GGUF weights are quantised or packed; use the original model in safetensors form.");
  const pickle = some(/(^|\/)(pytorch_model|model|consolidated)[^/]*\.(bin|pt|pth)$/i);
  if (pickle) refuse(name, "pickle", `the weights are in ${pickle}, a PyTorch pickle`, "Save the model again with safe_serialization=True, or use a repository that has .safetensors files.");
  const deeper = some(/\/[^/]+\.safetensors$/i);
  if (deeper) refuse(name, "nested", `there is no .safetensors file in it, but ${deeper} lies deeper`, `Choose the folder "${deeper.slice(0, deeper.lastIndexOf("/"))}" instead.`);
  refuse(name, "no-weights", paths.length === 0 ? "it is empty" : "there is no .safetensors file in it", "Choose the folder that holds config.json and the .safetensors files.");
}

async function readIndex(name: string, file: FileSource): Promise<{ map: Map<string, string>; totalSize: number | undefined }> {
  const index = parseJsonRecord(await readText(file), file.path);
  const map = index.weight_map;
  if (typeof map !== "object" || map === null || Array.isArray(map)) return refuse(name, "index-without-map", `${file.path} has no "weight_map"`, "Copy the index again.");
  const pairs = new Map<string, string>();
  for (const [tensor, shard] of Object.entries(map)) {
    if (typeof shard !== "string") refuse(name, "index-without-map", `${file.path} gives tensor "${tensor}" no file name`, "Copy the index again.");
    if (/[/\\]/.test(shard) || shard === ".." || shard === "") refuse(name, "path-in-index", `${file.path} places tensor "${tensor}" in "${shard}"`, "A shard must lie in the same folder as the index; the index may be forged, use another copy.", { tensor });
    pairs.set(tensor, shard);
  }
  const metadata = index.metadata as { total_size?: unknown } | undefined | null;
  return { map: pairs, totalSize: typeof metadata?.total_size === "number" ? metadata.total_size : undefined };
}

/** Files that hold the model when there is no index: model.safetensors, or a complete numbered set. */
function filesWithoutIndex(name: string, files: FileSource[], warnings: string[]): FileSource[] {
  const single = files.find((f) => f.path === "model.safetensors");
  if (single) {
    if (files.length > 1) warnings.push(`Only model.safetensors is used; ${files.filter((f) => f !== single).map((f) => f.path).join(", ")} beside it ${files.length > 2 ? "are" : "is"} not part of the model.`);
    return [single];
  }
  const numbered = files.flatMap((file) => {
    const found = /^(.*)-(\d+)-of-(\d+)\.safetensors$/.exec(file.path);
    return found ? [{ file, stem: found[1]!, part: Number(found[2]), of: Number(found[3]) }] : [];
  });
  if (numbered.length > 0) {
    const { stem, of } = numbered[0]!;
    const set = numbered.filter((n) => n.stem === stem && n.of === of);
    const missing = Array.from({ length: of }, (_, i) => i + 1).filter((part) => !set.some((n) => n.part === part));
    if (missing.length > 0) refuse(name, "missing-shard", `part ${missing.slice(0, 5).join(", ")} of ${of} of ${stem} is missing, and there is no ${INDEX}`, "Copy the missing files and the index into the folder.");
    warnings.push(`There is no ${INDEX}; all ${of} numbered parts are used.`);
    return set.sort((a, b) => a.part - b.part).map((n) => n.file);
  }
  const adapters = files.filter((f) => /^adapter_/.test(f.path));
  const whole = files.filter((f) => !adapters.includes(f));
  if (whole.length === 0) refuse(name, "adapter", `it holds only ${adapters[0]!.path}, a LoRA adapter`, "Merge the adapter into its base model first (merge_and_unload), then use the merged folder.");
  if (whole.length === 1) return whole;
  return refuse(name, "ambiguous", `it holds ${whole.length} safetensors files (${whole.slice(0, 3).map((f) => f.path).join(", ")}) and no ${INDEX}`, "Add the index, or leave only the files of one model in the folder.");
}

const quantisedTensor = /\.(qweight|qzeros|g_idx|SCB|weight_packed|weight_scale_inv|quant_map|absmax)$|\.quant_state\./;

function refuseQuantised(name: string, config: Readonly<Record<string, unknown>>, tensors: ReadonlyMap<string, TensorInfo>): void {
  const quantization = config.quantization_config;
  const full = "Use the full-precision model that it was made from.";
  if (typeof quantization === "object" && quantization !== null) {
    const record = quantization as Record<string, unknown>;
    refuse(name, "quantised", `the checkpoint is quantised (${String(record.quant_method ?? "quantization_config in config.json")})`, full, { why: "Quantised weights are codes with scales, not numbers that can be added." });
  }
  const packed = [...tensors.keys()].find((t) => quantisedTensor.test(t));
  if (packed) refuse(name, "quantised", `the checkpoint is quantised: tensor "${packed}" holds packed codes or their scales`, full, { tensor: packed, why: "Quantised weights are codes with scales, not numbers that can be added." });
}

/** A read tensor range outside the tensor is a fault of the caller, and is named as such. */
function checkRange(info: TensorInfo | undefined, name: string, offset: number, length: number): TensorInfo {
  if (!info) throw new StudioError("bad-request", `Reading tensor "${name}": the checkpoint has no tensor of this name.`, { official: "TensorNotFound" });
  if (offset < 0 || length < 0 || offset + length > info.end - info.begin) {
    throw new StudioError("bad-request", `Reading tensor "${name}": bytes ${offset} to ${offset + length} were asked for, it has ${info.end - info.begin}.`, { tensor: name });
  }
  return info;
}

/**
 * Opens a model folder: config.json, the index when there is one, and every header; no weight is read.
 * With an index the files it names are used, and index and headers are compared both ways.
 * Throws "bad-file" with the reason as `details.check`; lesser findings become warnings.
 */
export async function openCheckpoint(name: string, files: readonly FileSource[]): Promise<Checkpoint> {
  const byPath = new Map(files.map((f) => [f.path, f]));
  const warnings: string[] = [];
  // consolidated.* is the same model once more, in its authors' own layout.
  const weights = files.filter((f) => /^[^/]+\.safetensors$/i.test(f.path) && !f.path.startsWith("consolidated"));
  const indexFile = byPath.get(INDEX);
  if (weights.length === 0 && !indexFile) refuseWithoutWeights(name, files.map((f) => f.path));

  const configFile = byPath.get("config.json");
  if (!configFile) {
    if (weights.length > 0 && weights.every((f) => f.path.startsWith("adapter_"))) filesWithoutIndex(name, weights, warnings);
    refuse(name, "no-config", "there is no config.json in it", "Copy config.json from where the model came from into the folder.");
  }
  const config = parseJsonRecord(await readText(configFile!), "config.json");

  const index = indexFile ? await readIndex(name, indexFile) : undefined;
  const used = index
    ? [...new Set(index.map.values())].sort().map((path) => byPath.get(path) ?? refuse(name, "missing-shard", `${INDEX} names ${path}, which is not in the folder`, "Copy the missing file into the folder; the download may have stopped early.", { shard: path }))
    : filesWithoutIndex(name, weights, warnings);

  const tensors = new Map<string, TensorInfo>();
  let metadata: Record<string, string> | undefined;
  let totalBytes = 0;
  for (const file of used) {
    const header = await readSafetensorsHeader(file);
    metadata ??= header.metadata;
    for (const tensor of header.tensors) {
      const other = tensors.get(tensor.name);
      if (other) refuse(name, "tensor-in-two-shards", `tensor "${tensor.name}" is in ${other.file} and again in ${file.path}`, "Remove files of another copy from the folder, or download the model again.", { tensor: tensor.name });
      if (index && !index.map.has(tensor.name)) refuse(name, "tensor-not-in-index", `${file.path} holds tensor "${tensor.name}", which ${INDEX} does not name`, "Index and shards are of different versions; download the model again.", { tensor: tensor.name });
      tensors.set(tensor.name, tensor);
      totalBytes += tensor.end - tensor.begin;
    }
  }
  for (const [tensor, shard] of index?.map ?? []) {
    const found = tensors.get(tensor);
    if (found?.file === shard) continue;
    refuse(name, "tensor-missing-in-shard", `${INDEX} places tensor "${tensor}" in ${shard}, ${found ? `but it is in ${found.file}` : "which does not hold it"}`, "Index and shards are of different versions; download the model again.", { tensor });
  }
  if (index?.totalSize !== undefined && index.totalSize !== totalBytes) {
    warnings.push(`${INDEX} gives a total_size of ${index.totalSize.toLocaleString("en-US")} bytes, the tensors have ${totalBytes.toLocaleString("en-US")}.`);
  }
  refuseQuantised(name, config, tensors);

  return {
    name, files, config, tensors, metadata: metadata ?? {}, warnings,
    text: async (path) => {
      const file = byPath.get(path);
      return file ? readText(file) : undefined;
    },
    read: async (tensor, offset, length, into) => {
      const info = checkRange(tensors.get(tensor), tensor, offset, length);
      if (length === 0) return into ? into.subarray(0, 0) : new Uint8Array();
      return byPath.get(info.file)!.read(info.begin + offset, length, into);
    },
  };
}
