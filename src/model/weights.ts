import { StudioError, throwIfCancelled } from "../core/errors";
import { bytesPerElement, isFloatDtype, leaseOf, type FloatDtype, type TensorInfo, type TensorSource } from "../core/tensors";
import { toFloat32 } from "../formats/dtypes";
import { MAX_BINDING_BYTES, type Gpu } from "../gpu/gpu";
import { rowPanels, type Weight, type WeightPanel } from "../gpu/weight";
import { expectedTensors } from "./architectures";
import type { ModelConfig } from "./config";
import { afterUpload } from "./pace";

/** Reads and uploads go in pieces of this size; also how long a cancel may wait for a read. */
export const PIECE_BYTES = 16 * 1024 * 1024;

/** Arrays for reads of sources that lend none; a load puts back what it takes, so that two loads never share. */
const idle: Uint8Array[] = [];

function takeStaging(bytes: number): Uint8Array {
  const at = idle.findIndex((array) => array.byteLength >= bytes);
  return at >= 0 ? idle.splice(at, 1)[0]! : new Uint8Array(bytes);
}

function giveStaging(staging: Uint8Array): void {
  idle.push(staging);
  // The largest two stay: one in use, one for a load beside it.
  idle.sort((a, b) => b.byteLength - a.byteLength).length = Math.min(idle.length, 2);
}

/** A tensor that is computed with. Throws "bad-file" when it is missing or its dtype is no float dtype. */
export function floatTensor(source: TensorSource, name: string): TensorInfo & { dtype: FloatDtype } {
  const info = source.tensors.get(name);
  if (!info) throw new StudioError("bad-file", `Loading the model: tensor "${name}" is missing, but the architecture needs it. Copy the checkpoint again, or use one of this architecture.`, { title: "A tensor is missing", where: name });
  if (!isFloatDtype(info.dtype))
    throw new StudioError("bad-file", `Loading "${name}": the dtype is ${info.dtype}, expected F32, F16 or BF16. Use an unquantised copy of the model.`, { title: "A dtype that cannot be computed with", where: name, found: info.dtype, expected: "F32, F16 or BF16" });
  return info as TensorInfo & { dtype: FloatDtype };
}

/** Throws "bad-file" or "shape-mismatch" unless every tensor of the configuration is there with its shape and a float dtype. */
export function checkTensors(source: TensorSource, config: ModelConfig): void {
  for (const { name, shape } of expectedTensors(config)) {
    const found = floatTensor(source, name).shape;
    if (found.length === shape.length && found.every((d, i) => d === shape[i])) continue;
    throw new StudioError("shape-mismatch", `Loading the model: tensor "${name}" is [${found.join(", ")}], and config.json asks for [${shape.join(", ")}]. Use the config.json that belongs to these weights.`, {
      title: "Weights and config.json disagree", where: name, found: `[${found.join(", ")}]`, expected: `[${shape.join(", ")}]`,
    });
  }
}

/** [rows, cols] of a matrix; a vector is one row. Throws "shape-mismatch" for more dimensions. */
function matrixShape(info: TensorInfo): [number, number] {
  if (info.shape.length === 1) return [1, info.shape[0]!];
  if (info.shape.length === 2) return [info.shape[0]!, info.shape[1]!];
  throw new StudioError("shape-mismatch", `Loading "${info.name}": its shape is [${info.shape.join(", ")}], expected a matrix or a vector.`, { where: info.name, found: `[${info.shape.join(", ")}]`, expected: "one or two dimensions" });
}

/** Rows [row0, row0 + rows) of a matrix on the GPU, as stored. The caller releases the buffer. */
export async function loadPanel(gpu: Gpu, source: TensorSource, name: string, row0: number, rows: number, signal?: AbortSignal): Promise<WeightPanel> {
  const info = floatTensor(source, name);
  const rowBytes = matrixShape(info)[1] * bytesPerElement(info.dtype);
  const total = rows * rowBytes;
  const buffer = gpu.alloc(total, name);
  const staging = source.lease ? undefined : takeStaging(Math.min(total, PIECE_BYTES));
  try {
    for (let done = 0; done < total; done += PIECE_BYTES) {
      throwIfCancelled(signal);
      const length = Math.min(PIECE_BYTES, total - done);
      const piece = await leaseOf(source, name, row0 * rowBytes + done, length, () => staging!.subarray(0, length));
      try {
        gpu.write(buffer, done, piece.bytes);
      } finally {
        piece.done();
      }
      await afterUpload(gpu, length, signal);
    }
  } catch (error) {
    gpu.release(buffer);
    throw error;
  } finally {
    if (staging) giveStaging(staging);
  }
  return { row0, rows, buffer };
}

/** A whole matrix on the GPU in row panels, as stored. Throws "bad-file", "shape-mismatch" or "cancelled". */
export async function loadWeight(gpu: Gpu, source: TensorSource, name: string, signal?: AbortSignal, maxPanelBytes = MAX_BINDING_BYTES): Promise<Weight> {
  const info = floatTensor(source, name);
  const [rows, cols] = matrixShape(info);
  const weight: Weight = { name, dtype: info.dtype, rows, cols, panels: [] };
  try {
    for (const range of rowPanels(rows, cols, maxPanelBytes)) weight.panels.push(await loadPanel(gpu, source, name, range.row0, range.rows, signal));
  } catch (error) {
    releaseWeight(gpu, weight);
    throw error;
  }
  return weight;
}

/** A gain or bias as f32 on the GPU; exact, because every stored value is an f32 value. */
export async function loadVector(gpu: Gpu, source: TensorSource, name: string): Promise<GPUBuffer> {
  return gpu.upload(await readFloatTensor(source, name), name);
}

/** All values of a tensor as f32, on the CPU: for vectors and small matrices. */
export async function readFloatTensor(source: TensorSource, name: string): Promise<Float32Array> {
  const info = floatTensor(source, name);
  const { bytes, done } = await leaseOf(source, name, 0, info.end - info.begin);
  try {
    return toFloat32(bytes, info.dtype);
  } finally {
    done();
  }
}

export function releaseWeight(gpu: Gpu, weight: Weight): void {
  gpu.release(...weight.panels.map((panel) => panel.buffer));
}

/**
 * x[t] = E[tokens[t]] as f32 [tokens, C]. Only the rows that occur are read, each once; neighbours are read together.
 */
export async function gatherEmbeddingRows(source: TensorSource, name: string, tokens: ArrayLike<number>): Promise<Float32Array> {
  const info = floatTensor(source, name);
  const C = matrixShape(info)[1];
  const rowBytes = C * bytesPerElement(info.dtype);
  const ids = [...new Set(Array.from(tokens))].sort((a, b) => a - b);
  const rows = new Map<number, Float32Array>();
  for (let i = 0; i < ids.length; ) {
    let end = i + 1;
    while (end < ids.length && ids[end] === ids[end - 1]! + 1 && (end - i + 1) * rowBytes <= PIECE_BYTES) end++;
    const values = toFloat32(await source.read(name, ids[i]! * rowBytes, (end - i) * rowBytes), info.dtype);
    for (let n = i; n < end; n++) rows.set(ids[n]!, values.subarray((n - i) * C, (n - i + 1) * C));
    i = end;
  }
  const out = new Float32Array(tokens.length * C);
  for (let t = 0; t < tokens.length; t++) out.set(rows.get(tokens[t]!)!, t * C);
  return out;
}
