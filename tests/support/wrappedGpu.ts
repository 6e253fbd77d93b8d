import { nodeGpu } from "../../src/cli/nodeGpu";
import { SharedDevice } from "./sharedDevice";

let entry: Promise<GPU | undefined> | undefined;
let shared: SharedDevice | undefined;

/** The entry point of this process. No adapter is a failure, never a skip. */
export async function ownEntry(): Promise<GPU> {
  const gpu = await (entry ??= nodeGpu());
  if (!gpu) throw new Error("No WebGPU adapter. Install a driver, or chromium and libvulkan1 for the software adapter.");
  return gpu;
}

/** The same, but all its devices are views of one, so that a kernel is compiled once in a process; for tests that lose no device. */
export async function nodeEntry(): Promise<GPU> {
  return wrappedGpu(await ownEntry(), async (request, descriptor) => {
    if (descriptor) return request();
    if (!shared || shared.gone) shared = new SharedDevice(await request());
    return shared.view();
  });
}

/** After a test file: what it left on the shared device goes. */
export const endViews = (): void => shared?.endViews();

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
