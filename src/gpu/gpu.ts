import { StudioError } from "../core/errors";
import { adapterFacts, type AdapterFacts } from "./info";
import { foldWorkgroups, type Kernel } from "./kernel";

/** A whole buffer or a 256-byte-aligned part of one. */
export interface Slice {
  buffer: GPUBuffer;
  offset: number;
  size: number;
}
export type Binding = GPUBuffer | Slice;

/** No binding is ever larger, whatever the adapter would allow (PERFORMANCE 0.7). */
export const MAX_BINDING_BYTES = 128 * 1024 * 1024;

const UNIFORM_SLOT = 256;
const UNIFORM_SLOTS = 512;
const STORAGE = 0x80 | 0x08 | 0x04; // STORAGE | COPY_DST | COPY_SRC

interface Compiled {
  pipeline: GPUComputePipeline;
  layout: GPUBindGroupLayout;
}

/**
 * A device with what every kernel call needs: pipelines by name and constants, a pool of storage buffers, one uniform
 * ring, batching into short submits, readback. The device is asked for with default limits only, so that what runs
 * here runs everywhere.
 */
export class Gpu {
  private readonly pipelines = new Map<string, Compiled>();
  private readonly free = new Map<number, GPUBuffer[]>();
  private readonly staging = new Map<number, GPUBuffer[]>();
  private readonly uniforms: GPUBuffer;
  private readonly uniformBytes = new Uint8Array(UNIFORM_SLOT * UNIFORM_SLOTS);
  private usedSlots = 0;
  private encoder: GPUCommandEncoder | undefined;
  private pass: GPUComputePassEncoder | undefined;
  private pendingCost = 0;
  private fault: StudioError | undefined;
  private scopes: Promise<void>[] = [];
  /** Bytes of buffers now allocated (in use or pooled), and their peak. */
  allocatedBytes = 0;
  peakBytes = 0;
  /** Bytes of buffers that somebody holds, and their peak: what no eviction can give back. */
  liveBytes = 0;
  peakLiveBytes = 0;
  /** Dispatches encoded so far, and floating-point operations of the nn kernels among them. */
  dispatches = 0;
  flops = 0;
  /** Above this, buffers that nobody holds are destroyed before another is made; what is held is never refused for it. */
  budgetBytes = Infinity;

  protected constructor(
    readonly device: GPUDevice,
    readonly facts: AdapterFacts,
    /** Cost (see Kernel.cost) of one submit: about 50 to 100 ms by estimate. */
    public submitCost: number,
  ) {
    this.uniforms = device.createBuffer({ size: this.uniformBytes.byteLength, usage: 0x40 | 0x08 });
    device.addEventListener("uncapturederror", (event) => {
      const error = (event as GPUUncapturedErrorEvent).error;
      this.fault ??= new StudioError("gpu-limit", `The GPU refused a command: ${error.message}`, { title: "The GPU refused a command", found: error.message });
    });
    void device.lost.then((info) => {
      if (info.reason === "destroyed") return;
      this.fault = new StudioError("gpu-lost", `The GPU went away: ${info.message || "the driver reported a device loss"}.`, {
        title: "The GPU went away",
        found: info.message || "The driver reported a device loss.",
        why: "A driver reset, sleep, or another program that took all memory.",
        todo: "Run the pass again; if it happens again, close other programs that use the GPU.",
      });
    });
  }

  /** Throws StudioError "gpu-unavailable" when there is no WebGPU or no adapter. */
  static async create(gpu: GPU | undefined): Promise<Gpu> {
    if (!gpu) throw new StudioError("gpu-unavailable", "This browser has no WebGPU. Use a current Chrome, Edge, Safari or Firefox, or turn WebGPU on in its settings.", { title: "No WebGPU" });
    const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
    if (!adapter) throw new StudioError("gpu-unavailable", "WebGPU is there, but no adapter answers. Update the graphics driver, or start the browser with --enable-unsafe-webgpu.", { title: "No GPU adapter" });
    const facts = adapterFacts(adapter);
    const device = await adapter.requestDevice();
    const l = device.limits;
    facts.limits = {
      maxStorageBufferBindingSize: l.maxStorageBufferBindingSize,
      maxBufferSize: l.maxBufferSize,
      maxComputeWorkgroupStorageSize: l.maxComputeWorkgroupStorageSize,
      maxStorageBuffersPerShaderStage: l.maxStorageBuffersPerShaderStage,
      maxComputeInvocationsPerWorkgroup: l.maxComputeInvocationsPerWorkgroup,
    };
    return new this(device, facts, facts.state === "software" ? 2e8 : 5e10);
  }

