import type { TensorSource } from "../core/tensors";
import { add } from "../kernels/nn/add";
import { attentionBackward, attentionForward, type AttentionShape } from "../kernels/nn/attention";
import { linearBackwards, linearForwards } from "../kernels/nn/gemm";
import { normKernels } from "../kernels/nn/rmsnorm";
import { rope } from "../kernels/nn/rope";
import { siluMul, siluMulBackward } from "../kernels/nn/siluMul";
import type { Gpu } from "../gpu/gpu";
import type { Weight } from "../gpu/weight";
import { expectedTensors } from "./architectures";
import type { ModelConfig } from "./config";
import type { ForwardVisitor } from "./forwardVisitor";
import type { GradientBatch, GradientVisitor } from "./gradients";
import type { Pace } from "./pace";
import { BufferScope } from "./scope";
import { loadVector, loadWeight } from "./weights";

export type LinearRole = "q_proj" | "k_proj" | "v_proj" | "o_proj" | "gate_proj" | "up_proj" | "down_proj";
export type NormRole = "input_layernorm" | "post_attention_layernorm" | "q_norm" | "k_norm";

interface Linear {
  weight: Weight;
  bias: GPUBuffer | undefined;
  biasName: string | undefined;
}
interface Norm {
  name: string;
  gain: GPUBuffer;
}

/** The parameters of one block on the GPU. */
export interface BlockWeights {
  layer: number;
  linears: Map<LinearRole, Linear>;
  norms: Map<NormRole, Norm>;
}

/** What every block of a decoder shares. */
export interface BlockContext {
  gpu: Gpu;
  config: ModelConfig;
  /** Rotary tables [longest sequence, D/2], f32. */
  cosine: GPUBuffer;
  sine: GPUBuffer;
  pace: Pace;
  /** Sees inputs and outputs of the modules as they are computed. */
  visitor?: ForwardVisitor | undefined;
}

/** The rows of one batch. */
export interface BlockBatch {
  rows: number;
  longest: number;
  /** u32 [rows, 2], see attention. */
  spans: GPUBuffer;
  gradient: GradientBatch;
}

/** Where the parameters of a block come from. */
export interface BlockSupply {
  weight(name: string): Promise<Weight>;
  /** As f32. */
  vector(name: string): Promise<GPUBuffer>;
}

/** The parameters of one block, asked for in the order of the architecture's table. */
export async function blockFrom(supply: BlockSupply, config: ModelConfig, layer: number): Promise<BlockWeights> {
  const block: BlockWeights = { layer, linears: new Map(), norms: new Map() };
  const biases = new Map<string, { name: string; buffer: GPUBuffer }>();
  for (const { name, role, shape } of expectedTensors(config).filter((t) => t.layer === layer)) {
    if (shape.length === 2) block.linears.set(role as LinearRole, { weight: await supply.weight(name), bias: undefined, biasName: undefined });
    else if (role.endsWith(".bias")) biases.set(role.slice(0, -".bias".length), { name, buffer: await supply.vector(name) });
    else block.norms.set(role as NormRole, { name, gain: await supply.vector(name) });
  }
  for (const [role, { name, buffer }] of biases) Object.assign(block.linears.get(role as LinearRole)!, { bias: buffer, biasName: name });
  return block;
}

/** Reads the parameters of one block. Throws as loadWeight does, and then holds nothing. */
export async function loadBlock(gpu: Gpu, source: TensorSource, config: ModelConfig, layer: number, signal?: AbortSignal, maxPanelBytes?: number): Promise<BlockWeights> {
  const held: GPUBuffer[] = [];
  try {
    return await blockFrom({
      weight: async (name) => {
        const weight = await loadWeight(gpu, source, name, signal, maxPanelBytes);
        held.push(...weight.panels.map((panel) => panel.buffer));
        return weight;
      },
      vector: async (name) => {
        const buffer = await loadVector(gpu, source, name);
        held.push(buffer);
        return buffer;
      },
    }, config, layer);
  } catch (error) {
    gpu.release(...held);
    throw error;
  }
}

