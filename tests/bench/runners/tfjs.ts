import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-webgpu";
import { BLOCK, BLOCK_PARAMETERS, causalMask, PARAMETER_NAMES, rotaryTables, type BlockInputs } from "../block";
import type { Inputs } from "../cases";
import { joined, type Runner } from "./types";

interface Backend { endComputePassEncoder(): void; submitQueue(): void; queue: GPUQueue }

/** TensorFlow.js on its WebGPU backend, f32; with `differentiates`, its gradients were registered. Throws when it finds no WebGPU. */
export async function tfjs(version: string, differentiates: boolean): Promise<Runner> {
  if (!(await tf.setBackend("webgpu"))) throw new Error("tfjs found no WebGPU");
  await tf.ready();
  const backend = tf.backend() as unknown as Backend;
  const prepared = (call: () => tf.Tensor[], inputs: tf.Tensor[]) => {
    let last: tf.Tensor[] = [];
    return {
      run: async (times: number) => {
        for (let i = 0; i < times; i++) {
          last.forEach((t) => t.dispose());
          last = tf.tidy(call);
        }
        // Without ending the pass first, submitQueue drops the work.
        backend.endComputePassEncoder();
        backend.submitQueue();
        await backend.queue.onSubmittedWorkDone();
      },
      output: async () => joined(await Promise.all(last.map(async (t) => Float32Array.from((await t.data()) as Float32Array)))),
      dispose: () => [...last, ...inputs].forEach((t) => t.dispose()),
    };
  };
  return {
    name: `tfjs-webgpu ${version}`,
    prepare: async ({ op, M, K, N, samples }, inputs) => {
      if (op === "block" && !differentiates) return undefined;
      if (op === "block") {
        const { call, tensors } = block(M, inputs, inputs.block!);
        return prepared(call, tensors);
      }
      const x = tf.tensor2d(inputs.x, [M, K]);
      const w = tf.tensor2d(inputs.w, [N, K]);
      const dy = tf.tensor2d(inputs.dy, [M, N]);
      const half = M / samples;
      const parts = Array.from({ length: samples }, (_, s) => [tf.slice(dy, [s * half, 0], [half, N]), tf.slice(x, [s * half, 0], [half, K])] as const);
      const gradient = (s: number): tf.Tensor => tf.matMul(parts[s]![0], parts[s]![1], true, false);
      const calls = {
        forward: () => tf.matMul(x, w, false, true),
        dX: () => tf.matMul(dy, w),
        dW: () => gradient(0),
        fisher: () => tf.addN(parts.map((_, s) => tf.square(gradient(s)))),
      };
      return prepared(() => [calls[op]()], [x, w, dy, ...parts.flat()]);
    },
  };
}

/** Gradients of sum(dy * block(x)) by the library's own differentiation. */
function block(M: number, inputs: Inputs, parameters: BlockInputs): { call: () => tf.Tensor[]; tensors: tf.Tensor[] } {
  const { C, H, D, eps } = BLOCK;
  const weights = PARAMETER_NAMES.map((name) => tf.tensor2d(parameters[name], [...BLOCK_PARAMETERS[name]]));
  const x = tf.tensor2d(inputs.x, [M, C]);
  const dy = tf.tensor2d(inputs.dy, [M, C]);
  const tables = rotaryTables(M);
  const [cos, sin] = [tf.tensor3d(tables.cos, [1, M, D / 2]), tf.tensor3d(tables.sin, [1, M, D / 2])];
  const hidden = tf.tensor2d(causalMask(M), [M, M]);
  const linear = (from: tf.Tensor, weight: tf.Tensor): tf.Tensor => tf.matMul(from, weight, false, true);
  const norm = (from: tf.Tensor, gain: tf.Tensor): tf.Tensor => tf.mul(tf.div(from, tf.sqrt(tf.add(tf.mean(tf.square(from), -1, true), eps))), gain);
  const heads = (from: tf.Tensor): tf.Tensor => tf.transpose(tf.reshape(from, [M, H, D]), [1, 0, 2]);
  const turn = (from: tf.Tensor): tf.Tensor => {
    const [a, b] = tf.split(from, 2, 2) as [tf.Tensor, tf.Tensor];
    return tf.concat([tf.sub(tf.mul(a, cos), tf.mul(b, sin)), tf.add(tf.mul(b, cos), tf.mul(a, sin))], 2);
  };
  const loss = (...all: tf.Tensor[]): tf.Scalar => {
    const [q, k, v, o, gate, up, down, norm1, norm2, input] = all as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
    const first = norm(input, norm1);
    const [qr, kr, vr] = [turn(heads(linear(first, q))), turn(heads(linear(first, k))), heads(linear(first, v))];
    const weight = tf.softmax(tf.add(tf.mul(tf.matMul(qr, kr, false, true), 1 / Math.sqrt(D)), hidden));
    const mixed = tf.reshape(tf.transpose(tf.matMul(weight, vr), [1, 0, 2]), [M, C]);
    const middle = tf.add(input, linear(mixed, o));
    const second = norm(middle, norm2);
    const g = linear(second, gate);
    const act = tf.mul(tf.mul(g, tf.sigmoid(g)), linear(second, up));
    return tf.sum(tf.mul(tf.add(middle, linear(act, down)), dy));
  };
  const gradients = tf.grads(loss);
  return { call: () => gradients([...weights, x]), tensors: [...weights, x, dy, cos, sin, hidden] };
}
