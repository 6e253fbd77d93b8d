import { throwIfCancelled } from "../core/errors";
import { bytesPerElement, type TensorSource } from "../core/tensors";
import { MAX_BINDING_BYTES, type Gpu } from "../gpu/gpu";
import { rowPanels, type Weight, type WeightPanel } from "../gpu/weight";
import { EMBEDDING, expectedTensors, HEAD } from "../model/architectures";
import { blockFrom, loadBlock, releaseBlock, type BlockWeights } from "../model/block";
import type { ModelConfig } from "../model/config";
import { floatTensor, gatherEmbeddingRows, loadPanel, loadVector, loadWeight } from "../model/weights";
import { WeightPool, type Share } from "./pool";

const FINAL_NORM = "model.norm.weight";
/** Embedding rows kept on the host where the embedding is not on the GPU. */
const KEPT_ROWS = 4096;

/** What of a model stays on the GPU while text is generated, and what every step has to bring there again. */
export interface WeightPlan {
  /** Bytes of all weights. */
  weightBytes: number;
  residentBytes: number;
  /** Of `residentBytes`, what other models held already when this was planned: it takes no room. */
  sharedBytes: number;
  /** Read and uploaded again for every step, that is for one token of each sequence of a batch; 0 when all is resident. */
  streamedBytesPerStep: number;
  /** Blocks that stay, the first ones; whether head and embedding do. */
  residentBlocks: number;
  residentHead: boolean;
  residentEmbedding: boolean;
}

/** Bytes of a part of a model, and of these what is not on the GPU yet. */
interface Part {
  bytes: number;
  fresh: number;
}

const sum = (parts: readonly Part[]): Part => parts.reduce((a, b) => ({ bytes: a.bytes + b.bytes, fresh: a.fresh + b.fresh }), { bytes: 0, fresh: 0 });

/**
 * Fills `budgetBytes` in the order in which a byte saves most: the head (the embedding too when they are one), the blocks,
 * then an embedding of its own, of which a step reads only a row per sequence. Where not all fits, room stays for the largest
 * part that is brought. A tensor that `isHeld` names is on the GPU already and takes nothing of the budget.
 */
export function planWeights(source: TensorSource, config: ModelConfig, budgetBytes: number, isHeld: (name: string) => boolean = () => false): WeightPlan {
  const expected = expectedTensors(config);
  const parts = (wanted: (tensor: (typeof expected)[number]) => boolean): Part =>
    sum(expected.filter(wanted).map(({ name, shape }) => {
      const bytes = shape.reduce((a, b) => a * b, 1) * (shape.length === 1 ? 4 : bytesPerElement(floatTensor(source, name).dtype));
      return { bytes, fresh: isHeld(name) ? 0 : bytes };
    }));
  const blocks = Array.from({ length: config.layers }, (_, layer) => parts((t) => t.layer === layer));
  const [embedding, head, gain] = [EMBEDDING, config.tied ? EMBEDDING : HEAD, FINAL_NORM].map((name) => parts((t) => t.name === name)) as [Part, Part, Part];
  const whole = sum([...blocks, embedding, ...(config.tied ? [] : [head]), gain]);
  const all = { weightBytes: whole.bytes, residentBytes: whole.bytes, sharedBytes: whole.bytes - whole.fresh, streamedBytesPerStep: 0, residentBlocks: config.layers, residentHead: true, residentEmbedding: true };
  if (whole.fresh <= budgetBytes) return all;

  const room = budgetBytes - Math.max(...blocks.map((b) => b.bytes), Math.min(head.bytes, MAX_BINDING_BYTES)) - gain.fresh;
  const stays = [gain];
  let used = 0;
  const fits = (part: Part): boolean => {
    if (part.fresh > 0 && used + part.fresh > room) return false;
    used += part.fresh;
    stays.push(part);
    return true;
  };
  const residentHead = fits(head);
  let residentBlocks = 0;
  while (residentBlocks < config.layers && fits(blocks[residentBlocks]!)) residentBlocks++;
  const residentEmbedding = config.tied ? residentHead : residentBlocks === config.layers && fits(embedding);
  const resident = sum(stays);
  const streamedBytesPerStep = sum(blocks.slice(residentBlocks)).bytes + (residentHead ? 0 : head.bytes);
  return { weightBytes: whole.bytes, residentBytes: resident.bytes, sharedBytes: resident.bytes - resident.fresh, streamedBytesPerStep, residentBlocks, residentHead, residentEmbedding };
}

