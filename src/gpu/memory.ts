import { StudioError } from "../core/errors";
import { formatBytes } from "../core/modelFiles";

/** No binding is ever larger, whatever the adapter would allow (PERFORMANCE 0.7). */
export const MAX_BINDING_BYTES = 128 * 1024 * 1024;

const STORAGE = 0x80 | 0x08 | 0x04; // STORAGE | COPY_DST | COPY_SRC
const READBACK = 0x01 | 0x08; // MAP_READ | COPY_DST
const UNIFORM = 0x40 | 0x08; // UNIFORM | COPY_DST

/** Who holds buffers that could be read again: asked for room before anything is refused. */
export interface Reserve {
  /** Gives something back to the pool; false when nothing is left. */
  giveBack(): boolean;
}

/** Whether work failed because the GPU had no room; `wantedBytes` and `heldBytes` are in the details. */
export const isOutOfMemory = (error: unknown): error is StudioError => error instanceof StudioError && error.details.outOfMemory === true;

const outOfMemory = (wantedBytes: number, heldBytes: number, found: string): StudioError =>
  new StudioError("gpu-limit", `The GPU has no room for ${formatBytes(wantedBytes)} more; ${formatBytes(heldBytes)} are held. Close other programs that use the GPU, or take fewer or shorter random inputs.`, {
    title: "Out of GPU memory", found, todo: "Close other programs that use the GPU, or take fewer or shorter random inputs.", outOfMemory: true, wantedBytes, heldBytes,
  });

/**
 * Buffers of a device: a pool by size class, counts, a budget. A device refuses a buffer late, by an error scope, and what
 * is computed with such a buffer is garbage; so every creation has its scope, and `check` throws before anything that was
 * read back is believed.
 */
export abstract class GpuMemory {
  private readonly free = new Map<number, GPUBuffer[]>();
  private readonly staging = new Map<number, GPUBuffer[]>();
  private readonly reserves = new Set<Reserve>();
  private readonly scopes = new Set<Promise<void>>();
  /** The first refusal. It stays until `trim` or `settle`: two waits at one time must not both believe, nor only one of them. */
  private shortage: StudioError | undefined;
  /** What the device reported, to be thrown at the next wait; "gpu-lost" stays. */
  protected fault: StudioError | undefined;
  /** Bytes of buffers now allocated (in use, set aside or pooled), and their peak. */
  allocatedBytes = 0;
  peakBytes = 0;
  /** Bytes of buffers that somebody holds and needs, and their peak: what no eviction can give back. */
  liveBytes = 0;
  peakLiveBytes = 0;
  /** Bytes of buffers that reserves would give back. */
  reservedBytes = 0;
  /** Above this, pooled buffers are destroyed and reserves asked before another is made; what is needed is never refused for it. */
  budgetBytes = Infinity;

  protected constructor(readonly device: GPUDevice) {}

  /** Submits what is encoded. */
  abstract flush(): void;

  /** A storage buffer of at least `bytes` bytes, from the pool when one of that size class is free. Contents are undefined. */
  alloc(bytes: number, label = "storage"): GPUBuffer {
    if (bytes > MAX_BINDING_BYTES)
      throw new StudioError("gpu-limit", `A GPU buffer "${label}" of ${bytes} bytes was asked for; the limit is ${MAX_BINDING_BYTES}. This is a fault of the planner, not of the model.`);
    const size = sizeClass(bytes);
    const buffer = this.take(this.free, size) ?? this.create(size, STORAGE, label);
    this.hold(size);
    return buffer;
  }

  /** Gives a buffer back to the pool. Commands already encoded may still use it: later commands run after them. */
  release(...buffers: (GPUBuffer | undefined)[]): void {
    for (const buffer of buffers) {
      if (!buffer) continue;
      this.liveBytes -= buffer.size;
      put(this.free, buffer);
    }
  }

  /** Destroys pooled buffers that nobody holds; to be called when a job ends. */
  trim(): void {
    this.evict(0);
    this.shortage = undefined;
  }

  /** Whether `bytes` more can be held without going over the budget; what is set aside would make room. */
  hasRoom(bytes: number): boolean {
    return this.liveBytes + sizeClass(bytes) <= this.budgetBytes;
  }

  /** From now on `reserve` is asked when room is needed, before those added earlier. */
  addReserve(reserve: Reserve): void {
    this.reserves.add(reserve);
  }

  removeReserve(reserve: Reserve): void {
    this.reserves.delete(reserve);
  }

  /** These buffers are kept but could be given back: they count as reserved, no longer as live. */
  setAside(buffers: readonly GPUBuffer[]): void {
    const bytes = sizeOf(buffers);
    this.liveBytes -= bytes;
    this.reservedBytes += bytes;
  }

  /** These buffers are needed again. */
  takeBack(buffers: readonly GPUBuffer[]): void {
    const bytes = sizeOf(buffers);
    this.reservedBytes -= bytes;
    this.hold(bytes);
  }

