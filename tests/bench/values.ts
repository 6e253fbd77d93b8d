/** Cuts each value to one that bf16 holds, in place. */
export function toBf16Values(values: Float32Array): Float32Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < bits.length; i++) bits[i]! &= 0xffff0000;
  return values;
}

/** The upper halves of values that bf16 holds. */
export const bf16Bits = (values: Float32Array): Uint16Array => Uint16Array.from(new Uint32Array(values.buffer, values.byteOffset, values.length), (word) => word >>> 16);

/** Values in [-1, 1) from a fixed sequence. */
export function noise(count: number, seed: number): Float32Array {
  const out = new Float32Array(count);
  let state = Math.imul(seed, 2654435761) >>> 0;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    out[i] = state / 2 ** 31 - 1;
  }
  return out;
}
