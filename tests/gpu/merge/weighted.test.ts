import { describe, expect, test } from "vitest";
import type { FloatDtype } from "../../../src/core/tensors";
import { bytesPerElement } from "../../../src/core/tensors";
import { fromFloat32, toFloat32 } from "../../../src/formats/dtypes";
import { applyOpCpu } from "../../../src/merge/cpu";
import { applyOpGpu } from "../../../src/merge/gpu";
import type { OpSlice, StoredBytes, WeightedOp } from "../../../src/merge/ops";
import { weightedOne } from "../../reference/merge/ops";
import { expectClose, randomFloats } from "../../support/compare";
import { testGpu } from "../../support/gpu";

const SCALE = 2 ** 60;
const stored = (values: ArrayLike<number>, dtype: FloatDtype): StoredBytes => ({ bytes: fromFloat32(Float32Array.from(values), dtype), dtype });
const part = (source: number | undefined, coefficient: number, least: number, share: number): WeightedOp["parts"][number] => ({ ...(source === undefined ? {} : { source }), coefficient: coefficient * SCALE, least, share });

/** On the GPU and on the CPU: one answer. */
async function both(op: WeightedOp, slice: OpSlice, out: FloatDtype): Promise<Float32Array> {
  const gpu = await testGpu();
  const cpu = applyOpCpu(op, slice, out);
  expect(Buffer.compare(await applyOpGpu(gpu, op, slice, out), cpu), `${op.parts.length} models to ${out}`).toBe(0);
  return toFloat32(cpu, out);
}

/** Fishers over many magnitudes, some 0. */
const fisher = (seed: number, n: number): Float32Array => randomFloats(seed, n).map((v, i) => (i % 9 === seed % 9 ? 0 : v * v * 2 ** -((i * seed) % 60)));

describe("the Fisher-weighted mean of a slice", () => {
  test("the worked example: (1, 1), (3, 5) with F (3, 1), (1, 1) is (1.5, 3)", async () => {
    const slice = { base: stored([9, 9], "F32"), experts: [stored([1, 1], "F32"), stored([3, 5], "F32")], fishers: [stored([3, 1], "F32"), stored([1, 1], "F32")], start: 0, elements: 2 };
    expect([...(await both({ kind: "weighted", parts: [part(0, 1, 0, 0.5), part(1, 1, 0, 0.5)] }, slice, "F32"))]).toEqual([1.5, 3]);
  });

  test("dtypes, sizes, one to three models, one of them the base: GPU bytes are CPU bytes, near the float64 reference", async () => {
    for (const [n, dtypes, out] of [[2337, ["F32", "F32", "BF16"], "F32"], [4099, ["BF16", "BF16", "BF16"], "BF16"], [1, ["F16", "F32", "F16"], "F16"], [130, ["F16", "BF16", "F32"], "F16"]] as [number, FloatDtype[], FloatDtype][]) {
      const sides = dtypes.map((dtype, k) => stored(randomFloats(40 + k, n).map((v, i) => (i % 7 === k ? 0 : v * 2 ** ((i % 13) - 9))), dtype));
      const slice = { base: sides[0]!, experts: sides.slice(1), start: 0, elements: n };
      for (const parts of [[part(0, 0.7, 1e-6, 1)], [part(0, 1, 1e-6, 0.25), part(1, 0.2, 0, 0.75)], [part(0, 0.4, 0, 0.2), part(1, 1, 0, 0.5), part(undefined, 0.9, 0, 0.3)]]) {
        const op: WeightedOp = { kind: "weighted", parts };
        const fishers = parts.map((_, k) => stored(fisher(3 + k, n), "F32"));
        const got = await both(op, { ...slice, fishers }, out);
        const values = parts.map(({ source }) => toFloat32((source === undefined ? slice.base : slice.experts[source]!).bytes, (source === undefined ? slice.base : slice.experts[source]!).dtype));
        const want = Float64Array.from({ length: n }, (_, i) => weightedOne(op, values.map((v) => v[i]!), fishers.map((f) => toFloat32(f.bytes, "F32")[i]!)));
        expectClose(got, want, { rtol: out === "F32" ? 6e-7 : out === "BF16" ? 2 ** -8 : 2 ** -11, atol: out === "F16" ? 2 ** -25 : 2e-6 }, `${n} of ${dtypes.join(", ")}`);
      }
    }
  });

  test("equal models stay as they are; where one model alone has a Fisher it is taken; without any, the shares hold", async () => {
    const n = 300;
    const a = randomFloats(1, n);
    const b = randomFloats(2, n);
    const op: WeightedOp = { kind: "weighted", parts: [part(0, 0.37, 0, 0.25), part(1, 1, 0, 0.75)] };
    const F = [fisher(5, n), fisher(6, n)];
    const slice = (x: Float32Array, y: Float32Array, f: Float32Array[]): OpSlice => ({ experts: [stored(x, "F32"), stored(y, "F32")], fishers: f.map((v) => stored(v, "F32")), start: 0, elements: n });
    expect(await both(op, slice(a, a, F.map((f) => f.map((v) => v + 1e-9))), "F32")).toEqual(a);
    expect(await both(op, slice(a, b, [F[0]!.map((v) => v + 1e-30), new Float32Array(n)]), "F32")).toEqual(a);
    expect(await both(op, slice(a, b, [new Float32Array(n), F[1]!.map((v) => v + 1e-30)]), "F32")).toEqual(b);
    expectClose(await both(op, slice(a, b, [new Float32Array(n), new Float32Array(n)]), "F32"), Float64Array.from(a, (v, i) => 0.25 * v + 0.75 * b[i]!), { atol: 2e-7 }, "plain");
    // The floor lets the first model win where nobody has a Fisher, and hardly counts where the other has one.
    const floored: WeightedOp = { kind: "weighted", parts: [part(0, 1, 1e-6, 0.5), part(1, 1, 0, 0.5)] };
    expect(await both(floored, slice(a, b, [new Float32Array(n), new Float32Array(n)]), "F32")).toEqual(a);
    expectClose(await both(floored, slice(a, b, [new Float32Array(n), new Float32Array(n).fill(1)]), "F32"), Float64Array.from(b), { atol: 1e-5 }, "floor against 1");
  });

  test("slices change nothing, and neither does a factor on every Fisher", async () => {
    const n = 1000;
    const sides = [stored(randomFloats(7, n), "BF16"), stored(randomFloats(8, n), "BF16")];
    const F = [fisher(2, n), fisher(4, n)];
    const op: WeightedOp = { kind: "weighted", parts: [part(0, 1, 0, 0.5), part(1, 0.5, 0, 0.5)] };
    const whole = await both(op, { experts: sides, fishers: F.map((f) => stored(f, "F32")), start: 0, elements: n }, "BF16");
    const cut = (s: StoredBytes): StoredBytes => ({ dtype: s.dtype, bytes: s.bytes.subarray(576 * bytesPerElement(s.dtype)) });
    const rest = await both(op, { experts: sides.map(cut), fishers: F.map((f) => cut(stored(f, "F32"))), start: 576, elements: n - 576 }, "BF16");
    expect(rest).toEqual(whole.subarray(576));
    expect(await both(op, { experts: sides, fishers: F.map((f) => stored(f.map((v) => 8 * v), "F32")), start: 0, elements: n }, "BF16")).toEqual(whole);
  });
});
