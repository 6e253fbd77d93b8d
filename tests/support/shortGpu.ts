import { nodeEntry, wrappedGpu } from "./wrappedGpu";

/** An entry point whose devices have room for `limit` bytes only: what is beyond it is reported as a device reports it, late. */
export interface ShortGpu {
  gpu: GPU;
  limit: number;
  /** How often a buffer was refused. */
  refused: number;
  /** Bytes of buffers that are not destroyed, and their peak. */
  bytes: number;
  peak: number;
}

/**
 * A real device around which room is counted. A refused buffer is still a buffer, as WebGPU has it, but it is too small for
 * what was asked, and its error scope tells so when it is popped; commands that use it are refused in their turn.
 */
export async function shortGpu(limit = Infinity): Promise<ShortGpu> {
  const inner = await nodeEntry();
  const state: ShortGpu = { gpu: undefined as unknown as GPU, limit, refused: 0, bytes: 0, peak: 0 };
  const wrap = (device: GPUDevice): GPUDevice => {
    const create = device.createBuffer.bind(device);
    const push = device.pushErrorScope.bind(device);
    const pop = device.popErrorScope.bind(device);
    const scopes: { filter: GPUErrorFilter; message?: string }[] = [];
    device.pushErrorScope = (filter) => {
      scopes.push({ filter });
      push(filter);
    };
    device.popErrorScope = async () => {
      const { message } = scopes.pop()!;
      const found = await pop();
      return message ? ({ message } as GPUError) : found;
    };
    device.createBuffer = (descriptor) => {
      const { size } = descriptor;
      const short = state.bytes + size > state.limit;
      if (short) {
        state.refused++;
        const scope = scopes.findLast((s) => s.filter === "out-of-memory");
        if (!scope) throw new Error(`a buffer of ${size} bytes was made outside an out-of-memory scope`);
        scope.message ??= `no room for ${size} bytes`;
      } else state.peak = Math.max(state.peak, (state.bytes += size));
      const buffer = create(short ? { ...descriptor, size: 4 } : descriptor);
      const destroy = buffer.destroy.bind(buffer);
      let there = !short;
      buffer.destroy = () => {
        if (there) state.bytes -= size;
        there = false;
        destroy();
      };
      if (short) Object.defineProperty(buffer, "size", { value: size });
      return buffer;
    };
    void device.lost.then(() => (state.bytes = 0));
    return device;
  };
  state.gpu = wrappedGpu(inner, async (request) => wrap(await request()));
  return state;
}
