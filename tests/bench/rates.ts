import type { Gpu } from "../../src/gpu/gpu";
import { addDelta } from "../../src/kernels/merge/addDelta";
import { selectThreshold } from "../../src/kernels/stats/select";
import { middle } from "./measure";
import { noise } from "./values";

export interface Rate {
  name: string;
  value: number;
  unit: "GB/s" | "Melem/s";
  note?: string;
}

export const PIECE = 16 * 1024 * 1024;
const ROUNDS = 5;

/** Median milliseconds of a call, after one that warms up. */
export async function medianMs(call: () => Promise<unknown>, rounds = ROUNDS): Promise<number> {
  await call();
  const times: number[] = [];
  for (let i = 0; i < rounds; i++) {
    const start = performance.now();
    await call();
    times.push(performance.now() - start);
  }
  return middle(times);
}

export const gbPerSecond = (name: string, bytes: number, ms: number, note?: string): Rate => ({ name, value: bytes / ms / 1e6, unit: "GB/s", ...(note ? { note } : {}) });

/**
 * What streams: the masked merge of bf16 (2 + 2 read, 1/8 of mask, 2 written per element), the exact order statistic of
 * f32 keys on either path (the CPU's reads them back first), and writes to the GPU in 16 MiB pieces.
 */
export async function measureRates(gpu: Gpu): Promise<Rate[]> {
  return [await mergeRate(gpu), ...(await selectRates(gpu)), await uploadRate(gpu)];
}

async function mergeRate(gpu: Gpu): Promise<Rate> {
  const n = gpu.software ? 8 << 20 : 32 << 20;
  const words = (count: number): GPUBuffer => {
    const buffer = gpu.alloc(4 * count);
    const bits = Uint32Array.from(noise(Math.min(count, 1 << 20), 7), (v) => Math.floor((v + 1) * 2 ** 31) & 0x3fff3fff);
    for (let at = 0; at < count; at += bits.length) gpu.write(buffer, 4 * at, bits.subarray(0, Math.min(bits.length, count - at)));
    return buffer;
  };
  const [base, tuned, mask, out] = [words(n / 2), words(n / 2), words(n / 32), gpu.alloc(2 * n)];
  const ms = await medianMs(async () => {
    gpu.run(addDelta, { base, tuned, mask, out }, { n, a: 0.7, scale: 1, zero: 0 }, { BASE_DTYPE: 1, TUNED_DTYPE: 1, OUT_DTYPE: 1, HAS_MASK: 1 });
    await gpu.sync();
  });
  gpu.release(base, tuned, mask, out);
  return gbPerSecond("merge, bf16 and a mask", n * (2 + 2 + 2 + 1 / 8), ms, `${n >> 20} Mi elements`);
}

async function selectRates(gpu: Gpu): Promise<Rate[]> {
  const n = gpu.software ? 4 << 20 : 16 << 20;
  const values = noise(n, 5).map(Math.abs);
  const keys = gpu.upload(values);
  const rank = Math.floor(0.8 * n);
  const rates: Rate[] = [];
  const found: number[] = [];
  for (const path of ["gpu", "cpu"] as const) {
    const ms = await medianMs(async () => (found[rates.length] = await selectThreshold(gpu, [{ keys, elements: n }], rank, path)), 3);
    rates.push({ name: path === "gpu" ? "select on the GPU" : "select on the CPU, readback included", value: n / ms / 1e3, unit: "Melem/s", note: `${n >> 20} Mi keys` });
  }
  gpu.release(keys);
  const want = values.sort()[rank]!;
  if (found.some((value) => value !== want)) throw new Error(`Selecting rank ${rank}: found ${found.join(" and ")}, the sorted keys have ${want}.`);
  return rates;
}

async function uploadRate(gpu: Gpu): Promise<Rate> {
  const bytes = 128 << 20;
  const piece = new Uint8Array(PIECE).fill(1);
  const buffer = gpu.alloc(bytes);
  const ms = await medianMs(async () => {
    for (let at = 0; at < bytes; at += PIECE) gpu.write(buffer, at, piece);
    await gpu.sync();
  });
  gpu.release(buffer);
  return gbPerSecond("upload, writeBuffer of 16 MiB", bytes, ms, "128 MiB");
}