  /**
   * After work that failed, all of whose buffers were given back: waits until the device is idle, forgets what it refused,
   * and destroys the pool, in which there may be buffers that were never really made. Throws "gpu-lost".
   */
  async settle(): Promise<void> {
    this.flush();
    await this.device.queue.onSubmittedWorkDone();
    // An answer to this comes after every report about the work before it.
    this.device.pushErrorScope("validation");
    await this.device.popErrorScope();
    try {
      await this.check();
    } catch (error) {
      if (!(error instanceof StudioError) || error.code === "gpu-lost") throw error;
    }
    this.trim();
  }

  /** Throws what went wrong since the last check: a lost device first, then a lack of memory, then anything refused. */
  protected async check(): Promise<void> {
    await Promise.all(this.scopes);
    if (this.fault?.code === "gpu-lost") throw this.fault;
    const { fault } = this;
    this.fault = undefined;
    if (this.shortage ?? fault) throw (this.shortage ?? fault)!;
  }

  protected takeStaging(bytes: number): GPUBuffer {
    const size = sizeClass(bytes);
    const buffer = this.take(this.staging, size) ?? this.create(size, READBACK, "readback");
    this.hold(size);
    return buffer;
  }

  /** `usable` false: mapping it failed, it is of no more use. */
  protected giveStaging(buffer: GPUBuffer, usable: boolean): void {
    this.liveBytes -= buffer.size;
    if (usable) return put(this.staging, buffer);
    this.allocatedBytes -= buffer.size;
    buffer.destroy();
  }

  /** The ring of uniforms is made once and counts as no one's. */
  protected createUniforms(size: number): GPUBuffer {
    const buffer = this.create(size, UNIFORM, "uniforms");
    this.allocatedBytes -= size;
    this.peakBytes = this.allocatedBytes;
    return buffer;
  }

  /** A pooled buffer of this size; undefined when there is none, and there is room within the budget, or none to be made. */
  private take(pool: Map<number, GPUBuffer[]>, size: number): GPUBuffer | undefined {
    for (;;) {
      const pooled = pool.get(size)?.pop();
      if (pooled) return pooled;
      if (this.allocatedBytes + size <= this.budgetBytes) return undefined;
      this.evict(this.budgetBytes - size);
      if (this.allocatedBytes + size <= this.budgetBytes || !this.askReserves()) return undefined;
    }
  }

  private askReserves(): boolean {
    return [...this.reserves].reverse().some((reserve) => reserve.giveBack());
  }

  private create(size: number, usage: number, label: string): GPUBuffer {
    const held = this.allocatedBytes;
    const refused = (message: string): StudioError => (this.shortage ??= outOfMemory(size, held, message));
    this.device.pushErrorScope("out-of-memory");
    let buffer: GPUBuffer;
    try {
      buffer = this.device.createBuffer({ size, usage, label });
    } catch (cause) {
      throw refused(cause instanceof Error ? cause.message : String(cause));
    } finally {
      const scope = this.device.popErrorScope().then((error) => {
        this.scopes.delete(scope);
        if (error) refused(error.message);
      }, () => void this.scopes.delete(scope));
      this.scopes.add(scope);
    }
    this.allocatedBytes += size;
    this.peakBytes = Math.max(this.peakBytes, this.allocatedBytes);
    return buffer;
  }

  private hold(bytes: number): void {
    this.liveBytes += bytes;
    this.peakLiveBytes = Math.max(this.peakLiveBytes, this.liveBytes);
  }

  /** Destroys pooled buffers, largest first, until at most `target` bytes are allocated. Submitted work still finishes on them. */
  private evict(target: number): void {
    if (this.allocatedBytes <= target) return;
    this.flush();
    const sizes = [...new Set([...this.free.keys(), ...this.staging.keys()])].sort((a, b) => b - a);
    for (const size of sizes)
      for (const pool of [this.free, this.staging])
        for (let list = pool.get(size); list && list.length > 0 && this.allocatedBytes > target; ) {
          list.pop()!.destroy();
          this.allocatedBytes -= size;
        }
  }
}

const sizeOf = (buffers: readonly GPUBuffer[]): number => buffers.reduce((sum, buffer) => sum + buffer.size, 0);

function put(pool: Map<number, GPUBuffer[]>, buffer: GPUBuffer): void {
  const list = pool.get(buffer.size);
  if (list) list.push(buffer);
  else pool.set(buffer.size, [buffer]);
}

/** Buffer sizes in steps of 1/8 of a power of two (at least 256 bytes), so that the pool finds them again. */
export function sizeClass(bytes: number): number {
  const min = Math.max(256, bytes);
  const step = Math.max(256, 2 ** Math.floor(Math.log2(min)) / 8);
  return Math.min(Math.ceil(min / step) * step, Math.max(MAX_BINDING_BYTES, bytes));
}
