import { StudioError, throwIfCancelled, toStudioError } from "../core/errors";
import { Gpu } from "../gpu/gpu";

/** A job that loses its device this often stops. */
export const MAX_LOSSES = 3;

/** How long a driver that resets is given to offer an adapter again, and how often it is asked meanwhile. */
const TRIES = 6;
const WAIT_MS = 1000;

/**
 * The engine's GPU: made when first needed, and again after it was lost. A job that runs on it survives a loss: it is
 * called again with another device, goes on from its journal, and the work of one submit is halved, because what a driver
 * resets is most often a device whose commands took too long. The halves change no result.
 */
export class Device {
  private opening: Promise<Gpu> | undefined;
  private held: Gpu | undefined;
  /** Cost of one submit after a loss; undefined as long as there was none. */
  private submitCost: number | undefined;

  constructor(
    private readonly entry: GPU | undefined,
    private readonly waitMs = WAIT_MS,
  ) {}

  /** Throws "gpu-unavailable". */
  open(): Promise<Gpu> {
    if (this.opening) return this.opening;
    const opening = Gpu.create(this.entry).then((gpu) => {
      if (this.submitCost !== undefined) gpu.submitCost = this.submitCost;
      this.held = gpu;
      void gpu.device.lost.then(() => this.forget(gpu));
      return gpu;
    });
    this.opening = opening;
    opening.catch(() => {
      if (this.opening === opening) this.opening = undefined;
    });
    return opening;
  }

  /**
   * Runs a job on the device, after a loss again. `doing` begins the sentence of the third loss, "Measuring". `losses` are
   * those of this job so far. Throws what the job throws, and "gpu-lost" when there were three or when no adapter comes back.
   */
  async run<T>(doing: string, signal: AbortSignal, job: (gpu: Gpu, losses: number) => Promise<T>): Promise<T> {
    let gpu = await this.open();
    for (let losses = 0; ; gpu = await this.reopen(doing, signal, losses)) {
      try {
        return await job(gpu, losses);
      } catch (error) {
        if (signal.aborted || !(await wasLost(gpu, error))) throw error;
        this.lost(gpu);
        if (++losses === MAX_LOSSES) throw goneTooOften(doing, error);
      }
    }
  }

  private async reopen(doing: string, signal: AbortSignal, losses: number): Promise<Gpu> {
    for (let left = TRIES; ; ) {
      throwIfCancelled(signal);
      try {
        return await this.open();
      } catch (cause) {
        if (--left === 0) throw neverBack(doing, losses, cause);
        await new Promise((resolve) => setTimeout(resolve, this.waitMs));
      }
    }
  }

  /** Two jobs may find the same loss; only the first halves. */
  private lost(gpu: Gpu): void {
    if (this.held !== gpu && this.submitCost !== undefined && this.submitCost < gpu.submitCost) return;
    this.submitCost = gpu.submitCost / 2;
    this.forget(gpu);
    gpu.destroy();
  }

  private forget(gpu: Gpu): void {
    if (this.held !== gpu) return;
    this.held = undefined;
    this.opening = undefined;
  }
}

/** A device that goes away can show itself by any failure of what was asked of it, so it is asked itself. */
async function wasLost(gpu: Gpu, error: unknown): Promise<boolean> {
  if (toStudioError(error).code === "gpu-lost") return true;
  const soon = new Promise<false>((resolve) => setTimeout(() => resolve(false), 0));
  return Promise.race([gpu.device.lost.then(() => true), soon]);
}

const KEPT = "What is finished is kept: started again, the work goes on from there.";

function goneTooOften(doing: string, cause: unknown): StudioError {
  const found = toStudioError(cause).details.found ?? "the driver reported a device loss";
  return new StudioError("gpu-lost", `${doing}: the GPU went away ${MAX_LOSSES} times during this job, although each time the work went on with half as much at once (${found}). Close other programs that use the GPU or update its driver, then start again. ${KEPT}`, {
    title: "The GPU keeps going away", where: doing, found: `${MAX_LOSSES} losses in one job`, why: found, todo: `Close other programs that use the GPU or update its driver, then start again. ${KEPT}`,
  }, { cause });
}

function neverBack(doing: string, losses: number, cause: unknown): StudioError {
  const found = `no adapter for ${TRIES} seconds after loss ${losses}`;
  return new StudioError("gpu-lost", `${doing}: the GPU went away and did not come back (${found}). Restart the browser or the machine, then start again. ${KEPT}`, {
    title: "The GPU did not come back", where: doing, found, todo: `Restart the browser or the machine, then start again. ${KEPT}`,
  }, { cause });
}
