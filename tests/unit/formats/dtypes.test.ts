import { describe, expect, test } from "vitest";
import { DTYPES } from "../../../src/core/tensors";
import { bf16ToF32Bits, DTYPE_BITS, f16ToF32Bits, f32ToBf16Bits, f32ToF16Bits, fromFloat32, toFloat32 } from "../../../src/formats/dtypes";

const view = new DataView(new ArrayBuffer(4));
const bitsOf = (x: number): number => (view.setFloat32(0, x), view.getUint32(0));
const floatOf = (bits: number): number => (view.setUint32(0, bits), view.getFloat32(0));
const all = Array.from({ length: 65536 }, (_, i) => i);
const isNaN16 = (h: number) => (h & 0x7c00) === 0x7c00 && (h & 0x3ff) !== 0;
const isNaNb = (h: number) => (h & 0x7f80) === 0x7f80 && (h & 0x7f) !== 0;
/** Value of an f16 from the definition: (-1)^s 2^(e-15) (1 + m/1024), subnormals 2^-14 m/1024. */
function valueOfF16(h: number): number {
  const s = h & 0x8000 ? -1 : 1;
  const e = (h >> 10) & 31;
  const m = h & 1023;
  if (e === 31) return m ? NaN : s * Infinity;
  return e === 0 ? s * 2 ** -14 * (m / 1024) : s * 2 ** (e - 15) * (1 + m / 1024);
}

describe("all 65,536 values", () => {
  test("f16 to f32 is the value of the definition", () => {
    expect(all.filter((h) => !Object.is(floatOf(f16ToF32Bits(h)), valueOfF16(h)))).toEqual([]);
  });
  test("f16 -> f32 -> f16 is the identity, a NaN becomes quiet and keeps its payload", () => {
    expect(all.filter((h) => f32ToF16Bits(f16ToF32Bits(h)) !== (isNaN16(h) ? h | 0x200 : h))).toEqual([]);
  });
  test("bf16 -> f32 -> bf16 is the identity, a NaN becomes quiet and keeps its payload", () => {
    expect(all.filter((h) => f32ToBf16Bits(bf16ToF32Bits(h)) !== (isNaNb(h) ? h | 0x40 : h))).toEqual([]);
  });
  test("bulk conversion agrees with the scalar one, from an odd address too", () => {
    const bytes = new Uint8Array(1 + 2 * 65536);
    all.forEach((h) => { bytes[1 + 2 * h] = h & 255; bytes[2 + 2 * h] = h >> 8; });
    for (const [dtype, one] of [["F16", f16ToF32Bits], ["BF16", bf16ToF32Bits]] as const) {
      const bits = new Uint32Array(toFloat32(bytes.subarray(1), dtype).buffer);
      expect(all.filter((h) => bits[h] !== one(h))).toEqual([]);
    }
  });
});

/** Midpoints between neighbours go to the even one, and a hair to either side goes to the nearer. */
describe("rounding to nearest, ties to even", () => {
  test.each([
    ["f16", f16ToF32Bits, f32ToF16Bits, 0x7bff],
    ["bf16", bf16ToF32Bits, f32ToBf16Bits, 0x7f7f],
  ] as const)("%s between every pair of neighbours", (_, up, down, largest) => {
    const wrong: number[] = [];
    for (let h = 0; h < largest; h++) {
      const middle = (floatOf(up(h)) + floatOf(up(h + 1))) / 2;
      const bits = bitsOf(middle);
      if (floatOf(bits) !== middle) continue; // below the smallest f32 subnormal there is no midpoint
      const even = h & 1 ? h + 1 : h;
      for (const sign of [0, 0x8000]) {
        const s = sign ? 0x80000000 : 0;
        if (down((bits | s) >>> 0) !== (even | sign) || down(((bits - 1) | s) >>> 0) !== (h | sign) || down(((bits + 1) | s) >>> 0) !== ((h + 1) | sign)) wrong.push(h);
      }
    }
    expect(wrong).toEqual([]);
  });
  test("f16 overflows at 65520, bf16 past its largest midpoint", () => {
    expect(f32ToF16Bits(bitsOf(65519.996))).toBe(0x7bff);
    expect(f32ToF16Bits(bitsOf(65520))).toBe(0x7c00);
    expect(f32ToF16Bits(bitsOf(-1e30))).toBe(0xfc00);
    expect(f32ToBf16Bits(0x7f7f7fff)).toBe(0x7f7f);
    expect(f32ToBf16Bits(0x7f7f8000)).toBe(0x7f80);
  });
  test("a NaN whose payload is only in the low bits does not become infinity", () => {
    expect(f32ToBf16Bits(0x7f800001)).toBe(0x7fc0);
    expect(f32ToBf16Bits(0xffffffff)).toBe(0xffff);
    expect(f32ToF16Bits(0x7f800001)).toBe(0x7e00);
    expect(f32ToF16Bits(0xff800001)).toBe(0xfe00);
  });
});

test("F32 bytes come back bit for bit, signalling NaN included", () => {
  const bytes = new Uint8Array([1, 0, 0x80, 0x7f, 0, 0, 0, 0x80, 1, 0, 0, 0]);
  const values = toFloat32(bytes, "F32");
  expect(Array.from(fromFloat32(values, "F32"))).toEqual(Array.from(bytes));
  bytes[0] = 9;
  expect(fromFloat32(values, "F32")[0]).toBe(1);
});
test("a length that is no whole number of elements is refused", () => {
  expect(() => toFloat32(new Uint8Array(6), "F32")).toThrow(/6 bytes/);
  expect(() => toFloat32(new Uint8Array(3), "BF16")).toThrow(/3 bytes/);
});
test("every dtype has a size, and the official order is by alignment", () => {
  const bits = DTYPES.map((d) => DTYPE_BITS[d]);
  expect(bits.every((b) => b > 0)).toBe(true);
  expect(bits.slice(4)).toEqual([...bits.slice(4)].sort((a, b) => a - b));
});
