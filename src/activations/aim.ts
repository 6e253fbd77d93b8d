import { StudioError } from "../core/errors";
import type { Gpu } from "../gpu/gpu";
import { addColumnMeans } from "../kernels/stats/columnMeans";
import type { ForwardVisitor } from "../model/forwardVisitor";
import { BufferScope } from "../model/scope";
import { capture, configOf, type Model } from "./capture";
import { walksOf, type WalkOptions } from "./walks";

/**
 * What AIM measures, of every module that it relaxes (linear layers, RMSNorms, head), under the name of the module's weight:
 *   a[c] = sum over sequences of the mean over tokens of |x[c]|,   x the module's input, f32 [K]
 * For q_norm and k_norm the heads of a token count as rows. The head is "lm_head.weight" also where it is tied. Sums are in
 * f32, sequence after sequence; means of the published code are rounded to bf16 on the way, these are not.
 * Throws as `capture` does, and "bad-file" when an input is not finite.
 * Source: arXiv 2502.02421, METHODS 5.
 */
export async function inputMeans(gpu: Gpu, model: Model, sequences: number[][], options: WalkOptions = {}): Promise<Map<string, Float32Array>> {
  const { layers, hidden } = configOf(model);
  const means = new Map<string, Float32Array>();
  const { runs, signal, decoder, onBlock } = walksOf(options, sequences, { layers, bytesPerToken: 4 * hidden });
  for (const run of runs) {
    const buffers = new BufferScope(gpu);
    const sums = new MeansOfRun(buffers, means);
    try {
      await capture(gpu, model, run.sequences, sums, { ...decoder, signal, onBlock });
      await sums.blockDone();
    } finally {
      buffers.end();
    }
  }
  return means;
}

/** Sums on the GPU, read back after each block: a walk that follows goes on from there. */
class MeansOfRun implements ForwardVisitor {
  private readonly open = new Map<string, { names: readonly string[]; K: number; buffer: GPUBuffer }>();

  constructor(
    private readonly buffers: BufferScope,
    private readonly means: Map<string, Float32Array>,
  ) {}

  input: NonNullable<ForwardVisitor["input"]> = async ({ names, x, K, rowsPerToken }, { starts, startsCpu }) => {
    const key = names[0]!;
    let entry = this.open.get(key);
    const before = this.means.get(key);
    const accumulate = entry !== undefined || before !== undefined;
    if (!entry) this.open.set(key, (entry = { names, K, buffer: before ? this.buffers.upload(before, "means") : this.buffers.alloc(4 * K, "means") }));
    addColumnMeans(this.buffers.gpu, { x, K, rowsPerToken, starts, startsCpu, sums: entry.buffer, accumulate });
  };

  /** One readback for all modules of the block. */
  blockDone = async (): Promise<void> => {
    const { buffers } = this;
    const entries = [...this.open.values()];
    this.open.clear();
    if (entries.length === 0) return;
    const all = buffers.alloc(4 * entries.reduce((sum, { K }) => sum + K, 0), "means of a block");
    let at = 0;
    for (const { K, buffer } of entries) {
      buffers.gpu.copy(buffer, 0, all, 4 * at, 4 * K);
      at += K;
    }
    const values = await buffers.gpu.readFloats(all, at);
    at = 0;
    for (const { names, K } of entries) {
      const mean = values.slice(at, (at += K));
      const channel = mean.findIndex((value) => !Number.isFinite(value));
      if (channel >= 0)
        throw new StudioError("bad-file", `Measuring activations: channel ${channel} of what goes into "${names[0]}" is ${mean[channel]}, a number is expected. The model's weights overflow or hold NaN; check them.`, {
          title: "Activations that are no numbers", where: names[0]!, found: String(mean[channel]), expected: "a finite number",
        });
      for (const name of names) this.means.set(name, mean);
    }
    buffers.free(all, ...entries.map(({ buffer }) => buffer));
  };
}

/**
 * Importance of the input channels of a module, from a[c] = sum over texts of the mean over tokens of |x[c]|:
 *   v = a / max(a),  0 where max(a) is 0
 * Source: arXiv 2502.02421, METHODS 5.
 */
export function channelImportance(a: ArrayLike<number>): Float64Array {
  const top = Array.from(a).reduce((most, value) => Math.max(most, value), 0);
  return Float64Array.from(a, (value) => (top > 0 ? value / top : 0));
}

export const AIM_OMEGA = 0.4;

/**
 * What is left of the change of each input column (of each entry, for a norm):
 *   W = W0 + (W_merged - W0) * f[c],   f = 1 - v (1 - omega)
 * omega 1 changes nothing; 0 puts the most important channel back to the base. Source: arXiv 2502.02421, METHODS 5.
 */
export const aimFactors = (a: ArrayLike<number>, omega = AIM_OMEGA): Float64Array => channelImportance(a).map((v) => 1 - v * (1 - omega));
