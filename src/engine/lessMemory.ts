import { StudioError } from "../core/errors";
import { formatBytes } from "../core/modelFiles";
import { isOutOfMemory, type GpuMemory } from "../gpu/memory";
import type { Forecast } from "./api";

/** A device that refused says where its end is; the next plan stays clear of it, and of its own budget, by this share. */
const STEP = 0.85;

type Plan = Pick<Forecast, "gpuBytes" | "budgets" | "memory">;
const fits = ({ gpuBytes, budgets }: Plan): boolean => gpuBytes <= budgets.gpuBytes;

/**
 * Runs work that was planned for a budget, on a GPU that may have less room than that. When the device refuses a buffer,
 * what is computed with it is not believed: the work is planned again for what the device did hold, and run again, which
 * is as often as needed. The planner gives up first what costs only reads (pinned blocks, pooled buffers), then puts block
 * inputs on the host, then cuts smaller panels. `plan` takes the budget; `again` is told of the smaller plan before it is run.
 * Throws what the work throws, and "gpu-limit" with both numbers when the smallest plan has no room either.
 */
export async function withLessMemory<P extends Plan, T>(gpu: GpuMemory, plan: (gpuBytes?: number) => Promise<P>, run: (plan: P) => Promise<T>, again: (sentence: string, plan: P) => void = () => undefined): Promise<T> {
  let current = await plan();
  for (let tries = 1; ; tries++) {
    try {
      return await run(current);
    } catch (error) {
      if (!isOutOfMemory(error)) throw error;
      await gpu.settle();
      const wanted = Number(error.details.wantedBytes);
      const held = Number(error.details.heldBytes);
      const next = await plan(Math.floor(Math.min(held, STEP * current.budgets.gpuBytes)));
      // One plan that should not fit is tried, because a forecast may be too high; two are not.
      if (!fits(current) && !fits(next)) throw noRoom(wanted, held, tries, current, error);
      again(`The GPU had no room for ${formatBytes(wanted)} beside ${formatBytes(held)}; the work was planned again for ${formatBytes(next.budgets.gpuBytes)}.`, next);
      current = next;
    }
  }
}

function noRoom(wanted: number, held: number, tries: number, { gpuBytes, memory }: Plan, cause: StudioError): StudioError {
  const todo = "Close other programs that use the GPU, take fewer or shorter random inputs, or choose a method without Fisher.";
  return new StudioError(
    "gpu-limit",
    `The GPU has no room: ${formatBytes(wanted)} more were wanted beside ${formatBytes(held)}. ${tries === 1 ? "The plan" : `The work was planned ${tries} times, the last plan`} cuts matrices into panels of ${formatBytes(memory.panelBytes)} and needs ${formatBytes(gpuBytes)} at one time. ${todo}`,
    { title: "Out of GPU memory", found: `${formatBytes(held)} held, ${formatBytes(wanted)} more refused`, expected: `${formatBytes(gpuBytes)} at one time`, todo, wantedBytes: wanted, heldBytes: held },
    { cause },
  );
}
