import { StudioError } from "../core/errors";
import type { PassMemory } from "../fisher/measure";
import type { Gpu } from "../gpu/gpu";
import type { AdapterFacts } from "../gpu/info";
import type { PhaseForecast } from "./api";
import type { RecipeContext } from "./context";
import { fisherAveragePass } from "./fisherAveragePass";
import type { PassRun } from "./passes";
import { regmeanPass } from "./regmeanPass";
import { sensitivityPass } from "./sensitivityPass";

/** What such a pass tells when it is over; `losses` where it has any, in nats per token. */
export interface GpuPassResult {
  losses: number[];
  tokens: number;
  warnings: string[];
}

/**
 * A pass on the GPU beside FIM's Fisher pass: it measures what a method of that `gpuPass` merges by. Sums per tensor go through
 * run.onTensor, for every output and in any order; larger findings into run.arrays, from which planTensor gets those that
 * the method names in `arrays`. It keeps no journal: after an interruption it starts over.
 */
export interface GpuPass {
  /** What the person sees while it runs; the meter calls phase(id) in this order. */
  phases(context: RecipeContext): { id: string; label: string }[];
  /** Units that run.meter.emit counts to. */
  work(context: RecipeContext): number;
  /** Throws "unknown-architecture" or "bad-recipe" where it cannot run, in one sentence. */
  require(context: RecipeContext): void;
  /** What it takes, for the plan. */
  forecast(context: RecipeContext, memory: PassMemory, on: { facts: AdapterFacts; gpuBytes: number }): Promise<(Partial<PhaseForecast> & { label: string })[]>;
  run(gpu: Gpu, context: RecipeContext, run: PassRun): Promise<GpuPassResult>;
}

/** By the name that a method gives as its `gpuPass`. */
const GPU_PASSES: Readonly<Record<string, GpuPass>> = { regmean: regmeanPass, "fisher-average": fisherAveragePass, sensitivity: sensitivityPass };

/** The pass of a method, undefined where it is FIM's own or none. */
export function gpuPassOf({ method }: Pick<RecipeContext, "method">): GpuPass | undefined {
  if (method.gpuPass === undefined) return undefined;
  const pass = GPU_PASSES[method.gpuPass];
  if (!pass) throw new StudioError("internal", `Measuring for ${method.label}: there is no pass "${method.gpuPass}".`);
  return pass;
}
