import { autotune, type Candidate, type TuneCase, type TuneOptions, type TuneResult } from "../../gpu/autotune";
import type { Gpu } from "../../gpu/gpu";
import { fisherLinear } from "./fisher";
import { FORMED_KERNELS, FORMS, HARDWARE_FORMS, everywhere, useForms, type Form, type FormChoices, type FormedKernel, type ShapeClass } from "./forms";
import { linearBackward, linearForward } from "./gemm";

/** Rows of a measurement of each class: one sequence of 64 tokens, eight of them. Columns are those of a small hidden size. */
const ROWS: Record<ShapeClass, number> = { "many rows": 512, "few rows": 64 };
/** Sums of up to 1,024 products in f32, in different orders; Fisher squares double the relative error. */
const TOLERANCE = 1e-5;

/** Values in [-1, 1) from a fixed sequence: the same on every device, and none so small that it could be flushed. */
function noise(count: number, seed: number): Float32Array {
  const out = new Float32Array(count);
  let state = seed >>> 0;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    out[i] = state / 2 ** 31 - 1;
  }
  return out;
}

export interface KernelTuneOptions extends TuneOptions {
  /** Forms to compare, at most four; the first is the reference and the fallback. */
  forms?: readonly Form[];
  /** Side of the square weight, a multiple of 4. */
  size?: number;
  rows?: Partial<Record<ShapeClass, number>>;
}

/**
 * Compares the forms of gemm_nt, gemm_nn and fisher_tn on this device (bf16 weights for the two products), and sets the
 * chosen ones with `useForms`. The kernels are left at their defaults when it throws. See autotune.
 */
export async function tuneKernels(gpu: Gpu, { forms = HARDWARE_FORMS, size = 1024, rows, ...options }: KernelTuneOptions): Promise<TuneResult> {
  const sizes = { ...ROWS, ...rows };
  const most = Math.max(sizes["few rows"], sizes["many rows"]);
  // On an adapter that is not measured nothing is uploaded either.
  const idle = gpu.software && !options.evenSoftware;
  const held: GPUBuffer[] = [];
  const hold = (buffer: GPUBuffer): GPUBuffer => (held.push(buffer), buffer);
  try {
    const words = new Uint16Array(idle ? 0 : size * size);
    const bits = new Uint32Array(noise(words.length, 1).buffer);
    words.forEach((_, i) => (words[i] = bits[i]! >>> 16));
    const [a, b] = idle ? [hold(gpu.alloc(4)), hold(gpu.alloc(4))] : [hold(gpu.upload(noise(most * size, 2))), hold(gpu.upload(noise(most * size, 3)))];
    const buffers: Buffers = { a, b, out: hold(gpu.alloc(idle ? 4 : 4 * size * Math.max(size, most))), weight: hold(gpu.upload(words)) };
    const cases = (["many rows", "few rows"] as const).flatMap((shape) => FORMED_KERNELS.map((kernel) => tuneCase(gpu, kernel, shape, sizes[shape], size, forms, buffers, hold)));
    const result = await autotune(gpu, cases, options);
    useForms(gpu, idle ? undefined : formChoices(result));
    return result;
  } catch (error) {
    useForms(gpu, undefined);
    throw error;
  } finally {
    gpu.release(...held);
  }
}

interface Buffers {
  a: GPUBuffer;
  b: GPUBuffer;
  out: GPUBuffer;
  weight: GPUBuffer;
}

function tuneCase(gpu: Gpu, kernel: FormedKernel, shapeClass: ShapeClass, M: number, size: number, forms: readonly Form[], { a, b, out, weight }: Buffers, hold: (buffer: GPUBuffer) => GPUBuffer): TuneCase {
  const matrix = { name: "tuning", dtype: "BF16" as const, rows: size, cols: size, panels: [{ row0: 0, rows: size, buffer: weight }] };
  const starts = hold(gpu.upload(Uint32Array.from({ length: M / 64 + 1 }, (_, s) => s * 64)));
  // Bound to exactly M rows: the Fisher call takes the number of rows from the size of dy.
  const dy = { buffer: b, offset: 0, size: Math.min(b.size, 4 * M * size) };
  const calls: Record<FormedKernel, () => void> = {
    gemm_nt: () => linearForward(gpu, { x: a, weight: matrix, y: out, M }),
    gemm_nn: () => linearBackward(gpu, { dy: b, weight: matrix, dx: out, M, accumulate: false }),
    fisher_tn: () => fisherLinear(gpu, { x: a, dy, starts, sequences: Math.floor(M / 64), N: size, K: size, row0: 0, rows: size, dyStride: size, dyColumn0: 0, out, accumulate: false }),
  };
  const candidates = forms.map((form): Candidate => ({
    id: form,
    encode: () => {
      useForms(gpu, everywhere(form));
      calls[kernel]();
    },
  }));
  const count = kernel === "fisher_tn" ? size * size : M * size;
  return { kernel, shapeClass, candidates, read: () => gpu.readFloats(out, count), tolerance: TOLERANCE, flops: 2 * M * size * size };
}

/** The choices of a result, as `useForms` takes them; names that this version does not know are left out. */
export function formChoices(result: TuneResult): FormChoices {
  const choices: FormChoices = {};
  for (const { kernel, shapeClass, chosen } of result.cases) {
    const known = FORMED_KERNELS.find((name) => name === kernel);
    const form = FORMS.find((name) => name === chosen);
    if (known && form && (shapeClass === "few rows" || shapeClass === "many rows")) choices[known] = { ...choices[known], [shapeClass]: form };
  }
  return choices;
}
