import { StudioError, throwIfCancelled } from "../core/errors";
import { bytesPerElement, isFloatDtype, leaseOf, type Checkpoint, type Dtype } from "../core/tensors";
import { convert } from "../merge/cpu";
import { bodyElements, type OutputTensor } from "../model/pairing";
import { checkConverted } from "./finite";
import type { MergeSources } from "./mergeTensor";

/** Most bytes of one read of values that are copied. */
export const COPY_PIECE = 8 * 1024 * 1024;

/** Stored bytes [offset, offset + length) of a tensor of one model; source 0 is the base, 1 the first fine-tuned model. */
export interface CopiedPart {
  checkpoint: Checkpoint;
  source: number;
  name: string;
  offset: number;
  length: number;
  dtype: Dtype;
}

/** What an output tensor copies, in order: all of it, or, of a merged one, the rows that not all models have. */
export function copiedParts(sources: MergeSources, tensor: OutputTensor): CopiedPart[] {
  const part = (from: OutputTensor["from"], begin: number, end: number): CopiedPart => {
    const [checkpoint, name, source] = from === "base" ? [sources.base, tensor.baseName, 0] : [sources.experts[0]!, tensor.tunedNames[0]!, 1];
    const info = checkpoint.tensors.get(name);
    if (!info) throw new StudioError("internal", `Copying "${tensor.name}": the source has no tensor "${name}".`);
    // Elements may be smaller than a byte; a whole tensor never ends within one.
    const at = (element: number): number => (element === 0 ? 0 : ((info.end - info.begin) / info.elements) * element);
    return { checkpoint, source, name, offset: at(begin), length: at(end) - at(begin), dtype: info.dtype };
  };
  const body = bodyElements(tensor);
  return [...(tensor.action === "copy" ? [part(tensor.from, 0, body)] : []), ...(tensor.rest ? [part(tensor.rest.from, body, tensor.elements)] : [])];
}

/** [offset, length] of the reads of so many bytes. */
export const piecesOf = (length: number, pieceBytes: number): [number, number][] => Array.from({ length: Math.ceil(length / pieceBytes) }, (_, i) => [i * pieceBytes, Math.min(pieceBytes, length - i * pieceBytes)]);

/**
 * What an output tensor copies, in pieces that are valid until the next is asked for: the stored bytes, bit by bit; floats of
 * another dtype than the output's are rounded once.
 */
export async function* copyTensor(sources: MergeSources, tensor: OutputTensor, signal?: AbortSignal, pieceBytes = COPY_PIECE): AsyncGenerator<Uint8Array> {
  const { dtype } = tensor;
  let start = tensor.action === "copy" ? 0 : bodyElements(tensor);
  for (const part of copiedParts(sources, tensor)) {
    for (const [at, length] of piecesOf(part.length, pieceBytes)) {
      throwIfCancelled(signal);
      const { bytes, done } = await leaseOf(part.checkpoint, part.name, part.offset + at, length);
      try {
        if (part.dtype === dtype || !isFloatDtype(part.dtype) || !isFloatDtype(dtype)) yield bytes;
        else {
          const stored = { bytes, dtype: part.dtype };
          const rounded = convert(stored, dtype);
          checkConverted(tensor, stored, start + at / bytesPerElement(part.dtype), rounded);
          yield rounded;
        }
      } finally {
        done();
      }
    }
    start = bodyElements(tensor);
  }
}
