import type { Gpu } from "../../src/gpu/gpu";
import type { GradientBatch, GradientVisitor } from "../../src/model/gradients";

type PerSequence = Map<string, Float64Array>[];

/**
 * A visitor that forms the gradient of each sequence and parameter on the CPU, in float64, from the two factors it is
 * shown: independent of the Fisher kernels. Gradients are divided by `lossScale`.
 */
export function collectGradients(gpu: Gpu, sequences: number, lossScale: number): { visitor: GradientVisitor; gradients: PerSequence; order: string[] } {
  const gradients: PerSequence = Array.from({ length: sequences }, () => new Map());
  const order: string[] = [];
  let next = 0;
  const seen = new Map<GradientBatch, number>();
  const first = (batch: GradientBatch): number => {
    if (!seen.has(batch)) {
      seen.set(batch, next);
      next += batch.sequences;
    }
    return seen.get(batch)!;
  };
  const into = (batch: GradientBatch, s: number, name: string, size: number): Float64Array => {
    const map = gradients[first(batch) + s]!;
    let found = map.get(name);
    if (!found) map.set(name, (found = new Float64Array(size)));
    return found;
  };
  /** dW[n,k] += dy[t,n] x[t,k] over the rows of each sequence; rows of W from row0. */
  const outer = (batch: GradientBatch, name: string, size: number, x: Float32Array, dy: Float32Array, N: number, K: number, row0: number): void => {
    for (let s = 0; s < batch.sequences; s++) {
      const dW = into(batch, s, name, size);
      for (let t = batch.startsCpu[s]!; t < batch.startsCpu[s + 1]!; t++)
        for (let n = 0; n < N; n++) for (let k = 0; k < K; k++) dW[(row0 + n) * K + k]! += (dy[t * N + n]! * x[t * K + k]!) / lossScale;
    }
  };
  const scatter = (batch: GradientBatch, name: string, size: number, dx: Float32Array, tokens: Uint32Array, C: number): void => {
    for (let s = 0; s < batch.sequences; s++) {
      const dE = into(batch, s, name, size);
      for (let t = batch.startsCpu[s]!; t < batch.startsCpu[s + 1]!; t++) for (let c = 0; c < C; c++) dE[tokens[t]! * C + c]! += dx[t * C + c]! / lossScale;
    }
  };
  const visitor: GradientVisitor = {
    async linear({ name, biasName, N, K, x, dy }, batch) {
      order.push(name);
      const values = await gpu.readFloats(dy, batch.rows * N);
      outer(batch, name, N * K, await gpu.readFloats(x, batch.rows * K), values, N, K, 0);
      if (biasName) outer(batch, biasName, N, new Float32Array(batch.rows).fill(1), values, N, 1, 0);
    },
    async norm({ name, C, x, rstd, dy, rowsPerToken }, batch) {
      order.push(name);
      const count = batch.rows * rowsPerToken;
      const [xs, rs, dys] = [await gpu.readFloats(x, count * C), await gpu.readFloats(rstd, count), await gpu.readFloats(dy, count * C)];
      for (let s = 0; s < batch.sequences; s++) {
        const gain = into(batch, s, name, C);
        for (let row = batch.startsCpu[s]! * rowsPerToken; row < batch.startsCpu[s + 1]! * rowsPerToken; row++)
          for (let c = 0; c < C; c++) gain[c]! += (dys[row * C + c]! * xs[row * C + c]! * rs[row]!) / lossScale;
      }
    },
    async embedding({ name, V, C, tokens, dx, tied }, batch) {
      order.push(name);
      if (!tied) scatter(batch, name, V * C, await gpu.readFloats(dx, batch.rows * C), tokens, C);
    },
    async head({ name, V, C, row0, rows, hidden, dlogits, tied, embedding }, batch) {
      order.push(`${name} ${row0}`);
      outer(batch, name, V * C, await gpu.readFloats(hidden, batch.rows * C), await gpu.readFloats(dlogits, batch.rows * rows), rows, C, row0);
      if (tied !== (embedding !== undefined)) throw new Error("a tied head comes with the embedding's side, an untied one without");
      if (embedding && row0 === 0) scatter(batch, name, V * C, await gpu.readFloats(embedding.dx, batch.rows * C), embedding.tokens, C);
    },
    async blockDone(layer) {
      order.push(`block ${layer}`);
    },
  };
  return { visitor, gradients, order };
}