  get software(): boolean {
    return this.facts.state === "software";
  }

  /** A storage buffer of at least `bytes` bytes, from the pool when one of that size class is free. Contents are undefined. */
  alloc(bytes: number, label = "storage"): GPUBuffer {
    if (bytes > MAX_BINDING_BYTES)
      throw new StudioError("gpu-limit", `A GPU buffer "${label}" of ${bytes} bytes was asked for; the limit is ${MAX_BINDING_BYTES}. This is a fault of the planner, not of the model.`);
    const size = sizeClass(bytes);
    this.hold(size);
    const pooled = this.free.get(size)?.pop();
    if (pooled) return pooled;
    this.makeRoom(size);
    this.device.pushErrorScope("out-of-memory");
    const buffer = this.device.createBuffer({ size, usage: STORAGE, label });
    this.grow(size);
    this.scopes.push(
      this.device.popErrorScope().then((error) => {
        if (error) this.fault ??= new StudioError("gpu-limit", `The GPU has no room for ${size} more bytes; ${this.allocatedBytes - size} are in use. Close other programs that use the GPU, or take fewer or shorter random inputs.`, { title: "Out of GPU memory", found: error.message });
      }),
    );
    return buffer;
  }

  /** Gives a buffer back to the pool. Commands already encoded may still use it: later commands run after them. */
  release(...buffers: (GPUBuffer | undefined)[]): void {
    for (const buffer of buffers) {
      if (!buffer) continue;
      this.liveBytes -= buffer.size;
      const list = this.free.get(buffer.size);
      if (list) list.push(buffer);
      else this.free.set(buffer.size, [buffer]);
    }
  }

  /** Destroys pooled buffers that nobody holds. */
  trim(): void {
    this.evict(0);
  }

  /** Whether `bytes` more can be held without going over the budget. */
  hasRoom(bytes: number): boolean {
    return this.liveBytes + sizeClass(bytes) <= this.budgetBytes;
  }

  private hold(size: number): void {
    this.liveBytes += size;
    this.peakLiveBytes = Math.max(this.peakLiveBytes, this.liveBytes);
  }

  private grow(size: number): void {
    this.allocatedBytes += size;
    this.peakBytes = Math.max(this.peakBytes, this.allocatedBytes);
  }

  private makeRoom(size: number): void {
    if (this.allocatedBytes + size > this.budgetBytes) this.evict(this.budgetBytes - size);
  }

  /** Destroys pooled buffers, largest first, until at most `target` bytes are allocated. Submitted work still finishes on them. */
  private evict(target: number): void {
    this.flush();
    const sizes = [...new Set([...this.free.keys(), ...this.staging.keys()])].sort((a, b) => b - a);
    for (const size of sizes)
      for (const pool of [this.free, this.staging])
        for (let list = pool.get(size); list && list.length > 0 && this.allocatedBytes > target; ) {
          list.pop()!.destroy();
          this.allocatedBytes -= size;
        }
  }

  /** Allocates and fills a buffer. The byte length is padded with zeros to a multiple of 4. */
  upload(data: ArrayBufferView, label?: string): GPUBuffer {
    const buffer = this.alloc(Math.max(4, data.byteLength), label);
    this.write(buffer, 0, data);
    return buffer;
  }

