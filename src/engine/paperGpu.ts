import type { Checkpoint, TensorSource } from "../core/tensors";
import { Gpu } from "../gpu/gpu";
import type { AdapterFacts } from "../gpu/info";

/**
 * A GPU on paper: the real pool, batching and cutting of work over a device that computes nothing. A pass that runs on it
 * makes the same buffers and the same dispatches as on a device, so a forecast is the program itself and not a copy of
 * its arithmetic. What is read back is zero, and long reads come back short: nobody on paper looks at values.
 */
export class PaperGpu extends Gpu {
  /** The longest readback so far, in bytes. */
  largestRead = 0;
  private readonly zeros = new Map<number, Uint8Array>();

  /** `facts`: the adapter that is planned for, which decides between GPU and CPU selection and how work is cut. */
  static async on(facts: Pick<AdapterFacts, "state" | "vendor" | "architecture" | "description">): Promise<PaperGpu> {
    const gpu = (await this.create(paperEntry(facts))) as PaperGpu;
    gpu.submits.fix(); // on paper everything is done at once, which says nothing of a speed
    return gpu;
  }

  protected override async copyOut(_: GPUBuffer, bytes: number): Promise<Uint8Array> {
    this.largestRead = Math.max(this.largestRead, bytes);
    const length = Math.min(bytes, LONGEST);
    let zeros = this.zeros.get(length);
    if (!zeros) this.zeros.set(length, (zeros = new Uint8Array(length)));
    return zeros;
  }

  override async readFloats(buffer: GPUBuffer, count: number, offset = 0): Promise<Float32Array> {
    await this.read(buffer, 4 * count, offset);
    return new Float32Array(Math.min(count, 1024));
  }

  /** Starts a phase: peaks are counted from what is allocated now, work from zero. */
  mark(): void {
    this.peakBytes = this.allocatedBytes;
    this.peakLiveBytes = this.liveBytes;
    this.dispatches = 0;
    this.flops = 0;
    this.largestRead = 0;
  }
}

/** Masks of one tensor come back whole, so that joining their panels reads within bounds. */
const LONGEST = 16 * 1024 * 1024;

const nothing = (): undefined => undefined;
const later = async (): Promise<undefined> => undefined;

/** The part of WebGPU that Gpu uses. */
function paperEntry({ state, vendor, architecture, description }: Pick<AdapterFacts, "state" | "vendor" | "architecture" | "description">): GPU {
  const limits = { maxStorageBufferBindingSize: 2 ** 27, maxBufferSize: 2 ** 28, maxComputeWorkgroupStorageSize: 2 ** 14, maxStorageBuffersPerShaderStage: 8, maxComputeInvocationsPerWorkgroup: 256 };
  const pass = { setPipeline: nothing, setBindGroup: nothing, dispatchWorkgroups: nothing, end: nothing };
  const encoder = { clearBuffer: nothing, copyBufferToBuffer: nothing, beginComputePass: () => pass, finish: nothing };
  const object = (): object => ({});
  const device = {
    limits,
    lost: new Promise(nothing),
    queue: { writeBuffer: nothing, submit: nothing, onSubmittedWorkDone: later },
    addEventListener: nothing, destroy: nothing, pushErrorScope: nothing, popErrorScope: async () => null,
    createBuffer: ({ size, label }: GPUBufferDescriptor) => ({ size, label, destroy: nothing }),
    createCommandEncoder: () => encoder,
    createBindGroup: object, createBindGroupLayout: object, createPipelineLayout: object, createShaderModule: object, createComputePipeline: object,
  };
  const adapter = { info: { vendor, architecture, description, device: "", isFallbackAdapter: state === "software" }, limits, features: new Set(), requestDevice: async () => device };
  return { requestAdapter: async () => adapter } as unknown as GPU;
}

/** A checkpoint whose tensors read as zeros; `onRead` is told which bytes. */
export function paperCheckpoint(checkpoint: Checkpoint, onRead: (bytes: number, name: string, offset: number) => void): Checkpoint {
  const read: TensorSource["read"] = async (name, offset, length, into) => {
    onRead(length, name, offset);
    return into?.subarray(0, length) ?? new Uint8Array(length);
  };
  return { ...checkpoint, tensors: checkpoint.tensors, text: (path) => checkpoint.text(path), read };
}
