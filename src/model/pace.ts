import { throwIfCancelled } from "../core/errors";
import { whileRunning } from "../core/pause";
import type { Gpu } from "../gpu/gpu";

/** Pieces of work that may be on their way at one time. Two: while the GPU does one, the next is there. */
const IN_FLIGHT = 2;
/** Uploads that go as one piece. The driver holds a copy of what it was given and has not done yet. */
const UPLOAD_BYTES = 32 * 1024 * 1024;

/** Work handed to the GPU in pieces of `size()`; waits for the oldest when more than two are on their way. */
class Credits {
  private readonly open: (() => Promise<void>)[] = [];
  private owed = 0;

  constructor(
    private readonly gpu: Gpu,
    private readonly size: () => number,
  ) {}

  async after(amount: number, signal: AbortSignal | undefined): Promise<void> {
    this.owed += amount;
    if (this.owed < this.size()) return;
    this.owed = 0;
    this.open.push(this.gpu.fence());
    while (this.open.length > IN_FLIGHT) await orCancelled(this.open.shift()!(), signal);
  }

  clear(): void {
    this.owed = 0;
    this.open.length = 0;
  }
}

/**
 * Keeps the CPU from running far ahead of the GPU, so that memory stays bounded and a cancel is answered soon: at most two
 * submits are on their way, between waits the signal is looked at, and during a wait an abort ends the wait at once. A
 * pause is kept here too.
 */
export class Pace {
  private readonly credits: Credits;

  constructor(
    private readonly gpu: Gpu,
    readonly signal?: AbortSignal,
  ) {
    this.credits = new Credits(gpu, () => gpu.submitCost);
  }

  /** To be called after encoding work of this cost (see Kernel.cost). Throws "cancelled". */
  async after(cost: number): Promise<void> {
    await whileRunning(this.signal);
    await this.credits.after(cost, this.signal);
  }

  /** Waits for the GPU, or throws "cancelled" as soon as the signal fires. */
  async wait(): Promise<void> {
    this.credits.clear();
    await orCancelled(this.gpu.sync(), this.signal);
    await whileRunning(this.signal);
  }
}

const uploads = new WeakMap<Gpu, Credits>();

/** To be called after every upload of a long series: waits while more than 64 MiB are on their way. Throws "cancelled". */
export async function afterUpload(gpu: Gpu, bytes: number, signal: AbortSignal | undefined): Promise<void> {
  let credits = uploads.get(gpu);
  if (!credits) uploads.set(gpu, (credits = new Credits(gpu, () => UPLOAD_BYTES)));
  await credits.after(bytes, signal);
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