  /** Writes bytes at `offset` (a multiple of 4). Ordered after everything encoded so far. */
  write(buffer: GPUBuffer, offset: number, data: ArrayBufferView): void {
    this.flush();
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const whole = bytes.byteLength & ~3;
    if (whole) this.device.queue.writeBuffer(buffer, offset, bytes, 0, whole);
    if (whole < bytes.byteLength) {
      const tail = new Uint8Array(4);
      tail.set(bytes.subarray(whole));
      this.device.queue.writeBuffer(buffer, offset + whole, tail);
    }
  }

  /** Sets bytes [0, bytes) to zero. */
  clear(buffer: GPUBuffer, bytes = buffer.size): void {
    this.endPass();
    this.ensureEncoder().clearBuffer(buffer, 0, Math.min(buffer.size, (bytes + 3) & ~3));
  }

  copy(from: GPUBuffer, fromOffset: number, to: GPUBuffer, toOffset: number, bytes: number): void {
    this.endPass();
    this.ensureEncoder().copyBufferToBuffer(from, fromOffset, to, toOffset, (bytes + 3) & ~3);
  }

  /** Encodes one kernel call. Large calls of splittable kernels are cut so that each dispatch stays short. */
  run<P extends string>(kernel: Kernel<P>, buffers: Record<string, Binding>, params: Record<Exclude<P, "group0">, number>, constants: Record<string, number> = {}): void {
    const merged = { ...kernel.constants, ...constants };
    const values = { ...params, group0: 0 } as Record<P, number> & { group0: number };
    const total = kernel.workgroups(values, merged);
    if (total === 0) return;
    const cost = kernel.cost(values);
    if (kernel.name.startsWith("nn/")) this.flops += cost;
    const parts = kernel.splittable ? Math.max(1, Math.min(total, Math.ceil(cost / this.submitCost))) : 1;
    const perPart = Math.ceil(total / parts);
    for (let start = 0; start < total; start += perPart) {
      if (this.pendingCost > 0 && this.pendingCost + cost / parts > this.submitCost) this.flush();
      this.dispatch(kernel, buffers, { ...values, group0: start }, merged, Math.min(perPart, total - start));
      this.pendingCost += cost / parts;
    }
  }

  /** Submits what is encoded. */
  flush(): void {
    if (!this.encoder) return;
    this.endPass();
    if (this.usedSlots > 0) this.device.queue.writeBuffer(this.uniforms, 0, this.uniformBytes, 0, this.usedSlots * UNIFORM_SLOT);
    this.device.queue.submit([this.encoder.finish()]);
    this.encoder = undefined;
    this.usedSlots = 0;
    this.pendingCost = 0;
  }

  /** Waits for all submitted work; throws what went wrong on the way. */
  async sync(): Promise<void> {
    this.flush();
    await this.device.queue.onSubmittedWorkDone();
    await this.check();
  }

  /** Bytes [offset, offset + bytes) of a buffer, copied to the CPU. */
  async read(buffer: GPUBuffer, bytes: number, offset = 0): Promise<Uint8Array> {
    const size = sizeClass(Math.max(4, (bytes + 3) & ~3));
    this.hold(size);
    const pooled = this.staging.get(size)?.pop();
    if (!pooled) this.makeRoom(size);
    const target = pooled ?? this.device.createBuffer({ size, usage: 0x01 | 0x08, label: "readback" });
    if (!pooled) this.grow(size);
    this.copy(buffer, offset, target, 0, bytes);
    this.flush();
    let out: Uint8Array;
    try {
      out = await this.copyOut(target, bytes);
    } catch (cause) {
      this.liveBytes -= size;
      this.allocatedBytes -= size;
      target.destroy();
      await this.check();
      throw new StudioError("gpu-lost", "Reading back from the GPU failed. Run the pass again.", { title: "The GPU went away" }, { cause });
    }
    this.liveBytes -= size;
    const list = this.staging.get(size);
    if (list) list.push(target);
    else this.staging.set(size, [target]);
    await this.check();
    return out;
  }

  protected async copyOut(target: GPUBuffer, bytes: number): Promise<Uint8Array> {
    const padded = (bytes + 3) & ~3;
    await target.mapAsync(1, 0, padded);
    const out = new Uint8Array(target.getMappedRange(0, padded)).slice(0, bytes);
    target.unmap();
    return out;
  }

