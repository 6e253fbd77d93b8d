import { StudioError } from "../core/errors";
import type { StageClock } from "../core/stages";
import { adapterFacts, type AdapterFacts } from "./info";
import { foldWorkgroups, type Kernel } from "./kernel";
import { GpuMemory } from "./memory";
import { Pipelines } from "./pipelines";
import { SubmitBudget } from "./submitBudget";

export { MAX_BINDING_BYTES, sizeClass } from "./memory";

/** A whole buffer or a 256-byte-aligned part of one. */
export interface Slice {
  buffer: GPUBuffer;
  offset: number;
  size: number;
}
export type Binding = GPUBuffer | Slice;

const UNIFORM_SLOT = 256;
const UNIFORM_SLOTS = 512;

/** First guess of cost per millisecond; see SubmitBudget. A software adapter does about 2 GFLOP/s, any GPU more than 500. */
const SOFTWARE_SPEED = 2e6;
const HARDWARE_SPEED = 5e8;

/**
 * A device with what every kernel call needs: pipelines by name and constants, a pool of buffers, one uniform ring,
 * batching into short submits, readback. The device is asked for with default limits only, so that what runs here runs
 * everywhere.
 */
export class Gpu extends GpuMemory {
  /** How work is cut; changing it changes no result. */
  readonly submits: SubmitBudget;
  private readonly pipelines: Pipelines;
  private readonly uniforms: GPUBuffer;
  private readonly uniformBytes = new Uint8Array(UNIFORM_SLOT * UNIFORM_SLOTS);
  private usedSlots = 0;
  private encoder: GPUCommandEncoder | undefined;
  private pass: GPUComputePassEncoder | undefined;
  private pendingCost = 0;
  private ended = false;
  private lastDone = 0;
  /** How many callers wait for the GPU, and since when the first of them. */
  private waiting = 0;
  private waitingSince = 0;
  /** Dispatches encoded so far, and floating-point operations of the nn kernels among them. */
  dispatches = 0;
  flops = 0;
  /** Measures uploads, the time that the queue is busy, and readbacks, for the job that set it. */
  clock: StageClock | undefined;

  protected constructor(
    device: GPUDevice,
    readonly facts: AdapterFacts,
  ) {
    super(device);
    this.submits = new SubmitBudget(facts.state === "software" ? SOFTWARE_SPEED : HARDWARE_SPEED);
    this.pipelines = new Pipelines(device);
    this.uniforms = this.createUniforms(this.uniformBytes.byteLength);
    device.addEventListener("uncapturederror", (event) => {
      const error = (event as GPUUncapturedErrorEvent).error;
      this.fault ??= new StudioError("gpu-limit", `The GPU refused a command: ${error.message}`, { title: "The GPU refused a command", found: error.message });
    });
    void device.lost.then((info) => {
      if (this.ended) return; // by us
      this.fault = new StudioError("gpu-lost", `The GPU went away: ${info.message || "the driver reported a device loss"}.`, {
        title: "The GPU went away",
        found: info.message || "The driver reported a device loss.",
        why: "A driver reset, sleep, or another program that took all memory.",
        todo: "Run the pass again; if it happens again, close other programs that use the GPU.",
      });
    });
  }

  /** Kernels compiled so far, each with its constants. */
  get compiled(): number {
    return this.pipelines.size;
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
    return new this(device, facts);
  }

  get software(): boolean {
    return this.facts.state === "software";
  }

  /** Cost of one submit; setting it ends all adapting. */
  get submitCost(): number {
    return this.submits.submitCost;
  }
  set submitCost(cost: number) {
    this.submits.fix(cost);
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
    const end = this.clock?.begin("upload");
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const whole = bytes.byteLength & ~3;
    if (whole) this.device.queue.writeBuffer(buffer, offset, bytes, 0, whole);
    if (whole < bytes.byteLength) {
      const tail = new Uint8Array(4);
      tail.set(bytes.subarray(whole));
      this.device.queue.writeBuffer(buffer, offset + whole, tail);
    }
    end?.(bytes.byteLength);
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
    const parts = kernel.splittable ? this.submits.parts(cost, total) : 1;
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
    if (this.clock) {
      const end = this.clock.begin("compute");
      this.device.queue.onSubmittedWorkDone().then(() => end(), () => end());
    }
    if (this.pendingCost > 0 && this.submits.adapts) this.watch(this.pendingCost);
    this.encoder = undefined;
    this.usedSlots = 0;
    this.pendingCost = 0;
  }

  /** Waits for all submitted work; throws what went wrong on the way. */
  async sync(): Promise<void> {
    this.flush();
    await this.wait(this.device.queue.onSubmittedWorkDone());
    await this.check();
  }

  /** Submits what is encoded. The answer waits until that much is done, and throws what went wrong on the way. */
  fence(): () => Promise<void> {
    this.flush();
    const done = this.device.queue.onSubmittedWorkDone();
    done.catch(() => undefined);
    return async () => {
      await this.wait(done);
      await this.check();
    };
  }

  /** Bytes [offset, offset + bytes) of a buffer, copied to the CPU. */
  async read(buffer: GPUBuffer, bytes: number, offset = 0): Promise<Uint8Array> {
    const target = this.takeStaging(Math.max(4, (bytes + 3) & ~3));
    this.copy(buffer, offset, target, 0, bytes);
    this.flush();
    let out: Uint8Array;
    try {
      out = await this.wait(this.copyOut(target, bytes));
    } catch (cause) {
      this.giveStaging(target, false);
      await this.check();
      throw new StudioError("gpu-lost", "Reading back from the GPU failed. Run the pass again.", { title: "The GPU went away" }, { cause });
    }
    this.giveStaging(target, true);
    await this.check();
    return out;
  }

  protected async copyOut(target: GPUBuffer, bytes: number): Promise<Uint8Array> {
    const padded = (bytes + 3) & ~3;
    await target.mapAsync(1, 0, padded);
    const end = this.clock?.begin("readback");
    const out = new Uint8Array(target.getMappedRange(0, padded)).slice(0, bytes);
    target.unmap();
    end?.(bytes);
    return out;
  }

  async readFloats(buffer: GPUBuffer, count: number, offset = 0): Promise<Float32Array> {
    return new Float32Array((await this.read(buffer, count * 4, offset)).buffer, 0, count);
  }

  destroy(): void {
    this.ended = true;
    this.device.destroy();
  }

  private async wait<T>(work: Promise<T>): Promise<T> {
    if (this.waiting++ === 0) this.waitingSince = performance.now();
    try {
      return await work;
    } finally {
      this.waiting--;
    }
  }

  /** Tells the budget how long the submit just made takes, without waiting for it. */
  private watch(cost: number): void {
    const submitted = performance.now();
    const done = (): void => {
      const now = performance.now();
      const start = Math.max(submitted, this.lastDone);
      this.lastDone = now;
      // Unless somebody waited for most of that time, the thread may have been busy and this call late.
      if (this.waiting > 0 && now - Math.max(start, this.waitingSince) >= (now - start) / 2) this.submits.measured(cost, now - start);
    };
    this.device.queue.onSubmittedWorkDone().then(done, () => undefined);
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
    const { pipeline, layout } = this.pipelines.get(kernel, constants);
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
}
