import { MAX_BINDING_BYTES, type Gpu } from "../gpu/gpu";
import { attentionBytesPerRow, cachedAttention, ropeCache } from "../kernels/nn/cachedAttention";
import { embed } from "../kernels/nn/embedRows";
import { gemvPanel } from "../kernels/nn/gemv";
import { normKernels } from "../kernels/nn/rmsnorm";
import type { BlockWeights, NormRole } from "../model/block";
import type { ModelConfig } from "../model/config";
import { orCancelled, type Pace } from "../model/pace";
import { ropeTable } from "../model/rope";
import { BufferScope } from "../model/scope";
import type { KeyValueCache } from "./cache";
import { fewRows, manyRows } from "./products";
import type { GeneratorWeights } from "./weights";

/** One token of one sequence, at its position and with its place in the cache. */
export interface Row {
  place: number;
  position: number;
  token: number;
}

/** Rows of prompts that go through the decoder together. */
const PROMPT_ROWS = 512;
/** What the scores of prompt rows may take. */
const SCORE_BYTES = 32 * 1024 * 1024;

/** How many rows of prompts may go together where the longest has `longest` tokens. */
export function promptRows(config: ModelConfig, longest: number): number {
  const { heads: H, kvHeads: KV, headDim: D, hidden: C, intermediate: F } = config;
  const { scores, all } = attentionBytesPerRow({ H, D, longest });
  return Math.max(1, Math.min(PROMPT_ROWS, Math.floor(SCORE_BYTES / scores), Math.floor(MAX_BINDING_BYTES / Math.max(all, 4 * Math.max(C, F, H * D, KV * D)))));
}

/** Rows through the decoder: each attends to what the cache has of its sequence, and adds its own key and value. */
export class CachedWalk extends BufferScope {
  private readonly cosine: GPUBuffer;
  private readonly sine: GPUBuffer;

  constructor(
    gpu: Gpu,
    private readonly config: ModelConfig,
    private readonly weights: GeneratorWeights,
    private readonly cache: KeyValueCache,
    private readonly pace: Pace,
  ) {
    super(gpu);
    const { cos, sin } = ropeTable(config, cache.plan.capacity);
    this.cosine = this.upload(cos, "cos");
    this.sine = this.upload(sin, "sin");
  }

  /**
   * The logits [V] of the rows numbered `wanted`. Rows of a sequence come in order of position, after those that the cache has
   * already. `prompt`: products by tiles, for many rows; else those for few rows. Throws "cancelled".
   */
  async logits(rows: readonly Row[], wanted: readonly number[], prompt: boolean): Promise<Float32Array[]> {
    const { gpu, config, pace, weights } = this;
    const { hidden: C, layers } = config;
    const M = rows.length;
    const scope = new BufferScope(gpu);
    try {
      const table = scope.upload(Uint32Array.from(rows.flatMap(({ place, position, token }) => [place, position, token, 0])), "rows");
      const longest = 1 + rows.reduce((most, { position }) => Math.max(most, position), 0);
      let x: GPUBuffer;
      if (weights.table) {
        x = scope.alloc(4 * M * C, "hidden");
        embed(gpu, { rows: table, table: weights.table, x, M });
      } else x = scope.upload(await orCancelled(weights.embeddingRows(rows.map(({ token }) => token)), pace.signal), "hidden");
      for (let layer = 0; layer < layers; layer++) await weights.withBlock(layer, pace.signal, (block) => this.block(block, { rows: table, x, M, longest, prompt }));
      return wanted.length === 0 ? [] : await this.head(scope, x, M, wanted);
    } finally {
      scope.end();
    }
  }

