import type { Gpu } from "../gpu/gpu";

/** Buffers of one piece of work: what is still held when it ends, also by an error, goes back to the pool. */
export class BufferScope {
  private readonly held = new Set<GPUBuffer>();

  constructor(readonly gpu: Gpu) {}

  alloc(bytes: number, label: string): GPUBuffer {
    return this.adopt(this.gpu.alloc(bytes, label));
  }

  upload(data: ArrayBufferView, label: string): GPUBuffer {
    return this.adopt(this.gpu.upload(data, label));
  }

  adopt(buffer: GPUBuffer): GPUBuffer {
    this.held.add(buffer);
    return buffer;
  }

  /** Takes a buffer out of the scope, for whoever needs it longer. */
  hand(buffer: GPUBuffer): GPUBuffer {
    this.held.delete(buffer);
    return buffer;
  }

  /** Gives buffers back now: commands already encoded still see their contents. Unknown ones are left alone. */
  free(...buffers: (GPUBuffer | undefined)[]): void {
    for (const buffer of buffers) if (buffer && this.held.delete(buffer)) this.gpu.release(buffer);
  }

  end(): void {
    this.free(...this.held);
  }
}