export const releaseBlock = (gpu: Gpu, block: BlockWeights): void => gpu.release(...blockBuffers(block));

/** Every buffer of a block's parameters. */
export function blockBuffers(block: BlockWeights): GPUBuffer[] {
  const linears = [...block.linears.values()].flatMap(({ weight, bias }) => [...weight.panels.map((p) => p.buffer), ...(bias ? [bias] : [])]);
  return [...linears, ...[...block.norms.values()].map(({ gain }) => gain)];
}

/** What the backward pass of a block reads; f32, all [rows, ...]. Raw q and k are those before their own norm. */
interface Activations {
  norm1: GPUBuffer;
  rstd1: GPUBuffer;
  q: GPUBuffer;
  k: GPUBuffer;
  v: GPUBuffer;
  qRaw?: GPUBuffer;
  kRaw?: GPUBuffer;
  qRstd?: GPUBuffer;
  kRstd?: GPUBuffer;
  mixed: GPUBuffer;
  middle: GPUBuffer;
  norm2: GPUBuffer;
  rstd2: GPUBuffer;
  gate: GPUBuffer;
  up: GPUBuffer;
  act: GPUBuffer;
}

/** One block on one batch: its buffers, and the steps that forward and backward share. */
class BlockRun extends BufferScope {
  readonly attention: AttentionShape;

  constructor(
    readonly context: BlockContext,
    readonly block: BlockWeights,
    readonly batch: BlockBatch,
  ) {
    super(context.gpu);
    const { heads: H, kvHeads: KV, headDim: D, slidingWindow } = context.config;
    this.attention = { rows: batch.rows, H, KV, D, longest: batch.longest, window: slidingWindow[block.layer] ?? 0, spans: batch.spans };
  }

  /** f32 [rows, floatsPerRow] */
  rows(floatsPerRow: number, label: string): GPUBuffer {
    return this.alloc(4 * this.batch.rows * floatsPerRow, label);
  }

  linear(role: LinearRole): Linear {
    return this.block.linears.get(role)!;
  }

  private cost(weight: Weight): number {
    return 2 * this.batch.rows * weight.rows * weight.cols;
  }

  /** y = x W^T + b of every role, one input for all. */
  async apply<R extends LinearRole[]>(x: GPUBuffer, ...roles: R): Promise<{ [I in keyof R]: GPUBuffer }> {
    const { visitor } = this.context;
    const layers = roles.map((role) => {
      const { weight, bias } = this.linear(role);
      return { weight, bias, y: this.rows(weight.rows, role) };
    });
    await visitor?.input?.({ names: layers.map(({ weight }) => weight.name), kind: "linear", x, K: layers[0]!.weight.cols, rowsPerToken: 1 }, this.batch.gradient);
    linearForwards(this.context.gpu, { x, M: this.batch.rows, layers });
    await this.context.pace.after(layers.reduce((sum, { weight }) => sum + this.cost(weight), 0));
    if (visitor?.output) for (const { weight, y } of layers) await visitor.output({ name: weight.name, y, N: weight.rows }, this.batch.gradient);
    return layers.map(({ y }) => y) as { [I in keyof R]: GPUBuffer };
  }

  /** Shows dW = dy^T x to the visitor. */
  async show(role: LinearRole, x: GPUBuffer, dy: GPUBuffer, visitor: GradientVisitor): Promise<void> {
    if (!visitor.linear) return;
    const { weight, biasName } = this.linear(role);
    await visitor.linear({ name: weight.name, biasName, N: weight.rows, K: weight.cols, x, dy, weight }, this.batch.gradient);
    await this.context.pace.after(this.cost(weight));
  }

  /** dx = the sum of dy W over roles with one input. */
  async reverse(dx: GPUBuffer, ...outputs: [role: LinearRole, dy: GPUBuffer][]): Promise<void> {
    const layers = outputs.map(([role, dy]) => ({ weight: this.linear(role).weight, dy }));
    linearBackwards(this.context.gpu, { dx, M: this.batch.rows, accumulate: false, layers });
    await this.context.pace.after(layers.reduce((sum, { weight }) => sum + this.cost(weight), 0));
  }

