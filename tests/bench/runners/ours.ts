import { Gpu } from "../../../src/gpu/gpu";
import { fisherLinear, fisherNorm } from "../../../src/kernels/nn/fisher";
import { linearBackward, linearForward } from "../../../src/kernels/nn/gemm";
import { blockBackward, type BlockBatch, type BlockContext, type BlockWeights, type LinearRole, type NormRole } from "../../../src/model/block";
import { parseModelConfig } from "../../../src/model/config";
import type { GradientVisitor } from "../../../src/model/gradients";
import { Pace } from "../../../src/model/pace";
import { ropeTable } from "../../../src/model/rope";
import { BLOCK, BLOCK_PARAMETERS, isGain, PARAMETER_NAMES, type BlockInputs, type BlockParameter } from "../block";
import { outputShape, type BenchCase, type Inputs } from "../cases";
import { bf16Bits } from "../values";
import { joined, type Prepared, type Runner } from "./types";

/** The project's kernels, weights as bf16. */
export async function ours(entry: GPU): Promise<Runner & { gpu: Gpu }> {
  const gpu = await Gpu.create(entry);
  return { gpu, name: "tributary", prepare: async (one, inputs) => (inputs.block ? prepareBlock(gpu, one.M, inputs, inputs.block) : prepareProduct(gpu, one, inputs)) };
}

const repeat = async (gpu: Gpu, times: number, call: () => void | Promise<void>): Promise<void> => {
  for (let i = 0; i < times; i++) await call();
  await gpu.sync();
};

function prepareProduct(gpu: Gpu, one: BenchCase, inputs: Inputs): Prepared {
  const { op, M, K, N, samples } = one;
  const x = gpu.upload(inputs.x);
  const dy = gpu.upload(inputs.dy);
  const w = gpu.upload(bf16Bits(inputs.w));
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
  const call = calls[op as keyof typeof calls];
  return {
    run: (times) => repeat(gpu, times, call),
    output: () => gpu.readFloats(out, rows * columns),
    dispose: () => gpu.release(x, dy, w, starts, out),
  };
}

/** The block's own backward pass, which computes its activations anew; the visitor forms the gradients with the Fisher pass's kernels. */
function prepareBlock(gpu: Gpu, rows: number, inputs: Inputs, parameters: BlockInputs): Prepared {
  const { C, H, F, theta, eps } = BLOCK;
  const config = parseModelConfig({ architectures: ["LlamaForCausalLM"], model_type: "llama", hidden_size: C, intermediate_size: F, num_hidden_layers: 1, num_attention_heads: H, num_key_value_heads: H, vocab_size: 64, rope_theta: theta, rms_norm_eps: eps, hidden_act: "silu", max_position_embeddings: rows });
  const held: GPUBuffer[] = [];
  const keep = (data: ArrayBufferView): GPUBuffer => {
    const buffer = gpu.upload(data);
    held.push(buffer);
    return buffer;
  };
  const out = Object.fromEntries(PARAMETER_NAMES.map((name) => [name, keep(new Float32Array(parameters[name].length))])) as Record<BlockParameter, GPUBuffer>;
  const weights: BlockWeights = { layer: 0, linears: new Map(), norms: new Map() };
  for (const name of PARAMETER_NAMES) {
    const [r, cols] = BLOCK_PARAMETERS[name];
    if (isGain(name)) weights.norms.set(name as NormRole, { name, gain: keep(parameters[name]) });
    else weights.linears.set(name as LinearRole, { weight: { name, dtype: "BF16", rows: r, cols, panels: [{ row0: 0, rows: r, buffer: keep(bf16Bits(parameters[name])) }] }, bias: undefined, biasName: undefined });
  }
  const { cos, sin } = ropeTable(config, rows);
  const startsCpu = Uint32Array.from([0, rows]);
  const starts = keep(startsCpu);
  const context: BlockContext = { gpu, config, cosine: keep(cos), sine: keep(sin), pace: new Pace(gpu) };
  const batch: BlockBatch = { rows, longest: rows, spans: keep(Uint32Array.from({ length: 2 * rows }, (_, i) => (i % 2) * rows)), gradient: { sequences: 1, firstSequence: 0, rows, starts, startsCpu, first: true, last: true } };
  const [x, dy, gradient] = [keep(inputs.x), keep(inputs.dy), keep(inputs.dy)];
  const shared = { starts, sequences: 1, accumulate: false, square: false };
  const visitor: GradientVisitor = {
    linear: async ({ name, N, K, x: input, dy: output }) =>
      fisherLinear(gpu, { ...shared, x: input, dy: output, N, K, row0: 0, rows: N, dyStride: N, dyColumn0: 0, out: out[name as BlockParameter] }),
    norm: async ({ name, C: length, x: input, rstd, dy: output, rowsPerToken }) =>
      fisherNorm(gpu, { ...shared, x: input, rstd, dy: output, C: length, rowsPerToken, out: out[name as BlockParameter] }),
  };
  return {
    run: (times) =>
      repeat(gpu, times, async () => {
        gpu.copy(dy, 0, gradient, 0, 4 * inputs.dy.length);
        await blockBackward(context, weights, batch, x, gradient, visitor);
      }),
    output: async () => {
      const parts: Float32Array[] = [];
      for (const name of PARAMETER_NAMES) parts.push(await gpu.readFloats(out[name], parameters[name].length));
      return joined([...parts, await gpu.readFloats(gradient, inputs.x.length)]);
    },
    dispose: () => gpu.release(...held),
  };
}
