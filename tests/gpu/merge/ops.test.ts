import { describe, expect, test } from "vitest";
import { bytesPerElement, FLOAT_DTYPES, type FloatDtype } from "../../../src/core/tensors";
import { fromFloat32, toFloat32 } from "../../../src/formats/dtypes";
import { applyOpCpu } from "../../../src/merge/cpu";
import { applyOpGpu } from "../../../src/merge/gpu";
import type { Mask, OpSlice, StoredBytes, TensorOp, TiesOp } from "../../../src/merge/ops";
import { maskBit } from "../../../src/merge/trim";
import { mergeOne } from "../../reference/merge/ops";
import { expectClose, randomFloats } from "../../support/compare";
import { testGpu } from "../../support/gpu";

const stored = (values: Float32Array, dtype: FloatDtype): StoredBytes => ({ bytes: fromFloat32(values, dtype), dtype });
const randomMask = (seed: number, n: number): Mask => Uint32Array.from(randomFloats(seed, Math.ceil(n / 32)), (v) => (v * 2147483647) >>> 0);

const MIXED: FloatDtype[] = ["BF16", "F32", "F16", "BF16", "F32", "BF16"];

/** Bases over many exponents, experts near them; some entries equal, zero, or of opposite change. */
function models(n: number, dtypes: FloatDtype[]): OpSlice {
  const base = randomFloats(11, n).map((v, i) => (i % 7 === 0 ? 0 : v * 2 ** ((i % 23) - 14)));
  const [first, ...rest] = dtypes;
  const experts = rest.map((dtype, k) => stored(randomFloats(20 + k, n).map((v, i) => (i % 5 === k ? base[i]! : base[i]! + v * 2 ** ((i % 11) - 9))), dtype));
  return { base: stored(base, first!), experts, start: 0, elements: n };
}

function part(slice: OpSlice, start: number, elements: number): OpSlice {
  const cut = (s: StoredBytes): StoredBytes => ({ dtype: s.dtype, bytes: s.bytes.subarray(start * bytesPerElement(s.dtype), (start + elements) * bytesPerElement(s.dtype)) });
  return { ...(slice.base ? { base: cut(slice.base) } : {}), experts: slice.experts.map(cut), start, elements };
}

async function expectTwins(op: TensorOp, slice: OpSlice, outDtype: FloatDtype): Promise<Uint8Array> {
  const gpu = await testGpu();
  const cpu = applyOpCpu(op, slice, outDtype);
  const got = await applyOpGpu(gpu, op, slice, outDtype);
  expect(Buffer.compare(got, cpu), `${JSON.stringify(op).slice(0, 80)} to ${outDtype}`).toBe(0);
  return cpu;
}

/** Coefficients of one sign by rows of 41, so that nothing cancels. */
const shares = (seed: number, n: number): Float32Array => randomFloats(seed, Math.ceil(n / 41)).map((v) => 0.1 + 0.3 * v * v);

const opsOf = (n: number): [string, TensorOp][] => [
  ["add, one", { kind: "add", coefficients: [0.6543], masks: [randomMask(1, n)] }],
  ["add, one, scaled", { kind: "add", coefficients: [0.511741], masks: [randomMask(2, n)], scale: 0.857493 }],
  ["add, one, unmasked, all of it", { kind: "add", coefficients: [1] }],
  ["add, three", { kind: "add", coefficients: [0.3, -0.2, 0.7], masks: [undefined, randomMask(3, n), randomMask(4, n)] }],
  ["add, two, scaled", { kind: "add", coefficients: [0.3, 0.4], masks: [randomMask(5, n), undefined], scale: 1.07 }],
  ["combine without base", { kind: "combine", baseCoefficient: 0, coefficients: [0.25, 0.5, 0.25] }],
  ["combine with base", { kind: "combine", baseCoefficient: 0.1, coefficients: [0.9] }],
  ["ties, sum, weights", { kind: "ties", weights: [0.7, 0.4, 1.3], masks: [randomMask(6, n), randomMask(7, n), randomMask(8, n)], lambda: 0.9, elect: "sum", zero: "plus", divisor: "weights" }],
  ["ties, count, count", { kind: "ties", weights: [1, 1, 1], lambda: 1, elect: "count", zero: "plus", divisor: "count" }],
  ["ties, parts and shares", { kind: "ties", weights: [1, 1, 1], parts: [0.2, 0.5, 0.3], shares: [0.2, 0.5, 0.3], floor: 1e-6, masks: [randomMask(9, n), undefined, randomMask(10, n)], lambda: 1, elect: "sum", zero: "plus", divisor: "weights" }],
  ["rows of values", { kind: "rows", by: "row", cols: 41, change: false, base: shares(31, n), coefficients: [32, 33, 34].map((seed) => shares(seed, n)) }],
  ["columns of changes", { kind: "rows", by: "column", cols: 41, change: true, base: new Float32Array(0), coefficients: [35, 36, 37].map((seed) => randomFloats(seed, 41)) }],
  ["nearswap", { kind: "nearswap", t: 0.01 }],
  ["ram", { kind: "ram", lambdas: [1, 1.02, 1.01] }],
  ["ties, largest", { kind: "ties", weights: [0.7, 0.4, 1.3], masks: [randomMask(14, n), undefined, randomMask(15, n)], lambda: 1, elect: "sum", zero: "plus", divisor: "largest" }],
  ["ties, majority, none", { kind: "ties", weights: [1, 1], lambda: 1.5, elect: "sum", zero: "majority", divisor: "none", majority: -3, scale: 0.9 }],
];