  /** RMSNorm over `perToken` vectors of each row. */
  async normalise(role: NormRole, x: GPUBuffer, C: number, perToken = 1): Promise<{ y: GPUBuffer; rstd: GPUBuffer }> {
    const { name, gain } = this.block.norms.get(role)!;
    await this.context.visitor?.input?.({ names: [name], kind: "norm", x, K: C, rowsPerToken: perToken }, this.batch.gradient);
    const y = this.rows(C * perToken, role);
    const rstd = this.rows(perToken, `${role} rstd`);
    this.context.gpu.run(normKernels(this.context.gpu, C).forward, { x, weight: gain, y, rstd }, { N: this.batch.rows * perToken, C, eps: this.context.config.rmsEps });
    return { y, rstd };
  }

  /** Shows the gain's gradient to the visitor, then dx (+)= the gradient of the input. */
  async reverseNorm(role: NormRole, io: { x: GPUBuffer; rstd: GPUBuffer; dy: GPUBuffer; dx: GPUBuffer }, C: number, perToken: number, accumulate: boolean, visitor: GradientVisitor): Promise<void> {
    const { name, gain } = this.block.norms.get(role)!;
    await visitor.norm?.({ name, C, x: io.x, rstd: io.rstd, dy: io.dy, rowsPerToken: perToken }, this.batch.gradient);
    this.context.gpu.run(normKernels(this.context.gpu, C).backward, { ...io, weight: gain }, { N: this.batch.rows * perToken, C, accumulate: accumulate ? 1 : 0 });
  }

  /** Rotates the heads of q or k in place; sign -1 is the gradient. */
  rotate(x: GPUBuffer, heads: number, sign: 1 | -1): void {
    const { gpu, cosine, sine, config } = this.context;
    gpu.run(rope, { cosine, sine, spans: this.batch.spans, x }, { rows: this.batch.rows, H: heads, D: config.headDim, sign });
  }

  /** Everything of a block up to the input of down_proj. */
  async activations(x: GPUBuffer): Promise<Activations> {
    const { gpu, config } = this.context;
    const { hidden: C, intermediate: F, heads: H, kvHeads: KV, headDim: D } = config;
    const first = await this.normalise("input_layernorm", x, C);
    const [qRaw, kRaw, v] = await this.apply(first.y, "q_proj", "k_proj", "v_proj");
    const qNormed = config.qkNorm ? await this.normalise("q_norm", qRaw, D, H) : undefined;
    const kNormed = config.qkNorm ? await this.normalise("k_norm", kRaw, D, KV) : undefined;
    const q = qNormed?.y ?? qRaw;
    const k = kNormed?.y ?? kRaw;
    this.rotate(q, H, 1);
    this.rotate(k, KV, 1);
    const mixed = this.rows(H * D, "attention output");
    attentionForward(gpu, { q, k, v, y: mixed }, this.attention);
    await this.context.pace.after(4 * this.batch.rows * this.batch.longest * H * D);
    const [middle] = await this.apply(mixed, "o_proj");
    gpu.run(add, { x, y: middle }, { count: this.batch.rows * C });
    const second = await this.normalise("post_attention_layernorm", middle, C);
    const [gate, up] = await this.apply(second.y, "gate_proj", "up_proj");
    const act = this.rows(F, "activation");
    gpu.run(siluMul, { g: gate, u: up, y: act }, { count: this.batch.rows * F });
    return {
      norm1: first.y, rstd1: first.rstd, q, k, v, mixed, middle, norm2: second.y, rstd2: second.rstd, gate, up, act,
      ...(qNormed && kNormed ? { qRaw, kRaw, qRstd: qNormed.rstd, kRstd: kNormed.rstd } : {}),
    };
  }
}

/**
 * x -> x + attention(norm(x)) -> ... + mlp(norm(...)), [rows, C] to a new buffer [rows, C]; nothing else is kept.
 * Source: the decoder layer of Llama, Qwen2, Qwen3 and Mistral, which differ in biases, q/k norms and windows only.
 */
