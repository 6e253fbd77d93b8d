import { blockUntilReady, defaultDevice, grad, init, jit, nn, numpy as np } from "@jax-js/jax";
import { BLOCK, BLOCK_PARAMETERS, causalMask, isGain, PARAMETER_NAMES, rotaryTables, type BlockInputs, type BlockParameter } from "../block";
import type { BenchCase, Inputs } from "../cases";
import { joined, type Prepared, type Runner } from "./types";

type Tensor = ReturnType<typeof np.zeros>;
type Weights = Record<BlockParameter, Tensor>;

const gradient = (dy: Tensor, x: Tensor): Tensor => np.matmul(dy.transpose(), x);
const products: Record<Exclude<BenchCase["op"], "block">, (...tensors: Tensor[]) => Tensor> = {
  forward: jit((x: Tensor, w: Tensor) => np.matmul(x, w.transpose())) as never,
  dX: jit((dy: Tensor, w: Tensor) => np.matmul(dy, w)) as never,
  dW: jit((dy: Tensor, x: Tensor) => gradient(dy, x)) as never,
  fisher: jit((dy0: Tensor, x0: Tensor, dy1: Tensor, x1: Tensor) => {
    const [a, b] = [gradient(dy0, x0), gradient(dy1, x1)];
    return np.add(np.multiply(a.ref, a), np.multiply(b.ref, b));
  }) as never,
};

/** sum(dy * block(x)). An array is used up by the call it is passed to, unless passed as `.ref`. */
function loss(w: Weights, x: Tensor, dy: Tensor, cos: Tensor, sin: Tensor, hidden: Tensor): Tensor {
  const { H, D, eps } = BLOCK;
  const rows = x.shape[0]!;
  const linear = (from: Tensor, weight: Tensor): Tensor => np.matmul(from, weight.transpose());
  const norm = (from: Tensor, gain: Tensor): Tensor => {
    const mean = np.mean(np.square(from.ref), -1, { keepdims: true });
    return from.mul(np.reciprocal(np.sqrt(mean.add(eps)))).mul(gain);
  };
  const heads = (from: Tensor): Tensor => from.reshape([rows, H, D]).transpose([1, 0, 2]);
  const turn = (from: Tensor): Tensor => {
    const [a, b] = np.split(from, 2, -1) as [Tensor, Tensor];
    return np.concatenate([a.ref.mul(cos.ref).sub(b.ref.mul(sin.ref)), b.mul(cos.ref).add(a.mul(sin.ref))], -1);
  };
  const first = norm(x.ref, w.input_layernorm);
  const q = turn(heads(linear(first.ref, w.q_proj)));
  const k = turn(heads(linear(first.ref, w.k_proj)));
  const v = heads(linear(first, w.v_proj));
  cos.dispose();
  sin.dispose();
  const scores = np.matmul(q, k.transpose([0, 2, 1])).mul(1 / Math.sqrt(D)).add(hidden);
  const mixed = np.matmul(nn.softmax(scores, -1), v).transpose([1, 0, 2]).reshape([rows, H * D]);
  const middle = x.add(linear(mixed, w.o_proj));
  const second = norm(middle.ref, w.post_attention_layernorm);
  const act = nn.silu(linear(second.ref, w.gate_proj)).mul(linear(second, w.up_proj));
  return np.sum(middle.add(linear(act, w.down_proj)).mul(dy));
}
const blockGradient = jit(grad(loss as never, { argnums: [0, 1] }) as never) as unknown as (...args: unknown[]) => [Weights, Tensor];

/** A result that is disposed of before it is ready is never computed, so all results of a run live until its end. */
function prepared(call: () => Tensor[], inputs: Tensor[]): Prepared {
  let last: Tensor[] = [];
  return {
    run: async (times) => {
      last.forEach((t) => t.dispose());
      const results = Array.from({ length: times }, call);
      await blockUntilReady(results);
      last = results.pop()!;
      results.flat().forEach((t) => t.dispose());
    },
    output: async () => {
      const parts: Float32Array[] = [];
      for (const t of last) parts.push(Float32Array.from((await t.ref.data()) as Float32Array));
      return joined(parts);
    },
    dispose: () => [...last, ...inputs].forEach((t) => t.dispose()),
  };
}

/** jax-js, everything jitted, f32. Throws when it finds no WebGPU. */
export async function jaxJs(version: string): Promise<Runner> {
  if (!(await init("webgpu")).includes("webgpu")) throw new Error("jax-js found no WebGPU");
  defaultDevice("webgpu");
  const tensor = (data: Float32Array, shape: number[]): Tensor => np.array(data.slice()).reshape(shape);
  const prepareBlock = (M: number, inputs: Inputs, parameters: BlockInputs) => {
    const weights = Object.fromEntries(PARAMETER_NAMES.map((name) => [name, tensor(parameters[name], isGain(name) ? [BLOCK.C] : [...BLOCK_PARAMETERS[name]])])) as Weights;
    const { cos, sin } = rotaryTables(M);
    const others = [tensor(inputs.x, [M, BLOCK.C]), tensor(inputs.dy, [M, BLOCK.C]), tensor(cos, [1, M, BLOCK.D / 2]), tensor(sin, [1, M, BLOCK.D / 2]), tensor(causalMask(M), [1, M, M])];
    return prepared(
      () => {
        const [dw, dx] = blockGradient(Object.fromEntries(PARAMETER_NAMES.map((name) => [name, weights[name].ref])), ...others.map((t) => t.ref));
        return [...PARAMETER_NAMES.map((name) => dw[name]), dx];
      },
      [...others, ...Object.values(weights)],
    );
  };
  return {
    name: `jax-js ${version}`,
    prepare: async ({ op, M, K, N, samples }, inputs) => {
      if (op === "block") return prepareBlock(M, inputs, inputs.block!);
      const { x, w, dy } = inputs;
      const half = M / samples;
      const args: Tensor[] =
        op === "forward" ? [tensor(x, [M, K]), tensor(w, [N, K])]
        : op === "dX" ? [tensor(dy, [M, N]), tensor(w, [N, K])]
        : Array.from({ length: samples }, (_, s) => [tensor(dy.slice(s * half * N, (s + 1) * half * N), [half, N]), tensor(x.slice(s * half * K, (s + 1) * half * K), [half, K])]).flat();
      return prepared(() => [products[op](...args.map((arg) => arg.ref))], args);
    },
  };
}
