import { BLOCK, blockError, blockFlops, blockInputs, type BlockInputs } from "./block";
import { noise, toBf16Values } from "./values";

/** One operation at one size. `w` is [N, K] as a checkpoint stores it. "block" is the gradient of a whole block, see block.ts. */
export interface BenchCase {
  name: string;
  op: "forward" | "dX" | "dW" | "fisher" | "block";
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
  /** Of a block alone: then x is its input and dy the gradient of its output, both [M, K], and w is empty. */
  block?: BlockInputs;
}

/** How far ahead of the best peer we want to be on a software adapter, by operation. */
export const BARS: Record<BenchCase["op"], number> = { forward: 2.5, dX: 2, dW: 1.5, fisher: 2, block: 2 };

/** Multiply-adds count twice; squaring is left out. */
export const flops = ({ op, M, K, N }: BenchCase): number => (op === "block" ? blockFlops(M) : 2 * M * K * N);

const SHAPES = [[256, 256], [896, 896], [896, 4864]] as const;

export function benchCases(rows: number[]): BenchCase[] {
  const products = (["forward", "dX", "dW"] as const).flatMap((op) =>
    rows.flatMap((M) => SHAPES.map(([K, N]): BenchCase => ({ name: `${op} ${K}x${N} M=${M}`, op, M, K, N, samples: 1 }))),
  );
  const fisher = SHAPES.map(([K, N]): BenchCase => ({ name: `fisher ${K}x${N} 2x64`, op: "fisher", M: 128, K, N, samples: 2 }));
  const block: BenchCase = { name: `block gradient d${BLOCK.C} h${BLOCK.H} f${BLOCK.F} L=64`, op: "block", M: 64, K: BLOCK.C, N: BLOCK.F, samples: 1 };
  return [...products, ...fisher, block];
}

/** The same in every run; weights are rounded to bf16 so that every library multiplies the same numbers. */
export function makeInputs({ op, M, K, N }: BenchCase): Inputs {
  if (op === "block") return { x: noise(M * K, 1), w: new Float32Array(0), dy: noise(M * K, 3), block: blockInputs() };
  return { x: noise(M * K, 1), w: toBf16Values(noise(N * K, 2)), dy: noise(M * N, 3) };
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

/** Sums in f32 of up to 4,864 terms, as a share of the root of the summed squares; a block is many of them in a row. */
export const tolerance = ({ op }: BenchCase): number => (op === "block" ? 1e-4 : 1e-5);

/** Largest error over a spread of 400 elements, corners included, as a share of each element's scale; for a block see blockError. */
export function worstError(one: BenchCase, inputs: Inputs, got: Float32Array): number {
  if (inputs.block) return blockError(inputs.block, inputs.x, inputs.dy, got);
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
