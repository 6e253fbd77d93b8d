import { throwIfCancelled } from "../core/errors";
import { bytesPerElement, type TensorSource } from "../core/tensors";
import { MAX_BINDING_BYTES, type Gpu } from "../gpu/gpu";
import { rowPanels, type Weight, type WeightPanel } from "../gpu/weight";
import { EMBEDDING, expectedTensors, HEAD } from "../model/architectures";
import { loadBlock, releaseBlock, type BlockWeights } from "../model/block";
import type { ModelConfig } from "../model/config";
import { floatTensor, gatherEmbeddingRows, loadPanel, loadVector, loadWeight, releaseWeight } from "../model/weights";

const FINAL_NORM = "model.norm.weight";
/** Embedding rows kept on the host where the embedding is not on the GPU. */
const KEPT_ROWS = 4096;

/** What of a model stays on the GPU while text is generated, and what every step has to bring there again. */
export interface WeightPlan {
  /** Bytes of all weights. */
  weightBytes: number;
  residentBytes: number;
  /** Read and uploaded again for every step, that is for one token of each sequence of a batch; 0 when all is resident. */
  streamedBytesPerStep: number;
  /** Blocks that stay, the first ones; whether head and embedding do. */
  residentBlocks: number;
  residentHead: boolean;
  residentEmbedding: boolean;
}

/**
 * Fills `budgetBytes` in the order in which a byte saves most: the head (the embedding too when they are one), the blocks,
 * then an embedding of its own, of which a step reads only a row per sequence. Where not all fits, room stays for the largest
 * part that is brought.
 */
export function planWeights(source: TensorSource, config: ModelConfig, budgetBytes: number): WeightPlan {
  const bytesOf = (name: string, shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1) * (shape.length === 1 ? 4 : bytesPerElement(floatTensor(source, name).dtype));
  const expected = expectedTensors(config);
  const sum = (layer: number): number => expected.filter((t) => t.layer === layer).reduce((total, t) => total + bytesOf(t.name, t.shape), 0);
  const blocks = Array.from({ length: config.layers }, (_, layer) => sum(layer));
  const embedding = bytesOf(EMBEDDING, [config.vocab, config.hidden]);
  const head = config.tied ? embedding : bytesOf(HEAD, [config.vocab, config.hidden]);
  const gain = 4 * config.hidden;
  const weightBytes = blocks.reduce((a, b) => a + b, 0) + embedding + (config.tied ? 0 : head) + gain;
  if (weightBytes <= budgetBytes) return { weightBytes, residentBytes: weightBytes, streamedBytesPerStep: 0, residentBlocks: config.layers, residentHead: true, residentEmbedding: true };

  const room = budgetBytes - Math.max(...blocks, Math.min(head, MAX_BINDING_BYTES)) - gain;
  let used = 0;
  const fits = (bytes: number): boolean => {
    if (used + bytes > room) return false;
    used += bytes;
    return true;
  };
  const residentHead = fits(head);
  let residentBlocks = 0;
  while (residentBlocks < config.layers && fits(blocks[residentBlocks]!)) residentBlocks++;
  const residentEmbedding = config.tied ? residentHead : residentBlocks === config.layers && fits(embedding);
  const streamed = blocks.slice(residentBlocks).reduce((a, b) => a + b, 0) + (residentHead ? 0 : head);
  return { weightBytes, residentBytes: used + gain, streamedBytesPerStep: streamed, residentBlocks, residentHead, residentEmbedding };
}

/** The weights of a decoder as a plan has them: on the GPU, or brought there when they are asked for. */
export class GeneratorWeights {
  private readonly blocks: BlockWeights[] = [];
  private head: WeightPanel[] = [];
  private embedding: Weight | undefined;
  private readonly hostRows = new Map<number, Float32Array>();
  finalGain!: GPUBuffer;

  private constructor(
    private readonly gpu: Gpu,
    private readonly source: TensorSource,
    private readonly config: ModelConfig,
    readonly plan: WeightPlan,
  ) {}

