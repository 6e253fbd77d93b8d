import { Gpu } from "../../src/gpu/gpu";
import type { Binding } from "../../src/gpu/gpu";
import type { Kernel } from "../../src/gpu/kernel";
import { nodeEntry } from "./wrappedGpu";

let shared: Promise<Gpu> | undefined;

/** The one device of a test file, with default limits. No adapter is a failure, never a skip. */
export const testGpu = (): Promise<Gpu> => (shared ??= nodeEntry().then((gpu) => Gpu.create(gpu)));

/** The next test file gets one of its own. */
export const forgetTestGpu = (): void => void (shared = undefined);

type Data = Float32Array | Uint32Array | Uint8Array | Uint16Array | Int32Array;

/**
 * Calls one kernel. `buffers` holds inputs with data and outputs with data (accumulating) or a length in f32 words
 * (zero-filled). Returns the outputs as Float32Array; `as: "u32"` views them as words.
 */
export async function run<P extends string>(
  kernel: Kernel<P>,
  buffers: Record<string, Data | number>,
  params: Record<Exclude<P, "group0">, number>,
  constants: Record<string, number> = {},
): Promise<Record<string, Float32Array>> {
  const gpu = await testGpu();
  const bound: Record<string, Binding> = {};
  const lengths: Record<string, number> = {};
  for (const name of [...kernel.inputs, ...kernel.outputs]) {
    const data = buffers[name];
    if (data === undefined) throw new Error(`run(${kernel.name}): no data for "${name}"`);
    const view = typeof data === "number" ? new Float32Array(data) : data;
    lengths[name] = Math.ceil(view.byteLength / 4);
    bound[name] = gpu.upload(view, name);
  }
  gpu.run(kernel, bound, params, constants);
  const out: Record<string, Float32Array> = {};
  for (const name of kernel.outputs) out[name] = await gpu.readFloats(bound[name] as GPUBuffer, lengths[name]!);
  gpu.release(...(Object.values(bound) as GPUBuffer[]));
  return out;
}
