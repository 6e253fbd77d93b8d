import { StudioError, throwIfCancelled } from "../core/errors";
import { bytesPerElement, isFloatDtype, leaseOf, type Checkpoint, type FloatDtype, type Lease } from "../core/tensors";

/** Exponent bits of each dtype, as they lie in a word of 32 bits, and the lowest of them: a value is NaN or infinite when all are set. */
const EXPONENT: Readonly<Record<FloatDtype, { mask: number; one: number; sign: number }>> = {
  F32: { mask: 0x7f800000, one: 0x00800000, sign: 0x80000000 },
  BF16: { mask: 0x7f807f80, one: 0x00800080, sign: 0x80008000 },
  F16: { mask: 0x7c007c00, one: 0x04000400, sign: 0x80008000 },
};

const PIECE_BYTES = 8 * 1024 * 1024;

/**
 * Whether a stored value is NaN or infinite. Adding one to an exponent of ones carries into the sign's place, which is empty
 * then: words are added and joined without a branch, so that looking costs less than reading.
 */
export function hasNonFinite(bytes: Uint8Array, dtype: FloatDtype): boolean {
  const { mask, one, sign } = EXPONENT[dtype];
  const whole = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  const words = new Int32Array(whole.buffer, whole.byteOffset, whole.byteLength >>> 2);
  // Two sums, because each step of one waits for the last.
  let [carried, other] = [0, 0];
  const even = words.length & ~1;
  for (let i = 0; i < even; i += 2) {
    carried |= ((words[i]! & mask) + one) | 0;
    other |= ((words[i + 1]! & mask) + one) | 0;
  }
  if (even < words.length) carried |= ((words[even]! & mask) + one) | 0;
  if (whole.byteLength & 2) carried |= ((whole[whole.byteLength - 2]! | (whole[whole.byteLength - 1]! << 8)) & mask & 0x7fff) + (one & 0x7fff);
  return ((carried | other) & sign) !== 0;
}

/** How many stored values are NaN or infinite, which is the first, and what it is. */
export function nonFiniteValues(bytes: Uint8Array, dtype: FloatDtype): { count: number; first: number; value: "NaN" | "infinity" | "" } {
  const width = bytesPerElement(dtype);
  const whole = bytes.byteOffset % width === 0 ? bytes : bytes.slice();
  const n = whole.byteLength / width;
  const values = width === 4 ? new Uint32Array(whole.buffer, whole.byteOffset, n) : new Uint16Array(whole.buffer, whole.byteOffset, n);
  const infinity = dtype === "F32" ? 0x7f800000 : dtype === "BF16" ? 0x7f80 : 0x7c00;
  const unsigned = width === 4 ? 0x7fffffff : 0x7fff;
  let count = 0;
  let first = -1;
  for (let i = 0; i < n; i++) if ((values[i]! & unsigned) >= infinity && count++ === 0) first = i;
  return { count, first, value: first < 0 ? "" : (values[first]! & unsigned) > infinity ? "NaN" : "infinity" };
}

/** The place of an element of a tensor, in words: "element 17 (0, 17)". */
export function elementAt(index: number, shape: readonly number[]): string {
  const at: number[] = [];
  for (let rest = index, d = shape.length - 1; d >= 0; rest = Math.floor(rest / shape[d]!), d--) at.unshift(rest % shape[d]!);
  return `element ${index.toLocaleString("en-US")}${at.length > 1 ? ` (${at.join(", ")})` : ""}`;
}

/**
 * The fault of an input that holds NaN or infinity, after reading the whole tensor to tell how many: nothing can be computed from
 * them, and a merge would only spread them. `role` is "the base" or "the fine-tuned model". Throws "cancelled".
 */
export async function nonFiniteInput(doing: string, source: Checkpoint, role: string, name: string, signal?: AbortSignal): Promise<StudioError> {
  const { begin, end, dtype, shape, elements } = source.tensors.get(name)!;
  const width = bytesPerElement(dtype as FloatDtype);
  let count = 0;
  let first = -1;
  let value = "";
  for (let at = 0; at < end - begin; at += PIECE_BYTES) {
    throwIfCancelled(signal);
    const found = nonFiniteValues(await source.read(name, at, Math.min(PIECE_BYTES, end - begin - at)), dtype as FloatDtype);
    if (count === 0 && found.count > 0) [first, value] = [at / width + found.first, found.value];
    count += found.count;
  }
  const many = `${count.toLocaleString("en-US")} of ${elements.toLocaleString("en-US")} values ${count === 1 ? "is" : "are"} NaN or infinite`;
  const place = `${value} at ${elementAt(first, shape)}`;
  const todo = "Copy the model's files again, take another model, or leave this tensor out of the merge.";
  return new StudioError("bad-file", `${doing}: "${name}" of ${role} "${source.name}": ${many}, the first ${place}. Finite values were expected. ${todo}`, {
    title: "Values that are not finite", where: `${source.name}, ${name}`, found: `${many}; ${place}`, expected: "finite values", why: "Nothing can be computed from NaN or infinity.", todo,
    model: source.name, tensor: name, element: first, count,
  });
}

/**
 * A checkpoint whose float values are looked at as they are read, once each: a read of NaN or infinity throws nonFiniteInput.
 * What is read from the middle of a tensor before its beginning is looked at every time.
 */
export function guarded(checkpoint: Checkpoint, doing: string, role: string, signal?: AbortSignal): Checkpoint {
  /** Bytes from the beginning of each tensor that were looked at. */
  const seen = new Map<string, number>();
  const look = async (name: string, offset: number, bytes: Uint8Array): Promise<void> => {
    const dtype = checkpoint.tensors.get(name)?.dtype;
    if (!dtype || !isFloatDtype(dtype)) return;
    const before = seen.get(name) ?? 0;
    if (offset + bytes.byteLength <= before) return;
    if (hasNonFinite(bytes, dtype)) throw await nonFiniteInput(doing, checkpoint, role, name, signal);
    if (offset <= before) seen.set(name, offset + bytes.byteLength);
  };
  return {
    ...checkpoint,
    tensors: checkpoint.tensors,
    text: (path) => checkpoint.text(path),
    read: async (name, offset, length, into) => {
      const bytes = await checkpoint.read(name, offset, length, into);
      await look(name, offset, bytes);
      return bytes;
    },
    lease: async (name, offset, length): Promise<Lease> => {
      const lease = await leaseOf(checkpoint, name, offset, length);
      try {
        await look(name, offset, lease.bytes);
      } catch (error) {
        lease.done();
        throw error;
      }
      return lease;
    },
  };
}
