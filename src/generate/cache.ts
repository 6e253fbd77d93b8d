import { StudioError } from "../core/errors";
import { MAX_BINDING_BYTES, type Gpu } from "../gpu/gpu";
import type { ModelConfig } from "../model/config";

/** Room for the keys and values of several sequences at a time. */
export interface CachePlan {
  /** Sequences that are in it at one time. */
  places: number;
  /** Positions of each. */
  capacity: number;
  bytes: number;
}

type Sizes = Pick<ModelConfig, "layers" | "kvHeads" | "headDim">;

/**
 * As many places, up to `batch`, as stay within `roomBytes`, at least one; f32, no buffer above the binding limit:
 *   bytes = 2 L places capacity KV D * 4
 * Throws "gpu-limit" when the keys of one sequence in one block need more than a binding.
 */
export function planCache(config: Sizes, capacity: number, batch: number, roomBytes: number): CachePlan {
  const perLayer = 4 * capacity * config.kvHeads * config.headDim;
  const most = Math.floor(MAX_BINDING_BYTES / perLayer);
  if (most < 1) {
    const fit = Math.floor(MAX_BINDING_BYTES / (4 * config.kvHeads * config.headDim));
    throw new StudioError("gpu-limit", `Generating: a sequence of ${capacity} tokens needs ${perLayer} bytes of keys in each block, and a GPU buffer has at most ${MAX_BINDING_BYTES}. Ask for fewer new tokens: prompt and answer together can have ${fit}.`, {
      title: "The sequence is too long", where: "prompt and new tokens", found: `${capacity} tokens`, expected: `at most ${fit}`,
    });
  }
  const perPlace = 2 * config.layers * perLayer;
  const places = Math.max(1, Math.min(batch, most, Math.floor(roomBytes / perPlace)));
  return { places, capacity, bytes: places * perPlace };
}

/** Keys and values of each block, [places, capacity, KV, D] f32. */
export class KeyValueCache {
  readonly layers: { keys: GPUBuffer; values: GPUBuffer }[] = [];

  constructor(
    private readonly gpu: Gpu,
    config: Sizes,
    readonly plan: CachePlan,
  ) {
    const bytes = 4 * plan.places * plan.capacity * config.kvHeads * config.headDim;
    try {
      for (let layer = 0; layer < config.layers; layer++) {
        const keys = gpu.alloc(bytes, "keys");
        this.layers.push({ keys, values: keys });
        this.layers[layer]!.values = gpu.alloc(bytes, "values");
      }
    } catch (error) {
      this.release();
      throw error;
    }
  }

  release(): void {
    for (const { keys, values } of this.layers.splice(0)) this.gpu.release(keys, ...(values === keys ? [] : [values]));
  }
}
