import { afterEach, expect, test } from "vitest";
import type { FloatDtype } from "../../../src/core/tensors";
import { fromFloat32, toFloat32 } from "../../../src/formats/dtypes";
import type { Gpu } from "../../../src/gpu/gpu";
import { finishMaskedSums, finishWeigh, maskedSums, weighPanel } from "../../../src/kernels/stats/weigh";
import { maskBit } from "../../../src/kernels/stats/trim";
import * as reference from "../../reference/stats/weigh";
import { expectClose, randomFloats } from "../../support/compare";
import { testGpu } from "../../support/gpu";

const held: GPUBuffer[] = [];
afterEach(async () => {
  const gpu = await testGpu();
  gpu.release(...held.splice(0));
  expect(gpu.liveBytes, "sums are given back when they are read").toBe(0);
});
const hold = (buffer: GPUBuffer): GPUBuffer => (held.push(buffer), buffer);

/** weighPanel, whose keys and digits are its caller's. */
function weighed(gpu: Gpu, input: Parameters<typeof weighPanel>[1]): ReturnType<typeof weighPanel> {
  const got = weighPanel(gpu, input);
  hold(got.keys);
  if (got.digits) hold(got.digits);
  return got;
}

const stored = (values: Float32Array, dtype: FloatDtype) => {
  const bytes = fromFloat32(values, dtype);
  return { bytes, dtype, values: toFloat32(bytes, dtype) };
};

const cases: [number, FloatDtype, FloatDtype][] = [[1, "F32", "F32"], [2, "BF16", "BF16"], [31, "F16", "BF16"], [2049, "F32", "F16"], [4096, "BF16", "F32"], [5003, "F16", "F16"]];

test.each(cases)("weigh n=%i %s %s", async (n, baseDtype, tunedDtype) => {
  const gpu = await testGpu();
  const base = stored(randomFloats(1, n), baseDtype);
  const tuned = stored(randomFloats(2, n, 1.1), tunedDtype);
  const fisher = randomFloats(3, n).map((v) => v * v);
  const upload = (s: typeof base) => ({ buffer: hold(gpu.upload(s.bytes)), dtype: s.dtype });
  const panel = { base: upload(base), tuned: upload(tuned), elements: n };
  for (const key of ["fisher", "magnitude"] as const) {
    const got = weighed(gpu, { ...panel, fisher: hold(gpu.upload(fisher)), key });
    const want = reference.weigh(fisher, base.values, tuned.values, key);
    expectClose(await gpu.readFloats(got.keys, n), want.keys, { rtol: 2e-7, atol: 1e-37 }, "keys");
    const sums = await finishWeigh(gpu, [got.partials]);
    for (const name of ["fisher", "delta2", "joint", "base2"] as const) expectClose([sums[name]], [want.sums[name]], { rtol: 2e-6 }, name);
  }
  const noFisher = weighed(gpu, { ...panel, key: "magnitude" });
  // A difference of two floats is rounded once, on both sides.
  expect(await gpu.readFloats(noFisher.keys, n)).toEqual(Float32Array.from(base.values, (b, i) => Math.abs(Math.fround(tuned.values[i]! - b))));
  expect((await finishWeigh(gpu, [noFisher.partials])).fisher).toBe(0);
});

test.each(cases)("weigh with the first digit, n=%i %s %s: the same keys and sums, and every key counted", async (n, baseDtype, tunedDtype) => {
  const gpu = await testGpu();
  const upload = (seed: number, dtype: FloatDtype) => ({ buffer: hold(gpu.upload(stored(randomFloats(seed, n), dtype).bytes)), dtype });
  const input = { base: upload(9, baseDtype), tuned: upload(10, tunedDtype), fisher: hold(gpu.upload(randomFloats(11, n).map((v) => v * v))), elements: n };
  for (const key of ["fisher", "magnitude"] as const) {
    const plain = weighed(gpu, { ...input, key, count: false });
    const counted = weighed(gpu, { ...input, key, count: true });
    const keys = await gpu.readFloats(counted.keys, n);
    expect(keys).toEqual(await gpu.readFloats(plain.keys, n));
    expect(await finishWeigh(gpu, [counted.partials])).toEqual(await finishWeigh(gpu, [plain.partials]));
    const want = new Uint32Array(2048);
    for (const bits of new Uint32Array(keys.buffer, 0, n)) want[bits >>> 20]!++;
    expect(new Uint32Array((await gpu.read(counted.digits!, 4 * 2048)).buffer)).toEqual(want);
  }
});

test.each(cases)("maskedSums n=%i %s %s", async (n, baseDtype, tunedDtype) => {
  const gpu = await testGpu();
  const base = stored(randomFloats(4, n), baseDtype);
  const tuned = stored(randomFloats(5, n), tunedDtype);
  const mask = Uint32Array.from(randomFloats(6, Math.ceil(n / 32)), (v) => (v * 2147483647) >>> 0);
  const panel = { base: { buffer: hold(gpu.upload(base.bytes)), dtype: baseDtype }, tuned: { buffer: hold(gpu.upload(tuned.bytes)), dtype: tunedDtype }, elements: n };
  for (const keep of [(i: number) => maskBit(mask, i), () => true]) {
    const got = await finishMaskedSums(gpu, [maskedSums(gpu, keep(0) && keep.length === 0 ? panel : { ...panel, mask: hold(gpu.upload(mask)) })]);
    const want = reference.maskedSums(keep, base.values, tuned.values);
    expect(got.kept).toBe(want.kept);
    expectClose([got.kept2], [want.kept2], { rtol: 2e-6 });
    expectClose([got.dot], [want.dot], { rtol: 1e-5, atol: 1e-5 * Math.sqrt(n) });
  }
});

test("panels of one tensor add up", async () => {
  const gpu = await testGpu();
  const base = randomFloats(7, 300);
  const tuned = randomFloats(8, 300);
  const part = (from: number, to: number) =>
    weighed(gpu, { base: { buffer: hold(gpu.upload(base.slice(from, to))), dtype: "F32" }, tuned: { buffer: hold(gpu.upload(tuned.slice(from, to))), dtype: "F32" }, elements: to - from, key: "magnitude" });
  const sums = await finishWeigh(gpu, [part(0, 128).partials, part(128, 300).partials]);
  expectClose([sums.delta2], [reference.weigh(undefined, base, tuned, "magnitude").sums.delta2], { rtol: 1e-6 });
});