  async readFloats(buffer: GPUBuffer, count: number, offset = 0): Promise<Float32Array> {
    return new Float32Array((await this.read(buffer, count * 4, offset)).buffer, 0, count);
  }

  destroy(): void {
    this.device.destroy();
  }

  private async check(): Promise<void> {
    const scopes = this.scopes;
    this.scopes = [];
    await Promise.all(scopes);
    if (this.fault) {
      const fault = this.fault;
      if (fault.code !== "gpu-lost") this.fault = undefined;
      throw fault;
    }
  }

  private ensureEncoder(): GPUCommandEncoder {
    return (this.encoder ??= this.device.createCommandEncoder());
  }

  private endPass(): void {
    this.pass?.end();
    this.pass = undefined;
  }

  private dispatch(kernel: Kernel, buffers: Record<string, Binding>, params: Record<string, number>, constants: Record<string, number>, groups: number): void {
    if (this.usedSlots === UNIFORM_SLOTS) this.flush();
    this.dispatches++;
    const { pipeline, layout } = this.compile(kernel, constants);
    const names = [...kernel.inputs, ...kernel.outputs];
    const entries: GPUBindGroupEntry[] = names.map((name, binding) => {
      const bound = buffers[name];
      if (!bound) throw new StudioError("internal", `Kernel ${kernel.name} was called without its buffer "${name}".`);
      return { binding, resource: "buffer" in bound ? { buffer: bound.buffer, offset: bound.offset, size: bound.size } : { buffer: bound } };
    });
    const scalars = Object.entries(kernel.params);
    if (scalars.length > 0) {
      const at = this.usedSlots++ * UNIFORM_SLOT;
      const view = new DataView(this.uniformBytes.buffer, at, UNIFORM_SLOT);
      scalars.forEach(([name, type], i) => {
        const value = params[name];
        if (value === undefined) throw new StudioError("internal", `Kernel ${kernel.name} was called without its parameter "${name}".`);
        if (type === "f32") view.setFloat32(i * 4, value, true);
        else if (type === "i32") view.setInt32(i * 4, value, true);
        else view.setUint32(i * 4, value, true);
      });
      entries.push({ binding: names.length, resource: { buffer: this.uniforms, offset: at, size: Math.max(16, scalars.length * 4) } });
    }
    const pass = (this.pass ??= this.ensureEncoder().beginComputePass());
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, this.device.createBindGroup({ layout, entries }));
    pass.dispatchWorkgroups(...foldWorkgroups(groups));
  }

  private compile(kernel: Kernel, constants: Record<string, number>): Compiled {
    const key = `${kernel.name}|${JSON.stringify(constants)}`;
    const known = this.pipelines.get(key);
    if (known) return known;
    const entries: GPUBindGroupLayoutEntry[] = [
      ...kernel.inputs.map((_, binding): GPUBindGroupLayoutEntry => ({ binding, visibility: 4, buffer: { type: "read-only-storage" } })),
      ...kernel.outputs.map((_, i): GPUBindGroupLayoutEntry => ({ binding: kernel.inputs.length + i, visibility: 4, buffer: { type: "storage" } })),
    ];
    if (Object.keys(kernel.params).length > 0) entries.push({ binding: entries.length, visibility: 4, buffer: { type: "uniform" } });
    const layout = this.device.createBindGroupLayout({ entries, label: kernel.name });
    const module = this.device.createShaderModule({ code: kernel.code, label: kernel.name });
    const pipeline = this.device.createComputePipeline({
      label: kernel.name,
      layout: this.device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: "main", constants },
    });
    const compiled = { pipeline, layout };
    this.pipelines.set(key, compiled);
    return compiled;
  }
}

/** Buffer sizes in steps of 1/8 of a power of two (at least 256 bytes), so that the pool finds them again. */
export function sizeClass(bytes: number): number {
  const min = Math.max(256, bytes);
  const step = Math.max(256, 2 ** Math.floor(Math.log2(min)) / 8);
  return Math.min(Math.ceil(min / step) * step, Math.max(MAX_BINDING_BYTES, bytes));
}