describe("GPU bytes equal CPU bytes, and both the float64 reference", () => {
  const n = 2337;
  test.each(opsOf(n))("%s", async (_, op) => {
    for (const [dtypes, outs] of [
      [["F32", "F32", "F32", "F32"], ["F32", "BF16", "F16"]],
      [["BF16", "BF16", "F16", "F32"], ["BF16", "F32"]],
      [["F16", "F32", "BF16", "F16"], ["F16"]],
    ] as [FloatDtype[], FloatDtype[]][]) {
      const slice = models(n, dtypes);
      const values = slice.experts.map((e) => toFloat32(e.bytes, e.dtype));
      const base = toFloat32(slice.base!.bytes, dtypes[0]!);
      const masks = op.kind === "add" || op.kind === "ties" ? op.masks : undefined;
      const want = Float64Array.from(base, (b, i) => mergeOne(op, b, values.map((v) => v[i]!), values.map((_, k) => !masks?.[k] || maskBit(masks[k], i)), i));
      for (const out of outs) {
        const bytes = await expectTwins(op, slice, out);
        // Half a step of the output dtype, a few f32 roundings, and a step of the f16 subnormals. Votes that cancel in f64 but
        // not in f32 do not occur here.
        const step = out === "F32" ? 4e-7 : out === "BF16" ? 2 ** -8 : 2 ** -11;
        expectClose(toFloat32(bytes, out), want, { rtol: step, atol: out === "F16" ? 2 ** -25 : 4e-7 }, `${out} of ${dtypes[0]}`);
      }
    }
  });
});

test("ties of one to four experts in one pass, of five in three: the same bytes as the CPU", async () => {
  const n = 2337;
  const slice = models(n, MIXED);
  for (const count of [1, 2, 3, 4, 5])
    for (const [elect, divisor, zero] of [["sum", "weights", "plus"], ["count", "count", "majority"], ["sum", "none", "plus"], ["sum", "largest", "plus"]] as const)
      for (const scale of [1, 0.93]) {
        const weights = [0.7, -0.4, 1.3, 0.2, 0.9].slice(0, count);
        const masks = weights.map((_, k) => (k === 1 ? undefined : randomMask(40 + k, n)));
        await expectTwins({ kind: "ties", weights, masks, lambda: 0.8, elect, zero, divisor, scale, majority: -1 }, slice, "BF16");
      }
});

describe("slicing does not change bytes", () => {
  const n = 1219;
  test.each(opsOf(n))("%s", async (_, op) => {
    const gpu = await testGpu();
    const slice = models(n, ["BF16", "BF16", "F32", "F16"]);
    const whole = applyOpCpu(op, slice, "BF16");
    for (const step of [64, 448]) {
      const cpu: Uint8Array[] = [];
      const onGpu: Uint8Array[] = [];
      for (let start = 0; start < n; start += step) {
        const piece = part(slice, start, Math.min(step, n - start));
        cpu.push(applyOpCpu(op, piece, "BF16"));
        if (step === 448) onGpu.push(await applyOpGpu(gpu, op, piece, "BF16"));
      }
      expect(Buffer.compare(Buffer.concat(cpu), whole)).toBe(0);
      if (step === 448) expect(Buffer.compare(Buffer.concat(onGpu), whole)).toBe(0);
    }
  });
});

