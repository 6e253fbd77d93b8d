import { readFileSync } from "node:fs";
import type { FloatDtype } from "../../../src/core/tensors";
import { toFloat32 } from "../../../src/formats/dtypes";

export interface FixtureTensor { dtype: string; shape: number[]; bytes: Uint8Array; values: Float32Array }

/** A safetensors fixture, read with as little code as it takes: length, JSON, slices. U8 tensors have no values. */
export function readFixture(path: string): Map<string, FixtureTensor> {
  const file = readFileSync(`tests/fixtures/${path}`);
  const header = Number(file.readBigUInt64LE(0));
  const entries = JSON.parse(file.toString("utf8", 8, 8 + header)) as Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>;
  const out = new Map<string, FixtureTensor>();
  for (const [name, entry] of Object.entries(entries)) {
    if (name === "__metadata__") continue;
    const { dtype, shape, data_offsets: [begin, end] } = entry;
    const bytes = new Uint8Array(file.subarray(8 + header + begin, 8 + header + end));
    out.set(name, { dtype, shape, bytes, values: dtype === "U8" ? new Float32Array() : toFloat32(bytes, dtype as FloatDtype) });
  }
  return out;
}
