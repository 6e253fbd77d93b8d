import { describe, expect, test } from "vitest";
import { bytesPerElement, type FloatDtype } from "../../../src/core/tensors";
import { fromFloat32, toFloat32 } from "../../../src/formats/dtypes";
import { applyOpCpu } from "../../../src/merge/cpu";
import { applyOpGpu } from "../../../src/merge/gpu";
import type { OpSlice, ProjectOp, StoredBytes } from "../../../src/merge/ops";
import { holdMatrices } from "../../../src/merge/projectGpu";
import { linear } from "../../reference/nn/linear";
import { expectClose, randomFloats } from "../../support/compare";
import { testGpu } from "../../support/gpu";

const stored = (values: Float32Array, dtype: FloatDtype): StoredBytes => ({ bytes: fromFloat32(values, dtype), dtype });
const valuesOf = ({ bytes, dtype }: StoredBytes): Float32Array => toFloat32(bytes, dtype);

function caseOf(rows: number, d: number, dtypes: FloatDtype[]): { op: ProjectOp; slice: OpSlice } {
  const [first, ...rest] = dtypes;
  const base = randomFloats(3, rows * d, 0.1);
  const experts = rest.map((dtype, k) => stored(randomFloats(5 + k, rows * d, 0.02).map((v, i) => v + base[i]!), dtype));
  const matrices = rest.map((_, k) => randomFloats(9 + k, d * d, 1 / Math.sqrt(d)).map((v, i) => v + (i % (d + 1) === 0 ? 0.5 : 0)));
  return { op: { kind: "project", cols: d, matrices }, slice: { base: stored(base, first!), experts, start: 0, elements: rows * d } };
}

/** theta0 + sum_k A_k (theta_k - theta0) in float64. */
function reference(op: ProjectOp, slice: OpSlice): Float64Array {
  const base = valuesOf(slice.base!);
  const out = Float64Array.from(base);
  const rows = base.length / op.cols;
  op.matrices.forEach((a, k) => {
    const tuned = valuesOf(slice.experts[k]!);
    linear(Float64Array.from(base, (b, i) => tuned[i]! - b), a, undefined, rows, op.cols, op.cols).forEach((v, i) => (out[i]! += v));
  });
  return out;
}

describe("a projection of rows: GPU bytes equal CPU bytes, and both the float64 reference", () => {
  test.each([
    [1, 1, ["F32", "F32"]],
    [64, 3, ["BF16", "BF16", "F32"]],
    [5, 64, ["BF16", "F16", "BF16"]],
    [3, 192, ["F16", "BF16"]],
    [64, 37, ["F32", "BF16", "F16", "F32"]],
  ] as [number, number, FloatDtype[]][])("%i rows of %i, %s", async (rows, d, dtypes) => {
    const gpu = await testGpu();
    const { op, slice } = caseOf(rows, d, dtypes);
    const want = reference(op, slice);
    for (const out of ["F32", "BF16"] as const) {
      const cpu = applyOpCpu(op, slice, out);
      if (gpu.software) expect(Buffer.compare(await applyOpGpu(gpu, op, slice, out), cpu)).toBe(0);
      // Half a step of the output, and roundings of d products of numbers below 0.05.
      const tolerance = { rtol: out === "BF16" ? 2 ** -8 : 2e-7, atol: 2 ** -24 * Math.sqrt(d) };
      expectClose(valuesOf({ bytes: cpu, dtype: out }), want, tolerance, "CPU");
      expectClose(valuesOf({ bytes: await applyOpGpu(gpu, op, slice, out), dtype: out }), want, tolerance, "GPU");
    }
  });

  test("slices of whole rows, and matrices that stay on the GPU, do not change a byte", async () => {
    const gpu = await testGpu();
    const { op, slice } = caseOf(9, 64, ["BF16", "BF16", "F32"]);
    const whole = await applyOpGpu(gpu, op, slice, "BF16");
    const held = holdMatrices(gpu, op);
    const pieces: Uint8Array[] = [];
    for (const [start, elements] of [[0, 128], [128, 64], [192, 384]] as const) {
      const cut = (s: StoredBytes): StoredBytes => ({ dtype: s.dtype, bytes: s.bytes.subarray(start * bytesPerElement(s.dtype), (start + elements) * bytesPerElement(s.dtype)) });
      pieces.push(await applyOpGpu(gpu, op, { base: cut(slice.base!), experts: slice.experts.map(cut), start, elements }, "BF16"));
    }
    held();
    expect(Buffer.compare(Buffer.concat(pieces), whole)).toBe(0);
    expect(() => applyOpCpu(op, { ...slice, start: 32 }, "BF16")).toThrow(/multiple of 64|whole rows/);
    expect(() => applyOpCpu({ ...op, cols: 128 }, slice, "BF16")).toThrow("whole rows of 128");
  });

  test("equal models keep the base's bits", async () => {
    const gpu = await testGpu();
    const { op, slice } = caseOf(4, 16, ["BF16", "BF16"]);
    const same = { ...slice, experts: [slice.base!] };
    expect(Buffer.compare(applyOpCpu(op, same, "BF16"), slice.base!.bytes)).toBe(0);
    expect(Buffer.compare(await applyOpGpu(gpu, op, same, "BF16"), slice.base!.bytes)).toBe(0);
  });
});
