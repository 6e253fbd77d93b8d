import { attention, attentionBackward } from "../reference/nn/attention";
import { rmsnorm, rmsnormBackward } from "../reference/nn/rmsnorm";
import { rope } from "../reference/nn/rope";
import { siluMul, siluMulBackward } from "../reference/nn/siluMul";
import { noise, toBf16Values } from "./values";

/** A block of a Llama: C channels, H heads of D channels (as many for keys and values), F in the MLP; no biases. */
export const BLOCK = { C: 256, H: 4, D: 64, F: 704, theta: 10_000, eps: 1e-5 } as const;

/** Its matrices [rows, columns] and gains [1, C], in the order in which the gradients are compared; the gradient of x comes last. */
export const BLOCK_PARAMETERS = {
  q_proj: [256, 256], k_proj: [256, 256], v_proj: [256, 256], o_proj: [256, 256],
  gate_proj: [704, 256], up_proj: [704, 256], down_proj: [256, 704],
  input_layernorm: [1, 256], post_attention_layernorm: [1, 256],
} as const satisfies Record<string, readonly [number, number]>;
export type BlockParameter = keyof typeof BLOCK_PARAMETERS;
export const PARAMETER_NAMES = Object.keys(BLOCK_PARAMETERS) as BlockParameter[];
export const isGain = (name: BlockParameter): boolean => BLOCK_PARAMETERS[name][0] === 1;

export type BlockInputs = Record<BlockParameter, Float32Array>;

/** Matrices of standard deviation about 1 / sqrt(columns), gains near 1; all are bf16 values. */
export function blockInputs(): BlockInputs {
  const entries = PARAMETER_NAMES.map((name, i) => {
    const [rows, columns] = BLOCK_PARAMETERS[name];
    const scale = 1.7 / Math.sqrt(columns);
    return [name, toBf16Values(noise(rows * columns, 10 + i).map((v) => (isGain(name) ? 1 + 0.3 * v : scale * v)))] as const;
  });
  return Object.fromEntries(entries) as BlockInputs;
}

/** Forward, gradient of the weights, gradient of the inputs: 2 L each per weight; and 12 L^2 C for attention over L rows. */
export function blockFlops(rows: number): number {
  const weights = PARAMETER_NAMES.filter((name) => !isGain(name)).reduce((sum, name) => sum + BLOCK_PARAMETERS[name][0] * BLOCK_PARAMETERS[name][1], 0);
  return 6 * rows * weights + 12 * rows * rows * BLOCK.C;
}

/** cos and sin of position p and pair i, both [rows, D/2]. */
export function rotaryTables(rows: number): { cos: Float32Array; sin: Float32Array } {
  const angle = (at: number): number => Math.floor(at / (BLOCK.D / 2)) * BLOCK.theta ** ((-2 * (at % (BLOCK.D / 2))) / BLOCK.D);
  const at = Array.from({ length: (rows * BLOCK.D) / 2 }, (_, i) => i);
  return { cos: Float32Array.from(at, (i) => Math.cos(angle(i))), sin: Float32Array.from(at, (i) => Math.sin(angle(i))) };
}

/** What is added to the scores [rows, rows]: later keys are not seen. */
export const causalMask = (rows: number): Float32Array => Float32Array.from({ length: rows * rows }, (_, i) => (i % rows > Math.floor(i / rows) ? -1e9 : 0));

type Vec = Float64Array;

