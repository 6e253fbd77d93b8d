/** One operation at one size. `w` is [N, K] as a checkpoint stores it. */
export interface BenchCase {
  name: string;
  op: "forward" | "dX" | "dW" | "fisher";
  /** Rows of activations; for "fisher" all samples together. */
  M: number;
  K: number;
  N: number;
  samples: number;
}

export interface Inputs {
  x: Float32Array; // [M, K]
  w: Float32Array; // [N, K], values that bf16 holds exactly
  dy: Float32Array; // [M, N]
}

/** Multiply-adds count twice; squaring is left out. */
export const flops = ({ M, K, N }: BenchCase): number => 2 * M * K * N;

const SHAPES = [[256, 256], [896, 896], [896, 4864]] as const;

export function benchCases(rows: number[]): BenchCase[] {
  const products = (["forward", "dX", "dW"] as const).flatMap((op) =>
    rows.flatMap((M) => SHAPES.map(([K, N]): BenchCase => ({ name: `${op} ${K}x${N} M=${M}`, op, M, K, N, samples: 1 }))),
  );
  const fisher = SHAPES.map(([K, N]): BenchCase => ({ name: `fisher ${K}x${N} 2x64`, op: "fisher", M: 128, K, N, samples: 2 }));
  return [...products, ...fisher];
}

/** Values in [-1, 1), the same in every run; weights are rounded to bf16 so that every library multiplies the same numbers. */
export function makeInputs({ M, K, N }: BenchCase): Inputs {
  const w = noise(N * K, 2);
  const bits = new Uint32Array(w.buffer);
  for (let i = 0; i < bits.length; i++) bits[i]! &= 0xffff0000;
  return { x: noise(M * K, 1), w, dy: noise(M * N, 3) };
}

function noise(count: number, seed: number): Float32Array {
  const out = new Float32Array(count);
  let state = Math.imul(seed, 2654435761) >>> 0;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    out[i] = state / 2 ** 31 - 1;
  }
  return out;
}

export const outputShape = ({ op, M, K, N }: BenchCase): [number, number] => (op === "forward" ? [M, N] : op === "dX" ? [M, K] : [N, K]);

/** Element (i, j) of the result in float64, with its scale: the root of the sum of squared terms. */
function expected({ op, M, K, N, samples }: BenchCase, { x, w, dy }: Inputs, i: number, j: number): [value: number, scale: number] {
  const sum = (count: number, term: (t: number) => number): [number, number] => {
    let [total, squares] = [0, 0];
    for (let t = 0; t < count; t++) {
      total += term(t);
      squares += term(t) ** 2;
    }
    return [total, Math.sqrt(squares)];
  };
  if (op === "forward") return sum(K, (k) => x[i * K + k]! * w[j * K + k]!);
  if (op === "dX") return sum(N, (n) => dy[i * N + n]! * w[n * K + j]!);
  const rows = M / samples;
  const parts = Array.from({ length: samples }, (_, s) => sum(rows, (t) => dy[(s * rows + t) * N + i]! * x[(s * rows + t) * K + j]!));
  if (op === "dW") return parts[0]!;
  return [parts.reduce((total, [g]) => total + g * g, 0), parts.reduce((total, [g, scale]) => total + (Math.abs(g) + scale) * scale, 0)];
}

/** Largest error over a spread of 400 elements, corners included, as a share of each element's scale. */
export function worstError(one: BenchCase, inputs: Inputs, got: Float32Array): number {
  const [rows, columns] = outputShape(one);
  if (got.length !== rows * columns) return Infinity;
  let worst = 0;
  for (let p = 0; p < 400; p++) {
    const at = p === 0 ? 0 : p === 1 ? got.length - 1 : (p * 7_919_797) % got.length;
    const [want, scale] = expected(one, inputs, Math.floor(at / columns), at % columns);
    const error = Math.abs(got[at]! - want) / scale;
    if (!(error <= worst)) worst = Number.isNaN(error) ? Infinity : error;
  }
  return worst;
}
