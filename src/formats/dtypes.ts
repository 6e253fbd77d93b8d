import { StudioError } from "../core/errors";
import { type Dtype, type FloatDtype } from "../core/tensors";

/** Bits of one element. F4 and F6 pack several elements into a byte. */
export const DTYPE_BITS: Readonly<Record<Dtype, number>> = {
  BOOL: 8, F4: 4, F6_E2M3: 6, F6_E3M2: 6, U8: 8, I8: 8, F8_E5M2: 8, F8_E4M3: 8, F8_E8M0: 8, F8_E4M3FNUZ: 8, F8_E5M2FNUZ: 8,
  I16: 16, U16: 16, F16: 16, BF16: 16, I32: 32, U32: 32, F32: 32, C64: 64, F64: 64, I64: 64, U64: 64,
};

/** Bits of an f32 with the value of a bf16: the upper half. Exact, NaN payloads included. */
export const bf16ToF32Bits = (half: number): number => (half << 16) >>> 0;

/**
 * Bits of the bf16 nearest to an f32, ties to even.
 *   rounded = (bits + 0x7fff + bit 16) >> 16
 * A NaN keeps its sign and upper payload and gets the quiet bit: adding would carry some of them into infinity.
 */
export function f32ToBf16Bits(bits: number): number {
  if ((bits & 0x7fffffff) >>> 0 > 0x7f800000) return ((bits >>> 16) | 0x40) & 0xffff;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** Bits of an f32 with the value of an f16 (IEEE 754 binary16). Exact, subnormals and NaN payloads included. */
export function f16ToF32Bits(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >>> 10) & 0x1f;
  const mantissa = half & 0x3ff;
  if (exponent === 0x1f) return (sign | 0x7f800000 | (mantissa << 13)) >>> 0;
  if (exponent !== 0) return (sign | ((exponent + 112) << 23) | (mantissa << 13)) >>> 0;
  if (mantissa === 0) return sign >>> 0;
  // Subnormal: move the leading one to bit 10; it becomes the hidden bit of a normal f32.
  const shift = Math.clz32(mantissa) - 21;
  return (sign | ((113 - shift) << 23) | (((mantissa << shift) & 0x3ff) << 13)) >>> 0;
}

/**
 * Bits of the f16 nearest to an f32, ties to even; overflow gives infinity, a NaN stays a quiet NaN.
 * The largest finite f16 is 65504, and values from 65520 round to infinity.
 */
export function f32ToF16Bits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00 | ((magnitude >>> 13) & 0x1ff);
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude >= 0x38800000) {
    const odd = (magnitude >>> 13) & 1;
    return sign | ((magnitude - 0x38000000 + 0xfff + odd) >>> 13);
  }
  // Below 2^-14 the f16 is subnormal, in steps of 2^-24; below 2^-25 (and at it, ties to even) it is zero.
  if (magnitude <= 0x33000000) return sign;
  const shift = 126 - (magnitude >>> 23);
  const mantissa = (magnitude & 0x7fffff) | 0x800000;
  const floor = mantissa >>> shift;
  const rest = mantissa & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return sign | (floor + (rest > half || (rest === half && (floor & 1) === 1) ? 1 : 0));
}

const f16Table = (() => {
  let table: Uint32Array | undefined;
  return () => (table ??= Uint32Array.from({ length: 65536 }, (_, half) => f16ToF32Bits(half)));
})();

/** The same bytes at an offset that a typed array of `align` bytes accepts; a copy only when they are not there already. */
function aligned(bytes: Uint8Array, align: number, what: string): Uint8Array {
  if (bytes.byteLength % align !== 0) {
    throw new StudioError("bad-file", `Reading ${what} values: ${bytes.byteLength} bytes is not a whole number of elements of ${align} bytes.`, { title: "Odd number of bytes" });
  }
  return bytes.byteOffset % align === 0 ? bytes : bytes.slice();
}

/**
 * Stored values as f32, exactly. The result never shares memory with `bytes`; it is `into` where one of that length is given.
 * Throws "bad-file" when the length is not a whole number of elements.
 */
export function toFloat32(bytes: Uint8Array, dtype: FloatDtype, into?: Float32Array): Float32Array {
  if (dtype === "F32") {
    const source = aligned(bytes, 4, dtype);
    const words = new Uint32Array(source.buffer, source.byteOffset, source.byteLength / 4);
    if (into?.length !== words.length) return new Float32Array(words.slice().buffer);
    new Uint32Array(into.buffer, into.byteOffset, into.length).set(words);
    return into;
  }
  const source = aligned(bytes, 2, dtype);
  const halves = new Uint16Array(source.buffer, source.byteOffset, source.byteLength / 2);
  // Written through the integer view: an engine may change a NaN that passes through a float.
  const out = into?.length === halves.length ? new Uint32Array(into.buffer, into.byteOffset, into.length) : new Uint32Array(halves.length);
  if (dtype === "BF16") for (let i = 0; i < out.length; i++) out[i] = halves[i]! << 16;
  else {
    const table = f16Table();
    for (let i = 0; i < out.length; i++) out[i] = table[halves[i]!]!;
  }
  return new Float32Array(out.buffer, out.byteOffset, out.length);
}

/** f32 values as stored bytes, little endian, each rounded once (nearest, ties to even). */
export function fromFloat32(values: Float32Array, dtype: FloatDtype): Uint8Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  if (dtype === "F32") return new Uint8Array(bits.slice().buffer);
  const out = new Uint16Array(bits.length);
  const convert = dtype === "BF16" ? f32ToBf16Bits : f32ToF16Bits;
  for (let i = 0; i < out.length; i++) out[i] = convert(bits[i]!);
  return new Uint8Array(out.buffer);
}