/** Gradients of sum(dy * block(x)) in float64 with plain loops, in the order of BLOCK_PARAMETERS, then x. */
export function blockGradients(inputs: BlockInputs, input: Float32Array, dyIn: Float32Array): Vec[] {
  const { C, H, D, F, theta, eps } = BLOCK;
  const wide = (values: Float32Array): Vec => Float64Array.from(values);
  const x = wide(input);
  const dy = wide(dyIn);
  const rows = x.length / C;
  const found = new Map<BlockParameter, Vec>();
  const linear = (name: BlockParameter, from: Vec, K: number): { y: Vec; back: (d: Vec) => Vec } => {
    const W = inputs[name];
    const N = W.length / K;
    const y = new Float64Array(rows * N);
    for (let t = 0; t < rows; t++)
      for (let n = 0; n < N; n++) {
        let sum = 0;
        for (let k = 0; k < K; k++) sum += from[t * K + k]! * W[n * K + k]!;
        y[t * N + n] = sum;
      }
    const back = (d: Vec): Vec => {
      const dW = new Float64Array(W.length);
      const dx = new Float64Array(from.length);
      for (let t = 0; t < rows; t++)
        for (let n = 0; n < N; n++) {
          const g = d[t * N + n]!;
          for (let k = 0; k < K; k++) {
            dW[n * K + k]! += g * from[t * K + k]!;
            dx[t * K + k]! += g * W[n * K + k]!;
          }
        }
      found.set(name, dW);
      return dx;
    };
    return { y, back };
  };
  const norm = (name: BlockParameter, from: Vec): { y: Vec; back: (d: Vec) => Vec } => ({
    y: rmsnorm(from, inputs[name], eps).y,
    back: (d) => {
      const { dx, dweight } = rmsnormBackward(from, inputs[name], eps, d);
      found.set(name, dweight);
      return dx;
    },
  });
  const plus = (...all: Vec[]): Vec => all[0]!.map((_, i) => all.reduce((sum, v) => sum + v[i]!, 0));
  const positions = Float64Array.from({ length: rows }, (_, t) => t);
  const turn = (v: Vec, sign: number): Vec => rope(v, H, D, positions, (p, d) => p * theta ** ((-2 * d) / D), sign);
  const sizes = { H, KV: H, D, starts: [0, rows], window: 0 };

  const norm1 = norm("input_layernorm", x);
  const [q, k, v] = [linear("q_proj", norm1.y, C), linear("k_proj", norm1.y, C), linear("v_proj", norm1.y, C)];
  const [qr, kr] = [turn(q.y, 1), turn(k.y, 1)];
  const o = linear("o_proj", attention(qr, kr, v.y, sizes), C);
  const middle = plus(x, o.y);
  const norm2 = norm("post_attention_layernorm", middle);
  const [gate, up] = [linear("gate_proj", norm2.y, C), linear("up_proj", norm2.y, C)];
  const down = linear("down_proj", siluMul(gate.y, up.y), F);
  const { dg, du } = siluMulBackward(gate.y, up.y, down.back(dy));
  const dmiddle = plus(dy, norm2.back(plus(gate.back(dg), up.back(du))));
  const { dq, dk, dv } = attentionBackward(qr, kr, v.y, sizes, o.back(dmiddle));
  const dx = plus(dmiddle, norm1.back(plus(q.back(turn(dq, -1)), k.back(turn(dk, -1)), v.back(dv))));
  return [...PARAMETER_NAMES.map((name) => found.get(name)!), dx];
}

let known: { inputs: BlockInputs; gradients: Vec[] } | undefined;

/** Largest |got - want| / |want| (L2) of a parameter's gradient; `got` holds all of them one after another. Infinite for a wrong length. */
export function blockError(inputs: BlockInputs, x: Float32Array, dy: Float32Array, got: Float32Array): number {
  if (known?.inputs !== inputs) known = { inputs, gradients: blockGradients(inputs, x, dy) };
  let at = 0;
  let worst = 0;
  for (const want of known.gradients) {
    let [difference, size] = [0, 0];
    want.forEach((value, i) => {
      difference += (got[at + i]! - value) ** 2;
      size += value * value;
    });
    at += want.length;
    const error = Math.sqrt(difference / size);
    if (!(error <= worst)) worst = Number.isNaN(error) ? Infinity : error;
  }
  return at === got.length ? worst : Infinity;
}
