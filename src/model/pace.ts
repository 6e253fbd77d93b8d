import { throwIfCancelled } from "../core/errors";
import { whileRunning } from "../core/pause";
import type { Gpu } from "../gpu/gpu";

/** How many submits' worth of work may be queued before the CPU waits: about a second on a software adapter, less on hardware. */
const SUBMITS_AHEAD = 8;

/**
 * Keeps the CPU from running far ahead of the GPU, so that memory stays bounded and a cancel is answered soon:
 * between waits the signal is looked at, and during a wait an abort ends the wait at once. A pause is kept here too.
 */
export class Pace {
  private owed = 0;

  constructor(
    private readonly gpu: Gpu,
    readonly signal?: AbortSignal,
  ) {}

  /** To be called after encoding work of this cost (see Kernel.cost). Throws "cancelled". */
  async after(cost: number): Promise<void> {
    await whileRunning(this.signal);
    this.owed += cost;
    if (this.owed >= SUBMITS_AHEAD * this.gpu.submitCost) await this.wait();
  }

  /** Waits for the GPU, or throws "cancelled" as soon as the signal fires. */
  async wait(): Promise<void> {
    this.owed = 0;
    await orCancelled(this.gpu.sync(), this.signal);
    await whileRunning(this.signal);
  }
}

/** The promise's outcome, or "cancelled" as soon as the signal fires; the promise is then left to settle by itself. */
export async function orCancelled<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  promise.catch(() => undefined);
  throwIfCancelled(signal);
  let stop = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => {
      try {
        throwIfCancelled(signal);
      } catch (error) {
        reject(error as Error);
      }
    };
    signal.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
