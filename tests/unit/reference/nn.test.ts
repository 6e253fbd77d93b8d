import { expect, test } from "vitest";
import { expectClose, randomFloats } from "../../support/compare";
import { finiteDifference } from "../../support/finiteDifference";
import { attention, attentionBackward } from "../../reference/nn/attention";
import { rmsnorm, rmsnormBackward } from "../../reference/nn/rmsnorm";
import { rope } from "../../reference/nn/rope";
import { siluMul, siluMulBackward } from "../../reference/nn/siluMul";

const random = (seed: number, count: number): Float64Array => Float64Array.from(randomFloats(seed, count, 1.5));
const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
const close = { rtol: 1e-8, atol: 1e-9 };
/** The loss is <dy, f(inputs)>, so its gradient is what the backward function returns for dy. */
const check = (name: string, got: Float64Array, at: Float64Array, loss: () => number): void => expectClose(got, [...finiteDifference(at, loss).values()], close, name);

test("rmsnorm backward agrees with finite differences", () => {
  const [x, w, dy] = [random(1, 15), random(2, 5), random(3, 15)];
  const { dx, dweight } = rmsnormBackward(x, w, 1e-5, dy);
  const loss = (): number => dot(dy, rmsnorm(x, w, 1e-5).y);
  check("dx", dx, x, loss);
  check("dweight", dweight, w, loss);
});

test("rope with sign -1 is the gradient of rope", () => {
  const [x, dy] = [random(4, 3 * 2 * 6), random(5, 36)];
  const angle = (p: number, d: number): number => p * 0.7 ** d + 0.1;
  check("dx", rope(dy, 2, 6, [0, 1, 5], angle, -1), x, () => dot(dy, rope(x, 2, 6, [0, 1, 5], angle)));
});

test("silu_mul backward agrees with finite differences", () => {
  const [g, u, dy] = [random(6, 9), random(7, 9), random(8, 9)];
  const { dg, du } = siluMulBackward(g, u, dy);
  const loss = (): number => dot(dy, siluMul(g, u));
  check("dg", dg, g, loss);
  check("du", du, u, loss);
});

test.each([0, 2])("attention backward agrees with finite differences, window %i", (window) => {
  const sizes = { H: 4, KV: 2, D: 3, starts: [0, 4, 5, 8], window };
  const [q, k, v, dy] = [random(9, 8 * 12), random(10, 8 * 6), random(11, 8 * 6), random(12, 8 * 12)];
  const { dq, dk, dv } = attentionBackward(q, k, v, sizes, dy);
  const loss = (): number => dot(dy, attention(q, k, v, sizes));
  check("dq", dq, q, loss);
  check("dk", dk, k, loss);
  check("dv", dv, v, loss);
});

test("attention with one visible key copies its value", () => {
  const sizes = { H: 1, KV: 1, D: 2, starts: [0, 3], window: 1 };
  expect([...attention(random(1, 6), random(2, 6), [1, 2, 3, 4, 5, 6], sizes)]).toEqual([1, 2, 3, 4, 5, 6]);
});