export async function blockForward(context: BlockContext, block: BlockWeights, batch: BlockBatch, x: GPUBuffer): Promise<GPUBuffer> {
  const run = new BlockRun(context, block, batch);
  try {
    const { act, middle } = await run.activations(x);
    const [y] = await run.apply(act, "down_proj");
    context.gpu.run(add, { x: middle, y }, { count: batch.rows * context.config.hidden });
    return run.hand(y);
  } finally {
    run.end();
  }
}

/**
 * Recomputes the block from its input x, then turns `gradient` [rows, C] from d loss / d output into d loss / d input,
 * in place. The visitor sees each parameter as soon as its two factors exist: down, gate, up, norm 2, o, v, k, q with
 * their norms, norm 1; buffers are given back as soon as no later step reads them.
 */
export async function blockBackward(context: BlockContext, block: BlockWeights, batch: BlockBatch, x: GPUBuffer, gradient: GPUBuffer, visitor: GradientVisitor): Promise<void> {
  const { gpu, config } = context;
  const { hidden: C, intermediate: F, heads: H, kvHeads: KV, headDim: D } = config;
  const run = new BlockRun(context, block, batch);
  try {
    const a = await run.activations(x);

    const dact = run.rows(F, "dact");
    await run.show("down_proj", a.act, gradient, visitor);
    await run.reverse(dact, ["down_proj", gradient]);
    const dgate = run.rows(F, "dgate");
    const dup = run.rows(F, "dup");
    gpu.run(siluMulBackward, { g: a.gate, u: a.up, dy: dact, dg: dgate, du: dup }, { count: batch.rows * F });
    run.free(a.act, a.gate, a.up, dact);
    const dnorm = run.rows(C, "dnorm");
    await run.show("gate_proj", a.norm2, dgate, visitor);
    await run.show("up_proj", a.norm2, dup, visitor);
    await run.reverse(dnorm, ["gate_proj", dgate], ["up_proj", dup]);
    run.free(dgate, dup, a.norm2);
    await run.reverseNorm("post_attention_layernorm", { x: a.middle, rstd: a.rstd2, dy: dnorm, dx: gradient }, C, 1, true, visitor);
    run.free(a.middle, a.rstd2);

    const dmixed = run.rows(H * D, "dmixed");
    await run.show("o_proj", a.mixed, gradient, visitor);
    await run.reverse(dmixed, ["o_proj", gradient]);
    let dq = run.rows(H * D, "dq");
    let dk = run.rows(KV * D, "dk");
    const dv = run.rows(KV * D, "dv");
    attentionBackward(gpu, { q: a.q, k: a.k, v: a.v, y: a.mixed, dy: dmixed, dq, dk, dv }, run.attention);
    await context.pace.after(10 * batch.rows * batch.longest * H * D);
    run.free(dmixed, a.mixed, a.q, a.k, a.v);
    run.rotate(dq, H, -1);
    run.rotate(dk, KV, -1);

    await run.show("v_proj", a.norm1, dv, visitor);
    if (a.kRaw && a.kRstd) {
      const raw = run.rows(KV * D, "dk before its norm");
      await run.reverseNorm("k_norm", { x: a.kRaw, rstd: a.kRstd, dy: dk, dx: raw }, D, KV, false, visitor);
      run.free(dk);
      dk = raw;
    }
    await run.show("k_proj", a.norm1, dk, visitor);
    if (a.qRaw && a.qRstd) {
      const raw = run.rows(H * D, "dq before its norm");
      await run.reverseNorm("q_norm", { x: a.qRaw, rstd: a.qRstd, dy: dq, dx: raw }, D, H, false, visitor);
      run.free(dq);
      dq = raw;
    }
    await run.show("q_proj", a.norm1, dq, visitor);
    await run.reverse(dnorm, ["v_proj", dv], ["k_proj", dk], ["q_proj", dq]);
    await run.reverseNorm("input_layernorm", { x, rstd: a.rstd1, dy: dnorm, dx: gradient }, C, 1, true, visitor);
  } finally {
    run.end();
  }
}
