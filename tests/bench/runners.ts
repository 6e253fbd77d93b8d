import { existsSync, readFileSync } from "node:fs";
import { Gpu } from "../../src/gpu/gpu";
import { fisherLinear } from "../../src/kernels/nn/fisher";
import { linearBackward, linearForward } from "../../src/kernels/nn/gemm";
import { outputShape, type BenchCase, type Inputs } from "./cases";

/** A case on one library's device: `run` ends when the GPU is done, `output` is the result of the last run. */
export interface Prepared {
  run(): Promise<void>;
  output(): Promise<Float32Array>;
  dispose(): void;
}
export interface Runner {
  name: string;
  prepare(one: BenchCase, inputs: Inputs): Promise<Prepared>;
}

/** The project's kernels, weights as bf16. */
export async function ours(entry: GPU): Promise<Runner & { gpu: Gpu }> {
  const gpu = await Gpu.create(entry);
  return {
    gpu,
    name: "tributary",
    prepare: async (one, inputs) => {
      const { op, M, K, N, samples } = one;
      const bits = new Uint32Array(inputs.w.buffer);
      const x = gpu.upload(inputs.x);
      const dy = gpu.upload(inputs.dy);
      const w = gpu.upload(Uint16Array.from(bits, (word) => word >>> 16));
      const starts = gpu.upload(Uint32Array.from({ length: samples + 1 }, (_, s) => (s * M) / samples));
      const [rows, columns] = outputShape(one);
      const out = gpu.alloc(rows * columns * 4);
      const weight = { name: "w", dtype: "BF16" as const, rows: N, cols: K, panels: [{ row0: 0, rows: N, buffer: w }] };
      const fisher = { x, dy, starts, sequences: samples, N, K, row0: 0, rows: N, dyStride: N, dyColumn0: 0, out, accumulate: false };
      const calls = {
        forward: () => linearForward(gpu, { x, weight, y: out, M }),
        dX: () => linearBackward(gpu, { dy, weight, dx: out, M, accumulate: false }),
        dW: () => fisherLinear(gpu, { ...fisher, square: false }),
        fisher: () => fisherLinear(gpu, fisher),
      };
      return {
        run: () => (calls[op](), gpu.sync()),
        output: () => gpu.readFloats(out, rows * columns),
        dispose: () => gpu.release(x, dy, w, starts, out),
      };
    },
  };
}

const version = (name: string): string => {
  const at = new URL(`../../node_modules/${name}/package.json`, import.meta.url);
  return existsSync(at) ? String((JSON.parse(readFileSync(at, "utf8")) as { version: string }).version) : "?";
};

/** jax-js, everything jitted, f32. An array is used up by the call it is passed to, unless passed as `.ref`. */
export async function jaxJs(): Promise<Runner> {
  const { blockUntilReady, defaultDevice, init, jit, numpy } = await import("@jax-js/jax");
  if (!(await init("webgpu")).includes("webgpu")) throw new Error("jax-js found no WebGPU");
  defaultDevice("webgpu");
  type Tensor = ReturnType<typeof numpy.zeros>;
  const gradient = (dy: Tensor, x: Tensor): Tensor => numpy.matmul(dy.transpose(), x);
  const functions = {
    forward: jit((x: Tensor, w: Tensor) => numpy.matmul(x, w.transpose())),
    dX: jit((dy: Tensor, w: Tensor) => numpy.matmul(dy, w)),
    dW: jit((dy: Tensor, x: Tensor) => gradient(dy, x)),
    fisher: jit((dy0: Tensor, x0: Tensor, dy1: Tensor, x1: Tensor) => {
      const [a, b] = [gradient(dy0, x0), gradient(dy1, x1)];
      return numpy.add(numpy.multiply(a.ref, a), numpy.multiply(b.ref, b));
    }),
  };
  return {
    name: `jax-js ${version("@jax-js/jax")}`,
    prepare: async ({ op, M, K, N, samples }, { x, w, dy }) => {
      const tensor = (data: Float32Array, shape: [number, number]): Tensor => numpy.array(data.slice()).reshape(shape);
      const half = M / samples;
      const args: Tensor[] =
        op === "forward" ? [tensor(x, [M, K]), tensor(w, [N, K])]
        : op === "dX" ? [tensor(dy, [M, N]), tensor(w, [N, K])]
        : Array.from({ length: samples }, (_, s) => [tensor(dy.slice(s * half * N, (s + 1) * half * N), [half, N]), tensor(x.slice(s * half * K, (s + 1) * half * K), [half, K])]).flat();
      const call = functions[op] as unknown as (...tensors: Tensor[]) => Tensor;
      let last: Tensor | undefined;
      return {
        run: async () => {
          last?.dispose();
          last = call(...args.map((arg) => arg.ref));
          await blockUntilReady(last);
        },
        output: async () => Float32Array.from((await last!.ref.data()) as Float32Array),
        dispose: () => [last, ...args].forEach((t) => t?.dispose()),
      };
    },
  };
}

/** TensorFlow.js on its WebGPU backend, f32. */
export async function tfjs(): Promise<Runner> {
  const tf = await import("@tensorflow/tfjs-core");
  await import("@tensorflow/tfjs-backend-webgpu");
  if (!(await tf.setBackend("webgpu"))) throw new Error("tfjs found no WebGPU");
  await tf.ready();
  interface Backend { endComputePassEncoder(): void; submitQueue(): void; queue: GPUQueue }
  const backend = tf.backend() as unknown as Backend;
  return {
    name: `tfjs-webgpu ${version("@tensorflow/tfjs-backend-webgpu")}`,
    prepare: async ({ op, M, K, N, samples }, inputs) => {
      const x = tf.tensor2d(inputs.x, [M, K]);
      const w = tf.tensor2d(inputs.w, [N, K]);
      const dy = tf.tensor2d(inputs.dy, [M, N]);
      const half = M / samples;
      const parts = Array.from({ length: samples }, (_, s) => [tf.slice(dy, [s * half, 0], [half, N]), tf.slice(x, [s * half, 0], [half, K])] as const);
      const gradient = (s: number) => tf.matMul(parts[s]![0], parts[s]![1], true, false);
      const calls = {
        forward: () => tf.matMul(x, w, false, true),
        dX: () => tf.matMul(dy, w),
        dW: () => gradient(0),
        fisher: () => tf.addN(parts.map((_, s) => tf.square(gradient(s)))),
      };
      let last: { dispose(): void; data(): Promise<unknown> } | undefined;
      return {
        run: async () => {
          last?.dispose();
          last = tf.tidy(() => calls[op]());
          // Without ending the pass first, submitQueue drops the work.
          backend.endComputePassEncoder();
          backend.submitQueue();
          await backend.queue.onSubmittedWorkDone();
        },
        output: async () => Float32Array.from((await last!.data()) as Float32Array),
        dispose: () => [last, x, w, dy, ...parts.flat()].forEach((t) => t?.dispose()),
      };
    },
  };
}
