import { describe, expect, test } from "vitest";
import { crossEntropy, crossEntropyBackward } from "../../reference/nn/crossEntropy";
import * as fisher from "../../reference/nn/fisher";
import { linear, linearBackward } from "../../reference/nn/linear";
import { expectClose, randomFloats } from "../../support/compare";
import { finiteDifference } from "../../support/finiteDifference";

const random = (seed: number, count: number): Float64Array => Float64Array.from(randomFloats(seed, count, 1.5));
const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
const close = { rtol: 1e-8, atol: 1e-9 };
const differences = (at: Float64Array, loss: () => number): number[] => [...finiteDifference(at, loss).values()];

test("linear backward agrees with finite differences", () => {
  const [M, N, K] = [3, 5, 4];
  const [x, w, b, dy] = [random(1, M * K), random(2, N * K), random(3, N), random(4, M * N)];
  const { dx, dweight, dbias } = linearBackward(dy, x, w, M, N, K);
  const loss = (): number => dot(dy, linear(x, w, b, M, N, K));
  expectClose(dx, differences(x, loss), close, "dx");
  expectClose(dweight, differences(w, loss), close, "dweight");
  expectClose(dbias, differences(b, loss), close, "dbias");
});

test("cross entropy backward agrees with finite differences, weights included", () => {
  const [R, V] = [4, 7];
  const logits = random(5, R * V);
  const targets = [6, 0, 3, 3];
  const weights = Float64Array.of(1, 0, 0.25, 8);
  expectClose(crossEntropyBackward(logits, targets, weights, R, V), differences(logits, () => dot(weights, crossEntropy(logits, targets, weights, R, V))), close, "dlogits");
});

test("cross entropy of equal logits is log V", () => {
  expectClose(crossEntropy(new Float64Array(8).fill(1000), [2], [1], 1, 8), [Math.log(8)], { rtol: 1e-12 });
});

describe("Fisher is the sum over sequences of squared finite differences", () => {
  const starts = [0, 1, 5, 7];
  const T = 7;
  /** Squares the finite-difference gradient of each sequence's own loss. */
  const expected = (at: Float64Array, loss: (begin: number, end: number) => number): Float64Array =>
    fisher.sumOfSquares([0, 1, 2].map((s) => Float64Array.from(differences(at, () => loss(starts[s]!, starts[s + 1]!)))));

  test("linear and bias", () => {
    const [N, K] = [3, 4];
    const [x, w, b, dy] = [random(6, T * K), random(7, N * K), random(8, N), random(9, T * N)];
    const loss = (begin: number, end: number): number => dot(dy.subarray(begin * N, end * N), linear(x, w, b, T, N, K).subarray(begin * N, end * N));
    expectClose(fisher.fisherLinear(x, dy, starts, N, K), expected(w, loss), close, "weight");
    expectClose(fisher.fisherBias(dy, starts, N), expected(b, loss), close, "bias");
  });

  test("norm gains with two rows a token", () => {
    const C = 5;
    const [x, gain, dy, rstd] = [random(10, 2 * T * C), random(11, C), random(12, 2 * T * C), random(13, 2 * T)];
    const loss = (begin: number, end: number): number => {
      let sum = 0;
      for (let i = 2 * begin * C; i < 2 * end * C; i++) sum += dy[i]! * x[i]! * rstd[Math.floor(i / C)]! * gain[i % C]!;
      return sum;
    };
    expectClose(fisher.fisherNorm(x, rstd, dy, starts, C, 2), expected(gain, loss), close);
  });

  test("embedding, alone and tied to the head", () => {
    const [V, C] = [5, 3];
    const tokens = [4, 0, 2, 2, 0, 4, 1];
    const [shared, hidden, dx, dlogits] = [random(14, V * C), random(15, T * C), random(16, T * C), random(17, T * V)];
    const lookup = (begin: number, end: number): number => {
      let sum = 0;
      for (let t = begin; t < end; t++) for (let c = 0; c < C; c++) sum += dx[t * C + c]! * shared[tokens[t]! * C + c]!;
      return sum;
    };
    const head = (begin: number, end: number): number => dot(dlogits.subarray(begin * V, end * V), linear(hidden, shared, undefined, T, V, C).subarray(begin * V, end * V));
    expectClose(fisher.fisherEmbedding(dx, tokens, starts, V, C), expected(shared, lookup), close, "embedding");
    expectClose(fisher.fisherTied(hidden, dlogits, dx, tokens, starts, V, C), expected(shared, (b, e) => lookup(b, e) + head(b, e)), close, "tied");
    expect(fisher.fisherEmbedding(dx, tokens, starts, V, C).subarray(3 * C, 4 * C)).toEqual(new Float64Array(C));
  });
});
