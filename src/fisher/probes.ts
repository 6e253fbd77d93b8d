import { randomNormal, hashName } from "../core/random";
import type { Gpu } from "../gpu/gpu";
import { linearForward } from "../kernels/nn/gemm";
import type { FloatDtype } from "../core/tensors";

export const GAUSSIAN_PROBES = 16;

/** Inputs of the norm calibration: rows [rows, K], f32 on the GPU. */
export interface Probes {
  buffer: GPUBuffer;
  rows: number;
}

/** Standard normal probes z [16, K], the same for every tensor of one width; a function of seed and width alone. */
export function gaussianProbes(gpu: Gpu, K: number, seed: number): Probes {
  const key = hashName(`probe/${seed}/${K}`);
  return { buffer: gpu.upload(Float32Array.from({ length: GAUSSIAN_PROBES * K }, (_, i) => randomNormal(key, i)), "probes"), rows: GAUSSIAN_PROBES };
}

/**
 * Sums for the norm calibration over one panel of rows of W0 and of D = m delta (f32):
 *   base2 = |W0 A|^2,  dot = <W0 A, D A>,  kept2 = |D A|^2      bias excluded; A has the probes as columns
 * so that |(W0 + a D) A|^2 = base2 + 2 a dot + a^2 kept2 for every a (METHODS A27). Finished in float64.
 */
export async function probeSums(
  gpu: Gpu,
  probes: Probes,
  K: number,
  panel: { rows: number; base: GPUBuffer; dtype: FloatDtype; delta: GPUBuffer },
): Promise<{ base2: number; dot: number; kept2: number }> {
  const count = probes.rows * panel.rows;
  const outputs: Float32Array[] = [];
  for (const [buffer, dtype] of [[panel.base, panel.dtype], [panel.delta, "F32"]] as const) {
    const y = gpu.alloc(4 * count, "probe outputs");
    linearForward(gpu, { x: probes.buffer, weight: { name: "probe", dtype, rows: panel.rows, cols: K, panels: [{ row0: 0, rows: panel.rows, buffer }] }, y, M: probes.rows });
    outputs.push(await gpu.readFloats(y, count).finally(() => gpu.release(y)));
  }
  const [y0, yd] = outputs as [Float32Array, Float32Array];
  const sums = { base2: 0, dot: 0, kept2: 0 };
  for (let i = 0; i < count; i++) {
    sums.base2 += y0[i]! * y0[i]!;
    sums.dot += y0[i]! * yd[i]!;
    sums.kept2 += yd[i]! * yd[i]!;
  }
  return sums;
}
