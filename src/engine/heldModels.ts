import { jobClock } from "../core/pause";
import type { MergesTried, WeightsBrought } from "../core/trying";
import { createGenerator, type Generator } from "../generate/generator";
import { WeightPool } from "../generate/pool";
import type { Gpu } from "../gpu/gpu";
import { parseModelConfig } from "../model/config";
import type { Answering } from "./answering";
import type { Resources } from "./resources";

/** Models whose weights stay on the GPU, as far as the budget goes: base, fine-tuned, merged. */
const KEPT = 3;

interface Held {
  key: string;
  gpu: Gpu;
  generator: Generator;
  /** Questions that it answers now: it is not given back under their feet. */
  busy: number;
}

/**
 * Models with their weights on the GPU from one question to the next, the last three. A tensor that two of them have in common
 * is there once: a merge whose recipe has changed takes over what the change leaves alone.
 */
export class HeldModels {
  private held: Held[] = [];
  private readonly pools = new WeakMap<Gpu, WeightPool>();
  readonly tried: MergesTried = { merges: 0, tensorsMade: 0, tensorsTaken: 0 };

  constructor(private readonly resources: Pick<Resources, "gpuBytes">) {}

  /** Gives back what is held for models that answer nothing now. */
  release(): void {
    for (const held of this.held) if (held.busy === 0) held.generator.end();
    this.held = this.held.filter((h) => h.busy > 0);
  }

  /** Runs with the generator of a model: the one that is held, or a new one in the place of the one that was asked longest ago. `onPart` tells which part of its weights has come. */
  async use<T>(answering: Answering, gpu: Gpu, signal: AbortSignal, work: (generator: Generator, brought: WeightsBrought) => Promise<T>, onPart?: (part: number, parts: number) => void): Promise<T> {
    const { held, brought } = this.find(answering, gpu) ?? (await this.make(answering, gpu, signal, onPart));
    try {
      return await work(held.generator, brought);
    } finally {
      held.busy--;
    }
  }

  /** What is held of a model, marked as busy and as the one asked last. */
  private find({ key }: Answering, gpu: Gpu): { held: Held; brought: WeightsBrought } | undefined {
    const held = this.held.find((h) => h.key === key && h.gpu === gpu);
    if (!held) return undefined;
    this.held = [...this.held.filter((h) => h !== held), held];
    held.busy++;
    const { loaded, plan } = held.generator;
    return { held, brought: { made: 0, there: loaded.made + loaded.taken, bytes: plan.residentBytes, seconds: 0 } };
  }

  private async make(answering: Answering, gpu: Gpu, signal: AbortSignal, onProgress: ((part: number, parts: number) => void) | undefined): Promise<{ held: Held; brought: WeightsBrought }> {
    const merge = answering.recipeHash !== undefined;
    if (merge) this.tried.merges++;
    const now = jobClock(signal);
    const started = now();
    const weights = await answering.weights(gpu, signal);
    const pool = this.poolOf(gpu);
    const makeRoom = (bytes: number): void => {
      for (const idle of this.held.filter((h) => h.busy === 0)) {
        if (this.held.length < KEPT && this.resources.gpuBytes - pool.heldBytes >= bytes) break;
        idle.generator.end();
        this.held = this.held.filter((h) => h !== idle);
      }
    };
    const generator = await createGenerator(gpu, weights, parseModelConfig(answering.files.config), { budgetBytes: this.resources.gpuBytes, pool, makeRoom, signal, onProgress });
    const { made, taken } = generator.loaded;
    if (merge) {
      this.tried.tensorsMade += made;
      this.tried.tensorsTaken += taken;
    }
    const held = { key: answering.key, gpu, generator, busy: 1 };
    this.held.push(held);
    return { held, brought: { made, there: taken, bytes: generator.plan.residentBytes, seconds: (now() - started) / 1000 } };
  }

  private poolOf(gpu: Gpu): WeightPool {
    let pool = this.pools.get(gpu);
    if (!pool) {
      this.pools.set(gpu, (pool = new WeightPool(gpu)));
      // With a device go its buffers.
      void gpu.device.lost.then(() => (this.held = this.held.filter((h) => h.gpu !== gpu)));
    }
    return pool;
  }
}
