import { throwIfCancelled } from "../core/errors";
import { Scratch } from "../core/scratch";
import { clockOf } from "../core/stages";
import { bytesPerElement, type FloatDtype, type TensorSource } from "../core/tensors";
import { toFloat32 } from "../formats/dtypes";

/** Values per read: 4 Mi, so that both sides of a change, as f32, take 32 MiB. */
export const SLICE_ELEMENTS = 4 * 1024 * 1024;

/** The same tensor of one model. */
export interface ModelSide {
  source: TensorSource;
  name: string;
}

/**
 * A tensor of several models as f32, slice by slice of whole rows, at least one, in order. The next slice is read while this
 * one is looked at; the arrays, and those of `scratch` under other names, are used again for the one after. Throws "cancelled".
 */
export async function* modelSlices(models: readonly ModelSide[], { elements, cols, sliceElements }: { elements: number; cols: number; sliceElements: number }, signal?: AbortSignal): AsyncGenerator<{ at: number; values: Float32Array[]; scratch: Scratch }> {
  const scratch = Scratch.take();
  const step = Math.max(1, Math.floor(sliceElements / cols)) * cols;
  const sides = models.map(({ source, name }) => ({ source, name, dtype: source.tensors.get(name)!.dtype as FloatDtype }));
  const read = (at: number): Promise<Uint8Array[]> => {
    const end = clockOf(signal)?.begin("read");
    const count = Math.min(step, elements - at);
    const turn = (at / step) % 2;
    const stored = Promise.all(sides.map(({ source, name, dtype }, k) => source.read(name, at * bytesPerElement(dtype), count * bytesPerElement(dtype), scratch.bytes(`stored ${k} ${turn}`, count * bytesPerElement(dtype)))));
    stored.then((bytes) => end?.(bytes.reduce((sum, b) => sum + b.byteLength, 0)), () => end?.());
    return stored;
  };
  let finished = false;
  let ahead = elements > 0 ? read(0) : undefined;
  try {
    for (let at = 0; at < elements; at += step) {
      const stored = await ahead!;
      ahead = at + step < elements ? read(at + step) : undefined;
      ahead?.catch(() => undefined);
      throwIfCancelled(signal);
      // What the caller does with a slice is part of the same work: it ends when the next one is asked for.
      const end = clockOf(signal)?.begin("select");
      try {
        yield { at, values: stored.map((bytes, k) => toFloat32(bytes, sides[k]!.dtype, scratch.floats(`values ${k}`, bytes.byteLength / bytesPerElement(sides[k]!.dtype)))), scratch };
      } finally {
        end?.(stored.reduce((sum, bytes) => sum + bytes.byteLength, 0));
      }
    }
    finished = true;
  } finally {
    // A read ahead that nobody waited for may still write into its arrays: they are not handed on then.
    if (finished) scratch.give();
  }
}