describe("awkward tensors", () => {
  const one = (base: number[], ...experts: number[][]): OpSlice => ({ base: stored(Float32Array.from(base), "F32"), experts: experts.map((e) => stored(Float32Array.from(e), "F32")), start: 0, elements: base.length });

  test("one element", async () => {
    for (const out of FLOAT_DTYPES) for (const [, op] of opsOf(1)) await expectTwins(op, models(1, ["F16", "F16", "F16", "F16"]), out);
  });

  test("all zero, all equal", async () => {
    for (const [, op] of opsOf(70)) {
      await expectTwins(op, one(Array(70).fill(0), Array(70).fill(0), Array(70).fill(0), Array(70).fill(0)), "F32");
      await expectTwins(op, one(Array(70).fill(0.3), Array(70).fill(0.3), Array(70).fill(0.3), Array(70).fill(0.3)), "BF16");
    }
  });

  test("negative zeros with negative coefficients, to another dtype and scaled", async () => {
    const slice = one([-0, -0, 0, -0], [-0, 1, 0, 0], [-0, 0, -1, 0]);
    const masks: Mask[] = [Uint32Array.from([0b0101]), Uint32Array.from([0b1001])];
    for (const op of [{ kind: "add", coefficients: [-0.5, -0.25], masks }, { kind: "add", coefficients: [-0.5], masks }, { kind: "add", coefficients: [-0.5], masks, scale: 0.5 }] satisfies TensorOp[]) {
      await expectTwins(op, slice, "BF16");
      await expectTwins(op, slice, "F32");
    }
  });

  test("signs that cancel", async () => {
    const slice = one([1, 1], [3, 0.5], [-1, 1.5]);
    const ties: Omit<TiesOp, "zero"> = { kind: "ties", weights: [1, 1], lambda: 1, elect: "sum", divisor: "count" };
    expect([...toFloat32(await expectTwins({ ...ties, zero: "plus" }, slice, "F32"), "F32")]).toEqual([3, 1.5]);
    expect([...toFloat32(await expectTwins({ ...ties, zero: "majority", majority: 0 }, slice, "F32"), "F32")]).toEqual([-1, 0.5]);
    expect([...toFloat32(await expectTwins({ ...ties, zero: "majority", majority: 2 }, slice, "F32"), "F32")]).toEqual([3, 1.5]);
  });

  test("nothing kept, or alpha 0: byte-identical to the base, negative zeros and NaN included", async () => {
    const bits = Uint16Array.from([0x8000, 0x7fc1, 0x0001, 0x3f80, 0xff80, 0x0000]);
    const slice: OpSlice = { base: { bytes: new Uint8Array(bits.buffer), dtype: "BF16" }, experts: [stored(randomFloats(1, 6), "BF16"), stored(randomFloats(2, 6), "F32")], start: 0, elements: 6 };
    const none = new Uint32Array(1);
    for (const op of [
      { kind: "add", coefficients: [0.7], masks: [none] },
      { kind: "add", coefficients: [0] },
      { kind: "add", coefficients: [0.5, 0.5], masks: [none, none] },
      { kind: "ties", weights: [1, 1], masks: [none, none], lambda: 1, elect: "sum", zero: "plus", divisor: "weights" },
    ] satisfies TensorOp[])
      expect([...(await expectTwins(op, slice, "BF16"))]).toEqual([...slice.base!.bytes]);
  });

  test("alpha 1 without trim is the fine-tuned tensor", async () => {
    const slice = models(500, ["BF16", "F16"]);
    for (const out of FLOAT_DTYPES) expect([...(await expectTwins({ kind: "add", coefficients: [1] }, slice, out))].slice(0, 1000)).toEqual([...fromFloat32(toFloat32(slice.experts[0]!.bytes, "F16"), out)].slice(0, 1000));
  });

  test("f16 overflow and subnormals", async () => {
    const values = Float32Array.from([65519, 65520, -70000, 2 ** -24, 2 ** -25, 2 ** -25 * 1.0001, 2 ** -15 * 1.001, 6.1e-5]);
    const bytes = await expectTwins({ kind: "combine", baseCoefficient: 0, coefficients: [1] }, { experts: [stored(values, "F32")], start: 0, elements: 8 }, "F16");
    expect([...new Uint16Array(bytes.buffer, 0, 8)].map((v) => v.toString(16))).toEqual(["7bff", "7c00", "fc00", "1", "0", "1", "201", "3ff"]);
    const back = await expectTwins({ kind: "combine", baseCoefficient: 0, coefficients: [1] }, { experts: [{ bytes, dtype: "F16" }], start: 0, elements: 8 }, "F32");
    expect(toFloat32(back, "F32")[3]).toBe(2 ** -24);
  });

  test("copy converts once", async () => {
    const slice = models(33, ["F32", "BF16"]);
    expect([...(await expectTwins({ kind: "copy" }, slice, "F32"))]).toEqual([...slice.base!.bytes]);
    expect([...(await expectTwins({ kind: "copy", source: 0 }, slice, "F16"))]).toEqual([...fromFloat32(toFloat32(slice.experts[0]!.bytes, "BF16"), "F16")]);
  });
});

test("division is exact at every exponent", async () => {
  const n = 4096;
  const a = randomFloats(31, n).map((v, i) => v * 2 ** ((i % 61) - 30));
  for (const weights of [[0.1, 0.7, 1.9, 3.3, 0.3331], [0.1, 0.7, 1.9]]) {
    const slice: OpSlice = { base: stored(new Float32Array(n), "F32"), experts: weights.map((_, k) => stored(a.map((v, i) => (i % (k + 2) === 0 ? v : v * (1 + k))), "F32")), start: 0, elements: n };
    await expectTwins({ kind: "ties", weights, lambda: 1, elect: "sum", zero: "plus", divisor: "weights" }, slice, "F32");
  }
});

test("slices that do not fit are refused", () => {
  const slice = models(64, ["F32", "F32"]);
  expect(() => applyOpCpu({ kind: "add", coefficients: [1] }, { ...slice, start: 32 }, "F32")).toThrow("multiple of 64");
  expect(() => applyOpCpu({ kind: "add", coefficients: [1, 1] }, slice, "F32")).toThrow("1 fine-tuned models were given, 2 expected");
  expect(() => applyOpCpu({ kind: "add", coefficients: [1] }, { ...slice, elements: 63 }, "F32")).toThrow("expected 252");
});
