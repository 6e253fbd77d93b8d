import { nodeGpu } from "../../src/cli/nodeGpu";

let entry: Promise<GPU | undefined> | undefined;

/** The entry point of this process. No adapter is a failure, never a skip. */
export async function nodeEntry(): Promise<GPU> {
  const gpu = await (entry ??= nodeGpu());
  if (!gpu) throw new Error("No WebGPU adapter. Install a driver, or chromium and libvulkan1 for the software adapter.");
  return gpu;
}

/** An entry point whose adapters hand out what `device` makes of a request; all else is the inner one's. */
export function wrappedGpu(inner: GPU, device: (request: () => Promise<GPUDevice>, descriptor: GPUDeviceDescriptor | undefined) => Promise<GPUDevice>): GPU {
  return {
    requestAdapter: async (options?: GPURequestAdapterOptions) => {
      const adapter = await inner.requestAdapter(options);
      if (!adapter) return null;
      const request = adapter.requestDevice.bind(adapter);
      adapter.requestDevice = (descriptor) => device(() => request(descriptor), descriptor);
      return adapter;
    },
  } as GPU;
}
