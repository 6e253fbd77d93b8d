import { dataDigest } from "../core/digest";
import type { TensorSource } from "../core/tensors";
import { bodyElements, type OutputTensor } from "../model/pairing";
import { copiedParts } from "./copyTensor";
import type { MergeSources, TensorWork } from "./mergeTensor";

const identityOf = async (source: TensorSource, name: string | undefined): Promise<string | undefined> => (name === undefined ? undefined : source.identity?.(name));

/** What an output tensor is a copy of, bit by bit. */
function wholeCopy(sources: MergeSources, tensor: OutputTensor, work: TensorWork | undefined): { source: TensorSource; name: string } | undefined {
  let from: { source: TensorSource; name: string } | undefined;
  if (work) {
    const { op, rows, makers, fishers, then } = work;
    if (op.kind !== "copy" || tensor.rest || rows?.length || makers || fishers || then?.length) return undefined;
    const name = op.source === undefined ? tensor.baseName : tensor.tunedNames[op.source];
    from = name === undefined ? undefined : { source: op.source === undefined ? sources.base : sources.experts[op.source]!, name };
  } else {
    const parts = copiedParts(sources, tensor);
    from = parts.length === 1 ? { source: parts[0]!.checkpoint, name: parts[0]!.name } : undefined;
  }
  const info = from?.source.tensors.get(from.name);
  return info?.dtype === tensor.dtype && info.shape.join() === tensor.shape.join() ? from : undefined;
}

/**
 * Says all that the bytes of an output tensor depend on: of a copy, what it is copied from; else the digest of what is done to
 * it (coefficients, masks, makers, arrays, rows, stages), of its dtype and shape, and of the identities of all tensors it may be
 * made from. Undefined where one of them has none, and for matrix products: tuning may change their order of summing.
 */
export async function fingerprint(sources: MergeSources, tensor: OutputTensor, work: TensorWork | undefined): Promise<string | undefined> {
  const copied = wholeCopy(sources, tensor, work);
  if (copied) return identityOf(copied.source, copied.name);
  const { fishers = [], ...done } = work ?? {};
  if ([work?.op, ...(work?.then ?? [])].some((op) => op?.kind === "project")) return undefined;
  const parts = copiedParts(sources, tensor);
  const known = await Promise.all([
    ...(work ? [identityOf(sources.base, tensor.baseName), ...sources.experts.map((expert, k) => identityOf(expert, tensor.tunedNames[k]))] : []),
    ...fishers.map(({ source, name }) => identityOf(source, name)),
    ...parts.map(({ checkpoint, name }) => identityOf(checkpoint, name)),
  ]);
  if (known.includes(undefined)) return undefined;
  const digest = await dataDigest({
    known, done, fishers: fishers.length, merged: work !== undefined, parts: parts.map(({ offset, length, dtype }) => [offset, length, dtype]),
    dtype: tensor.dtype, shape: tensor.shape, body: bodyElements(tensor),
  });
  return digest && `made ${digest}`;
}