  /** Copies keys and values of positions [0, positions) of one place to another, behind what is encoded already. Throws "cancelled". */
  async copyCached(from: number, to: number, positions: number): Promise<void> {
    const { gpu, cache } = this;
    const { kvHeads: KV, headDim: D } = this.config;
    const bytes = 4 * positions * KV * D;
    const place = 4 * cache.plan.capacity * KV * D;
    const scope = new BufferScope(gpu);
    try {
      // WebGPU copies from one buffer to another only.
      const between = scope.alloc(bytes, "keys or values");
      for (const { keys, values } of cache.layers)
        for (const buffer of [keys, values]) {
          gpu.copy(buffer, from * place, between, 0, bytes);
          gpu.copy(between, 0, buffer, to * place, bytes);
        }
      await this.pace.after((2 * cache.layers.length * bytes) / 4);
    } finally {
      scope.end();
    }
  }

  /** x <- x + attention(norm(x)), then x + mlp(norm(x)), in place. */
  private async block(block: BlockWeights, { rows, x, M, longest, prompt }: { rows: GPUBuffer; x: GPUBuffer; M: number; longest: number; prompt: boolean }): Promise<void> {
    const { gpu, config, cosine, sine } = this;
    const { hidden: C, heads: H, kvHeads: KV, headDim: D } = config;
    const scope = new BufferScope(gpu);
    const products = (prompt ? manyRows : fewRows)(gpu, scope, block, M);
    const normalise = (role: NormRole, from: GPUBuffer, width: number, perRow = 1): GPUBuffer => this.normalise(scope, from, block.norms.get(role)!.gain, M * perRow, width);
    try {
      const first = normalise("input_layernorm", x, C);
      const [qRaw, kRaw, v] = products.apply(first, "q_proj", "k_proj", "v_proj") as [GPUBuffer, GPUBuffer, GPUBuffer];
      const q = config.qkNorm ? normalise("q_norm", qRaw, D, H) : qRaw;
      const k = config.qkNorm ? normalise("k_norm", kRaw, D, KV) : kRaw;
      const cached = this.cache.layers[block.layer]!;
      const { capacity } = this.cache.plan;
      gpu.run(ropeCache, { cosine, sine, rows, k, v, q, ...cached }, { M, H, KV, D, capacity });
      const mixed = scope.alloc(4 * M * H * D, "attention output");
      cachedAttention(gpu, { q, ...cached, rows, y: mixed }, { M, H, KV, D, capacity, longest, window: config.slidingWindow[block.layer] ?? 0 });
      products.addTo(x, mixed, "o_proj");
      const second = normalise("post_attention_layernorm", x, C);
      products.addTo(x, products.gated(second), "down_proj");
      const weightCount = [...block.linears.values()].reduce((sum, { weight }) => sum + weight.rows * weight.cols, 0);
      await this.pace.after(2 * M * weightCount + 4 * M * longest * H * D);
    } finally {
      scope.end();
    }
  }

  private normalise(scope: BufferScope, x: GPUBuffer, weight: GPUBuffer, N: number, C: number): GPUBuffer {
    const y = scope.alloc(4 * N * C, "norm");
    const rstd = scope.alloc(4 * N, "rstd");
    this.gpu.run(normKernels(this.gpu, C).forward, { x, weight, y, rstd }, { N, C, eps: this.config.rmsEps });
    scope.free(rstd);
    return y;
  }

  private async head(scope: BufferScope, x: GPUBuffer, rows: number, wanted: readonly number[]): Promise<Float32Array[]> {
    const { gpu, config, weights, pace } = this;
    const { hidden: C, vocab: V } = config;
    const M = wanted.length;
    let last = x;
    if (M < rows) {
      last = scope.alloc(4 * M * C, "last rows");
      wanted.forEach((row, i) => gpu.copy(x, 4 * row * C, last, 4 * i * C, 4 * C));
    }
    const normed = this.normalise(scope, last, weights.finalGain, M, C);
    const logits = scope.alloc(4 * M * V, "logits");
    await weights.eachHeadPanel(pace.signal, async (panel) => {
      gemvPanel(gpu, { x: normed, M, y: logits, panel, cols: C, dtype: weights.headDtype, stride: V });
      await pace.after(2 * M * panel.rows * C);
    });
    const values = await orCancelled(gpu.readFloats(logits, M * V), pace.signal);
    return wanted.map((_, i) => values.subarray(i * V, (i + 1) * V));
  }
}
