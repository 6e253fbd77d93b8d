/**
 * A decoder in float64 with plain loops: loss, logits, hidden states and the gradient of every parameter for one
 * sequence. Written from the layer formulas (Llama 2, Qwen2, Qwen3, Mistral), one sequence at a time.
 */
import type { ModelConfig } from "../../../src/model/config";
import { attention, attentionBackward } from "../nn/attention";
import { rmsnorm, rmsnormBackward } from "../nn/rmsnorm";
import { rope } from "../nn/rope";
import { siluMul, siluMulBackward } from "../nn/siluMul";

export type Parameters = Map<string, Float64Array>;

export interface LossOptions {
  /** Label of each row; the next token when absent. The last row then has none. */
  targets?: number[];
  /** Weight of each row's cross entropy in the loss; 1 / (L - 1), and 0 for the last row, when absent. */
  weights?: number[];
}

/** y[t,n] = sum_k x[t,k] W[n,k] + b[n] */
function linear(x: Float64Array, W: Float64Array, K: number, b?: Float64Array): Float64Array {
  const N = W.length / K;
  const T = x.length / K;
  const y = new Float64Array(T * N);
  for (let t = 0; t < T; t++)
    for (let n = 0; n < N; n++) {
      let sum = b?.[n] ?? 0;
      for (let k = 0; k < K; k++) sum += x[t * K + k]! * W[n * K + k]!;
      y[t * N + n] = sum;
    }
  return y;
}

const plus = (a: Float64Array, b: Float64Array): Float64Array => a.map((value, i) => value + b[i]!);

class Pass {
  readonly gradients: Parameters = new Map();
  readonly hidden: Float64Array[] = [];
  readonly inputs: Parameters = new Map();
  readonly outputs: Parameters = new Map();
  readonly T: number;
  private readonly undo: (() => void)[] = [];

  constructor(
    readonly config: ModelConfig,
    readonly parameters: Parameters,
    readonly tokens: readonly number[],
  ) {
    this.T = tokens.length;
  }

  private of(name: string): Float64Array {
    const value = this.parameters.get(name);
    if (!value) throw new Error(`reference: no parameter ${name}`);
    return value;
  }

  private into(name: string, gradient: Float64Array): void {
    const known = this.gradients.get(name);
    this.gradients.set(name, known ? plus(known, gradient) : gradient);
  }

  /** Each step returns its output and a function from the output's gradient to the input's, which also files the parameters'. */
  private linearStep(module: string, x: Float64Array, K: number): { y: Float64Array; back: (dy: Float64Array) => Float64Array } {
    const W = this.of(`${module}.weight`);
    const b = this.parameters.get(`${module}.bias`);
    const N = W.length / K;
    const y = linear(x, W, K, b);
    this.inputs.set(`${module}.weight`, x);
    this.outputs.set(`${module}.weight`, y);
    return {
      y,
      back: (dy) => {
        const dW = new Float64Array(W.length);
        const db = new Float64Array(N);
        const dx = new Float64Array(x.length);
        for (let t = 0; t < this.T; t++)
          for (let n = 0; n < N; n++) {
            const g = dy[t * N + n]!;
            db[n]! += g;
            for (let k = 0; k < K; k++) {
              dW[n * K + k]! += g * x[t * K + k]!;
              dx[t * K + k]! += g * W[n * K + k]!;
            }
          }
        this.into(`${module}.weight`, dW);
        if (b) this.into(`${module}.bias`, db);
        return dx;
      },
    };
  }

  private normStep(name: string, x: Float64Array): { y: Float64Array; back: (dy: Float64Array) => Float64Array } {
    const gain = this.of(name);
    const { y } = rmsnorm(x, gain, this.config.rmsEps);
    this.inputs.set(name, x);
    this.outputs.set(name, y);
    return {
      y,
      back: (dy) => {
        const { dx, dweight } = rmsnormBackward(x, gain, this.config.rmsEps, dy);
        this.into(name, dweight);
        return dx;
      },
    };
  }