/** Keys of a model's tensors in a pool: what each is, and in which form it is held. Throws what telling them throws, and "cancelled". */
export async function poolKeys(source: TensorSource, config: ModelConfig, signal?: AbortSignal): Promise<Map<string, string>> {
  const keys = new Map<string, string>();
  for (const { name, shape } of expectedTensors(config)) {
    throwIfCancelled(signal);
    const identity = await source.identity?.(name);
    if (identity !== undefined) keys.set(name, `${shape.length === 1 ? "f32" : "as stored"} ${identity}`);
  }
  return keys;
}

export interface LoadOptions {
  /** Where what others hold is found, by `keys`; a pool of its own when absent. */
  pool?: WeightPool | undefined;
  /** See poolKeys; a tensor without a key is not shared. */
  keys?: ReadonlyMap<string, string> | undefined;
  signal?: AbortSignal | undefined;
  onProgress?: ((part: number, parts: number) => void) | undefined;
}

/** The weights of a decoder as a plan has them: on the GPU, or brought there when they are asked for. */
export class GeneratorWeights {
  private readonly blocks: BlockWeights[] = [];
  private head: Weight | undefined;
  private embedding: Weight | undefined;
  private readonly hostRows = new Map<number, Float32Array>();
  private readonly shares: Share[] = [];
  finalGain!: GPUBuffer;
  /** Resident tensors that were read or merged for this model, and those that another one had already. */
  readonly loaded = { made: 0, taken: 0 };

  private constructor(
    private readonly gpu: Gpu,
    private readonly source: TensorSource,
    private readonly config: ModelConfig,
    readonly plan: WeightPlan,
    private readonly pool: WeightPool,
  ) {}

  /** Brings what stays and is not there yet, each tensor read once, front to back. Throws as loadWeight does, and then holds nothing. */
  static async load(gpu: Gpu, source: TensorSource, config: ModelConfig, plan: WeightPlan, { pool = new WeightPool(gpu), keys, signal, onProgress }: LoadOptions = {}): Promise<GeneratorWeights> {
    const weights = new GeneratorWeights(gpu, source, config, plan, pool);
    const supply = {
      weight: async (name: string): Promise<Weight> => {
        const { dtype, shape } = floatTensor(source, name);
        const panels = await weights.panels(keys?.get(name), async () => (await loadWeight(gpu, source, name, signal)).panels);
        return { name, dtype, rows: shape[0]!, cols: shape[1]!, panels: [...panels] };
      },
      vector: async (name: string): Promise<GPUBuffer> => (await weights.panels(keys?.get(name), async () => [{ row0: 0, rows: 1, buffer: await loadVector(gpu, source, name) }]))[0]!.buffer,
    };
    const parts = plan.residentBlocks + 2;
    try {
      weights.finalGain = await supply.vector(FINAL_NORM);
      if (plan.residentEmbedding) weights.embedding = await supply.weight(EMBEDDING);
      if (plan.residentHead && !config.tied) weights.head = await supply.weight(HEAD);
      onProgress?.(1, parts);
      for (let layer = 0; layer < plan.residentBlocks; layer++) {
        throwIfCancelled(signal);
        weights.blocks.push(await blockFrom(supply, config, layer));
        onProgress?.(layer + 2, parts);
      }
      await gpu.sync();
      for (const share of weights.shares) share.offer();
      onProgress?.(parts, parts);
    } catch (error) {
      weights.release();
      throw error;
    }
    return weights;
  }

  private async panels(key: string | undefined, make: () => Promise<WeightPanel[]>): Promise<readonly WeightPanel[]> {
    const known = this.pool.take(key);
    const share = known ?? this.pool.add(key, await make());
    this.loaded[known ? "taken" : "made"]++;
    this.shares.push(share);
    return share.panels;
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
    const resident = this.config.tied ? this.embedding : this.head;
    if (resident) {
      for (const panel of resident.panels) await use(panel);
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
    for (const share of this.shares.splice(0)) share.release();
    this.blocks.length = 0;
    this.embedding = this.head = undefined;
    this.finalGain = undefined as unknown as GPUBuffer;
    this.hostRows.clear();
  }
}
