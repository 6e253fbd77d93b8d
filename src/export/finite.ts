import { StudioError } from "../core/errors";
import { bytesPerElement, type FloatDtype } from "../core/tensors";
import { toFloat32 } from "../formats/dtypes";
import { elementAt, hasNonFinite, nonFiniteInput, nonFiniteValues } from "../formats/finite";
import { applyOpCpu } from "../merge/cpu";
import type { OpSlice, StoredBytes, TensorOp } from "../merge/ops";
import type { OutputTensor } from "../model/pairing";
import type { MergeSources, TensorWork } from "./mergeTensor";

/** Numbers that an operation multiplies with: its own, those in its lists, and those of its rows. */
function* numbersOf(op: TensorOp): Generator<number> {
  for (const value of Object.values(op).flat() as unknown[]) {
    if (typeof value === "number") yield value;
    else if (op.kind === "rows" && value instanceof Float32Array) yield* value;
  }
}

/** Throws "bad-recipe" by name where a method could not find a coefficient, as when the changes of two models oppose each other exactly. */
export function checkOperation(tensor: OutputTensor, { op, then = [] }: TensorWork): void {
  for (const each of [op, ...then]) for (const number of numbersOf(each)) {
    if (Number.isFinite(number)) continue;
    const todo = "Leave this tensor out of the merge, or take another method.";
    throw new StudioError("bad-recipe", `Merging "${tensor.name}": a coefficient of this tensor comes to ${number}, as where the changes of the models cancel each other exactly. A finite number was expected. ${todo}`, { title: "No coefficient for a tensor", where: tensor.name, found: String(number), expected: "a finite number", todo, tensor: tensor.name });
  }
}

const LARGEST: Readonly<Record<FloatDtype, number>> = { F32: 3.4028234663852886e38, BF16: 3.3895313892515355e38, F16: 65504 };

const bad = (side: StoredBytes | undefined): boolean => side !== undefined && hasNonFinite(side.bytes, side.dtype);
/** Whether stored values of one input go through as they are: NaN or infinity among them is that input's. */
export const isCopied = (tensor: Pick<OutputTensor, "action">, work: TensorWork | undefined): boolean => (work ? work.op.kind === "copy" && !work.then?.length : tensor.action === "copy");

const others = (count: number, { start, elements }: Pick<OpSlice, "start" | "elements">): string => (count === 1 ? "" : `, and ${(count - 1).toLocaleString("en-US")} more of the ${elements.toLocaleString("en-US")} values from ${start.toLocaleString("en-US")} on`);

function tooLarge(doing: string, tensor: OutputTensor, element: number, value: number, count: number, many: string, or = ""): StudioError {
  const dtype = tensor.dtype as FloatDtype;
  const place = elementAt(element, tensor.shape);
  const short = (number: number): string => String(Number(number.toPrecision(6)));
  const [largest, found] = [short(LARGEST[dtype]), short(value)];
  const todo = `Take ${dtype === "F16" ? "BF16 or F32" : "F32"} as the output's dtype${or ? `, ${or}` : ""}.`;
  return new StudioError("bad-recipe", `${doing}: ${place} comes to ${found}${many}; the largest value of ${dtype} is ${largest}. ${todo}`, {
    title: "Too large for the output's dtype", where: `${tensor.name}, ${place}`, found, expected: `at most ${largest} in ${dtype}`, todo, tensor: tensor.name, element, count,
  });
}

/** Throws "bad-recipe" by name where copied values, from element `start` of a tensor on, are too large for the dtype they are rounded to. */
export function checkConverted(tensor: OutputTensor, stored: StoredBytes, start: number, bytes: Uint8Array): void {
  const dtype = tensor.dtype as FloatDtype;
  if (!hasNonFinite(bytes, dtype) || bad(stored)) return;
  const { count, first } = nonFiniteValues(bytes, dtype);
  const value = toFloat32(stored.bytes, stored.dtype)[first]!;
  throw tooLarge(`Copying "${tensor.name}"`, tensor, start + first, value, count, others(count, { start, elements: bytes.byteLength / bytesPerElement(dtype) }));
}

/** Throws "bad-file" by name where a slice that is computed with holds NaN or infinity. What is only copied may hold them. */
export async function checkInputs(sources: MergeSources, tensor: OutputTensor, work: TensorWork, slice: OpSlice, signal?: AbortSignal): Promise<void> {
  if (isCopied(tensor, work)) return;
  const doing = `Merging "${tensor.name}"`;
  if (bad(slice.base)) throw await nonFiniteInput(doing, sources.base, "the base", tensor.baseName, signal);
  for (const [k, side] of slice.experts.entries()) if (bad(side)) throw await nonFiniteInput(doing, sources.experts[k]!, "the fine-tuned model", tensor.tunedNames[k]!, signal);
}

/**
 * Throws "bad-recipe" by name where finite inputs gave a value that the output's dtype cannot hold, or none at all. `cut` is
 * the operation of the slice with its masks. NaN and infinity of a tensor that is copied are let through.
 */
export function checkOutput(tensor: OutputTensor, work: TensorWork, slice: OpSlice, cut: { op: TensorOp; slice: OpSlice }, bytes: Uint8Array): void {
  const dtype = tensor.dtype as FloatDtype;
  if (!hasNonFinite(bytes, dtype)) return;
  if (isCopied(tensor, work) && (bad(slice.base) || slice.experts.some(bad))) return;
  const { count, first } = nonFiniteValues(bytes, dtype);
  const exact = work.then?.length ? NaN : toFloat32(applyOpCpu(cut.op, cut.slice, "F32"), "F32")[first]!;
  const place = elementAt(slice.start + first, tensor.shape);
  const many = others(count, slice);
  if (Number.isFinite(exact)) throw tooLarge(`Merging "${tensor.name}"`, tensor, slice.start + first, exact, count, many, "or smaller weights");
  const todo = "Take smaller weights or another scale, or leave this tensor out of the merge.";
  throw new StudioError("bad-recipe", `Merging "${tensor.name}": ${place} comes to no finite number${many}, although every input is finite: the coefficients are too large. ${todo}`, {
    title: "The result is not finite", where: `${tensor.name}, ${place}`, found: Number.isNaN(exact) ? "NaN" : "infinity", expected: "a finite number", todo, tensor: tensor.name, element: slice.start + first, count,
  });
}