  private block(layer: number, x: Float64Array): { y: Float64Array; back: (dy: Float64Array) => Float64Array } {
    const { hidden: C, intermediate: F, heads: H, kvHeads: KV, headDim: D, rope: { theta } } = this.config;
    const at = `model.layers.${layer}`;
    const positions = this.tokens.map((_, t) => t);
    const turn = (v: Float64Array, heads: number, sign: number): Float64Array => rope(v, heads, D, positions, (p, d) => p * theta ** ((-2 * d) / D), sign);
    const identity = (v: Float64Array) => ({ y: v, back: (dy: Float64Array) => dy });
    const sizes = { H, KV, D, starts: [0, this.T], window: this.config.slidingWindow[layer] ?? 0 };

    const norm1 = this.normStep(`${at}.input_layernorm.weight`, x);
    const q = this.linearStep(`${at}.self_attn.q_proj`, norm1.y, C);
    const k = this.linearStep(`${at}.self_attn.k_proj`, norm1.y, C);
    const v = this.linearStep(`${at}.self_attn.v_proj`, norm1.y, C);
    const qn = this.config.qkNorm ? this.normStep(`${at}.self_attn.q_norm.weight`, q.y) : identity(q.y);
    const kn = this.config.qkNorm ? this.normStep(`${at}.self_attn.k_norm.weight`, k.y) : identity(k.y);
    const [qr, kr] = [turn(qn.y, H, 1), turn(kn.y, KV, 1)];
    const o = this.linearStep(`${at}.self_attn.o_proj`, attention(qr, kr, v.y, sizes), H * D);
    const middle = plus(x, o.y);
    const norm2 = this.normStep(`${at}.post_attention_layernorm.weight`, middle);
    const gate = this.linearStep(`${at}.mlp.gate_proj`, norm2.y, C);
    const up = this.linearStep(`${at}.mlp.up_proj`, norm2.y, C);
    const down = this.linearStep(`${at}.mlp.down_proj`, siluMul(gate.y, up.y), F);
    return {
      y: plus(middle, down.y),
      back: (dy) => {
        const { dg, du } = siluMulBackward(gate.y, up.y, down.back(dy));
        const dmiddle = plus(dy, norm2.back(plus(gate.back(dg), up.back(du))));
        const { dq, dk, dv } = attentionBackward(qr, kr, v.y, sizes, o.back(dmiddle));
        const dnorm = plus(plus(q.back(qn.back(turn(dq, H, -1))), k.back(kn.back(turn(dk, KV, -1)))), v.back(dv));
        return plus(dmiddle, norm1.back(dnorm));
      },
    };
  }

  run({ targets, weights }: LossOptions, wantGradient: boolean): { loss: number; logits: Float64Array } {
    const { hidden: C, vocab: V, layers, tied } = this.config;
    const E = this.of("model.embed_tokens.weight");
    let x = new Float64Array(this.T * C);
    this.tokens.forEach((id, t) => x.set(E.subarray(id * C, (id + 1) * C), t * C));
    this.hidden.push(x);
    for (let layer = 0; layer < layers; layer++) {
      const { y, back } = this.block(layer, x);
      this.undo.push(() => (gradient = back(gradient)));
      x = y as Float64Array<ArrayBuffer>;
      this.hidden.push(x);
    }
    const norm = this.normStep("model.norm.weight", x);
    const head = this.linearStep(tied ? "model.embed_tokens" : "lm_head", norm.y, C);
    const logits = head.y;
    let loss = 0;
    const dlogits = new Float64Array(logits.length);
    for (let t = 0; t < this.T; t++) {
      const weight = weights ? weights[t]! : t + 1 < this.T ? 1 / (this.T - 1) : 0;
      const target = targets ? targets[t]! : this.tokens[t + 1];
      if (weight === 0 || target === undefined) continue;
      const row = logits.subarray(t * V, (t + 1) * V);
      const top = row.reduce((a, b) => Math.max(a, b), -Infinity);
      const logsum = top + Math.log(row.reduce((sum, value) => sum + Math.exp(value - top), 0));
      loss += weight * (logsum - row[target]!);
      for (let n = 0; n < V; n++) dlogits[t * V + n] = weight * (Math.exp(row[n]! - logsum) - (n === target ? 1 : 0));
    }
    let gradient = new Float64Array(0) as Float64Array;
    if (wantGradient) {
      gradient = norm.back(head.back(dlogits));
      for (const step of this.undo.reverse()) step();
      const dE = new Float64Array(E.length);
      this.tokens.forEach((id, t) => {
        for (let c = 0; c < C; c++) dE[id * C + c]! += gradient[t * C + c]!;
      });
      this.into("model.embed_tokens.weight", dE);
    }
    return { loss, logits };
  }
}

export interface ReferenceForward {
  loss: number;
  /** [L, V] */
  logits: Float64Array;
  /** Embedding output, then the output of each block, [L, C]. */
  hidden: Float64Array[];
  /** What goes into and comes out of each linear layer and norm, by the name of its weight; a tied head by the embedding's. */
  inputs: Parameters;
  outputs: Parameters;
}

export function forward(config: ModelConfig, parameters: Parameters, tokens: readonly number[], options: LossOptions = {}): ReferenceForward {
  const pass = new Pass(config, parameters, tokens);
  return { ...pass.run(options, false), hidden: pass.hidden, inputs: pass.inputs, outputs: pass.outputs };
}

/** Loss of one sequence and its gradient for every parameter, by name. */
export function gradients(config: ModelConfig, parameters: Parameters, tokens: readonly number[], options: LossOptions = {}): { loss: number; gradients: Parameters } {
  const pass = new Pass(config, parameters, tokens);
  const { loss } = pass.run(options, true);
  return { loss, gradients: pass.gradients };
}

/** Diagonal Fisher: mean over the sequences of the squared gradient of each. */
export function fisher(config: ModelConfig, parameters: Parameters, sequences: readonly (readonly number[])[]): Parameters {
  const sum: Parameters = new Map([...parameters].map(([name, value]) => [name, new Float64Array(value.length)]));
  for (const tokens of sequences)
    for (const [name, gradient] of gradients(config, parameters, tokens).gradients) {
      const into = sum.get(name)!;
      gradient.forEach((g, i) => (into[i]! += (g * g) / sequences.length));
    }
  return sum;
}