  /** Brings what stays, each tensor read once, front to back. Throws as loadWeight does, and then holds nothing. */
  static async load(gpu: Gpu, source: TensorSource, config: ModelConfig, plan: WeightPlan, options: { signal?: AbortSignal | undefined; onProgress?: ((part: number, parts: number) => void) | undefined } = {}): Promise<GeneratorWeights> {
    const { signal, onProgress } = options;
    const weights = new GeneratorWeights(gpu, source, config, plan);
    const parts = plan.residentBlocks + 2;
    try {
      weights.finalGain = await loadVector(gpu, source, FINAL_NORM);
      if (plan.residentEmbedding) weights.embedding = await loadWeight(gpu, source, EMBEDDING, signal);
      if (plan.residentHead && !config.tied) weights.head = (await loadWeight(gpu, source, HEAD, signal)).panels;
      onProgress?.(1, parts);
      for (let layer = 0; layer < plan.residentBlocks; layer++) {
        throwIfCancelled(signal);
        weights.blocks.push(await loadBlock(gpu, source, config, layer, signal));
        onProgress?.(layer + 2, parts);
      }
      await gpu.sync();
      onProgress?.(parts, parts);
    } catch (error) {
      weights.release();
      throw error;
    }
    return weights;
  }

  /** A block for the time of `use`. */
  async withBlock(layer: number, signal: AbortSignal | undefined, use: (block: BlockWeights) => Promise<void>): Promise<void> {
    const resident = this.blocks[layer];
    if (resident) return use(resident);
    const block = await loadBlock(this.gpu, this.source, this.config, layer, signal);
    try {
      await use(block);
    } finally {
      releaseBlock(this.gpu, block);
    }
  }

  get headDtype() {
    return floatTensor(this.source, this.config.tied ? EMBEDDING : HEAD).dtype;
  }

  /** The head, panel by panel. */
  async eachHeadPanel(signal: AbortSignal | undefined, use: (panel: WeightPanel) => Promise<void>): Promise<void> {
    const resident = this.config.tied ? this.embedding?.panels : this.head;
    if (resident?.length) {
      for (const panel of resident) await use(panel);
      return;
    }
    for (const { row0, rows } of rowPanels(this.config.vocab, this.config.hidden)) {
      const panel = await loadPanel(this.gpu, this.source, this.config.tied ? EMBEDDING : HEAD, row0, rows, signal);
      try {
        await use(panel);
      } finally {
        this.gpu.release(panel.buffer);
      }
    }
  }

  /** The embedding on the GPU, where it stays. */
  get table(): Weight | undefined {
    return this.embedding;
  }

  /** x[t] = E[tokens[t]] where the embedding is not on the GPU. Rows read lately are kept. */
  async embeddingRows(tokens: readonly number[]): Promise<Float32Array> {
    const C = this.config.hidden;
    const missing = [...new Set(tokens)].filter((id) => !this.hostRows.has(id));
    if (missing.length > 0) {
      const rows = await gatherEmbeddingRows(this.source, EMBEDDING, missing);
      missing.forEach((id, i) => this.hostRows.set(id, rows.slice(i * C, (i + 1) * C)));
    }
    const out = new Float32Array(tokens.length * C);
    tokens.forEach((id, t) => out.set(this.hostRows.get(id)!, t * C));
    for (const id of this.hostRows.keys()) {
      if (this.hostRows.size <= KEPT_ROWS) break;
      this.hostRows.delete(id);
    }
    return out;
  }

  release(): void {
    for (const block of this.blocks.splice(0)) releaseBlock(this.gpu, block);
    if (this.embedding) releaseWeight(this.gpu, this.embedding);
    this.gpu.release(this.finalGain, ...this.head.map((panel) => panel.buffer));
    this.embedding = undefined;
    this.head = [];
    this.finalGain = undefined as unknown as GPUBuffer;
    this.hostRows.clear();
  }
}
