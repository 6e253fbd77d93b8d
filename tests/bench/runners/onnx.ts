import * as ort from "onnxruntime-web/webgpu";
import type { BenchCase, Inputs } from "../cases";
import { onnxModel, type OnnxNode, type OnnxShapes } from "./onnxModel";
import type { Prepared, Runner } from "./types";

/** A first call that takes longer is compared as it is. */
const SLOW_MS = 3000;

/** One way of writing a case: a graph with its inputs and their data. */
interface Graph {
  note: string;
  nodes: OnnxNode[];
  inputs: Record<string, { data: Float32Array; shape: [number, number] }>;
  output: [number, number];
}

function transposed(data: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(data.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) out[c * rows + r] = data[r * columns + c]!;
  return out;
}

const matMul = (a: string, b: string, output: string): OnnxNode => ({ op: "MatMul", inputs: [a, b], output });
const transpose = (from: string, output: string): OnnxNode => ({ op: "Transpose", inputs: [from], output, lists: { perm: [1, 0] } });
const gemm = (a: string, b: string, output: string, attributes: Record<string, number>): OnnxNode => ({ op: "Gemm", inputs: [a, b], output, attributes });

/** The ways to write a case; the faster of them counts. Weights may lie transposed, as exporters store them. */
function graphs({ op, M, K, N, samples }: BenchCase, { x, w, dy }: Inputs): Graph[] {
  if (op === "forward") {
    return [
      { note: "MatMul, weights transposed beforehand", nodes: [matMul("x", "w", "y")], inputs: { x: { data: x, shape: [M, K] }, w: { data: transposed(w, N, K), shape: [K, N] } }, output: [M, N] },
      { note: "Gemm", nodes: [gemm("x", "w", "y", { transB: 1 })], inputs: { x: { data: x, shape: [M, K] }, w: { data: w, shape: [N, K] } }, output: [M, N] },
    ];
  }
  if (op === "dX") return [{ note: "MatMul", nodes: [matMul("dy", "w", "y")], inputs: { dy: { data: dy, shape: [M, N] }, w: { data: w, shape: [N, K] } }, output: [M, K] }];
  const rows = M / samples;
  const inputs: Graph["inputs"] = {};
  for (let s = 0; s < samples; s++) {
    inputs[`dy${s}`] = { data: dy.slice(s * rows * N, (s + 1) * rows * N), shape: [rows, N] };
    inputs[`x${s}`] = { data: x.slice(s * rows * K, (s + 1) * rows * K), shape: [rows, K] };
  }
  const ways = [
    { note: "Transpose and MatMul", gradient: (s: number, output: string): OnnxNode[] => [transpose(`dy${s}`, `t${s}`), matMul(`t${s}`, `x${s}`, output)] },
    { note: "Gemm", gradient: (s: number, output: string): OnnxNode[] => [gemm(`dy${s}`, `x${s}`, output, { transA: 1 })] },
  ];
  return ways.map(({ note, gradient }) => ({
    note,
    nodes:
      op === "dW" ? gradient(0, "y")
      : [...gradient(0, "g0"), ...gradient(1, "g1"), { op: "Mul", inputs: ["g0", "g0"], output: "s0" }, { op: "Mul", inputs: ["g1", "g1"], output: "s1" }, { op: "Add", inputs: ["s0", "s1"], output: "y" }],
    inputs,
    output: [N, K],
  }));
}

const open = (graph: Graph): Promise<ort.InferenceSession> => {
  const shapes: OnnxShapes = Object.fromEntries(Object.entries(graph.inputs).map(([name, { shape }]) => [name, shape]));
  return ort.InferenceSession.create(onnxModel(graph.nodes, shapes, { y: graph.output }), { executionProviders: ["webgpu"], preferredOutputLocation: "gpu-buffer", logSeverityLevel: 3 });
};

/** onnxruntime-web on its WebGPU provider, f32, inputs and outputs on the GPU. It knows no differentiation, so there is no block. */
export async function onnx(version: string): Promise<Runner> {
  ort.env.wasm.numThreads = 1;
  // Kept open: releasing the last session would destroy the device with all buffers on it.
  await open({ note: "", nodes: [{ op: "Add", inputs: ["x", "x"], output: "y" }], inputs: { x: { data: new Float32Array(1), shape: [1, 1] } }, output: [1, 1] });
  const device = (await ort.env.webgpu.device) as GPUDevice;

  const load = async (graph: Graph): Promise<Prepared> => {
    const session = await open(graph);
    const buffers: GPUBuffer[] = [];
    const feeds: Record<string, ort.Tensor> = {};
    for (const [name, { data, shape }] of Object.entries(graph.inputs)) {
      const buffer = device.createBuffer({ size: Math.ceil(data.byteLength / 16) * 16, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC });
      device.queue.writeBuffer(buffer, 0, data as Float32Array<ArrayBuffer>);
      buffers.push(buffer);
      feeds[name] = ort.Tensor.fromGpuBuffer(buffer, { dataType: "float32", dims: shape });
    }
    let last: ort.Tensor | undefined;
    return {
      note: graph.note,
      run: async (times) => {
        for (let i = 0; i < times; i++) {
          last?.dispose();
          last = (await session.run(feeds)).y;
        }
        await device.queue.onSubmittedWorkDone();
      },
      output: async () => Float32Array.from((await last!.getData()) as Float32Array),
      dispose: async () => {
        last?.dispose();
        await session.release();
        buffers.forEach((buffer) => buffer.destroy());
      },
    };
  };

  return {
    name: `onnxruntime-web ${version}`,
    prepare: async (one, inputs) => {
      if (one.op === "block") return undefined;
      const ways: { prepared: Prepared; ms: number }[] = [];
      for (const graph of graphs(one, inputs)) {
        const prepared = await load(graph);
        const call = async (): Promise<number> => {
          const start = performance.now();
          await prepared.run(1);
          return performance.now() - start;
        };
        // The first call compiles; of a slow one that is a small part.
        const first = await call();
        ways.push({ prepared, ms: first > SLOW_MS ? first : await call() });
      }
      const [best, ...others] = ways.sort((a, b) => a.ms - b.ms);
      for (const { prepared } of others) await prepared.dispose();
      return best!.prepared;
    },
  };
}
