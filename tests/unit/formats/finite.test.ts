import { describe, expect, test } from "vitest";
import { FLOAT_DTYPES, type FloatDtype } from "../../../src/core/tensors";
import { fromFloat32 } from "../../../src/formats/dtypes";
import { elementAt, guarded, hasNonFinite, nonFiniteValues } from "../../../src/formats/finite";
import { randomFloats } from "../../support/compare";
import { checkpointOf } from "../../support/perturbed";
import { jsonFile, qwen2Config } from "../../support/models";

const largest: Record<FloatDtype, number> = { F32: 3.4028234663852886e38, BF16: 3.3895313892515355e38, F16: 65504 };

describe.each(FLOAT_DTYPES)("%s", (dtype) => {
  test("every finite pattern of the upper bits is finite, every other is not", () => {
    const width = dtype === "F32" ? 4 : 2;
    const bits = dtype === "F16" ? 0x7c00 : 0x7f80;
    for (let half = 0; half < 65536; half++) {
      const bytes = new Uint8Array(3 * width);
      new DataView(bytes.buffer).setUint16(2 * width - 2, half, true);
      const bad = (half & bits) === bits;
      if (hasNonFinite(bytes, dtype) !== bad || nonFiniteValues(bytes, dtype).count !== Number(bad)) expect.fail(`${half.toString(16)}: ${bad ? "not finite" : "finite"}`);
    }
  });

  test("finds one at any place, in any number of values, aligned or not", () => {
    for (const n of [1, 2, 3, 5, 64]) {
      const values = randomFloats(n, n).map((v, i) => (i % 3 === 0 ? v : i % 3 === 1 ? largest[dtype] : -largest[dtype]));
      const stored = (from: Float32Array, shift: number): Uint8Array => {
        const plain = fromFloat32(from, dtype);
        const bytes = new Uint8Array(plain.length + shift).subarray(shift);
        bytes.set(plain);
        return bytes;
      };
      for (const shift of [0, 2, 4]) {
        expect(hasNonFinite(stored(values, shift), dtype)).toBe(false);
        for (let at = 0; at < n; at++)
          for (const wrong of [NaN, Infinity, -Infinity]) {
            const bytes = stored(values.map((v, i) => (i === at ? wrong : v)), shift);
            expect(hasNonFinite(bytes, dtype), `${wrong} at ${at} of ${n}`).toBe(true);
            expect(nonFiniteValues(bytes, dtype)).toEqual({ count: 1, first: at, value: Number.isNaN(wrong) ? "NaN" : "infinity" });
          }
      }
    }
  });
});

test("places are given as the shape has them", () => {
  expect(elementAt(17, [40])).toBe("element 17");
  expect(elementAt(17, [5, 4])).toBe("element 17 (4, 1)");
  expect(elementAt(12345, [10, 40, 50])).toBe("element 12,345 (6, 6, 45)");
});

test("a guarded checkpoint reads what is finite and names what is not: model, tensor, place and number", async () => {
  const values = Float32Array.from({ length: 30 }, (_, i) => (i === 13 ? NaN : i > 27 ? Infinity : i));
  const model = await checkpointOf("math", [
    { name: "good", dtype: "BF16", shape: [3], values: Float32Array.of(1, 2, 3) },
    { name: "bad", dtype: "F32", shape: [6, 5], values },
  ], [jsonFile("config.json", qwen2Config)]);
  const source = guarded(model, "Reading the changes", "the fine-tuned model");
  expect((await source.read("good", 0, 6)).byteLength).toBe(6);
  expect((await source.read("bad", 0, 4 * 13)).byteLength).toBe(52);
  for (const read of [() => source.read("bad", 4 * 10, 40), () => source.lease!("bad", 0, 120)])
    await expect(read()).rejects.toMatchObject({
      code: "bad-file",
      message: expect.stringContaining('Reading the changes: "bad" of the fine-tuned model "math": 3 of 30 values are NaN or infinite, the first NaN at element 13 (2, 3).'),
      details: { model: "math", tensor: "bad", element: 13, count: 3 },
    });
});
