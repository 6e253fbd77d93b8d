import { StudioError, throwIfCancelled } from "../core/errors";
import type { FileSource } from "../core/files";
import type { Recipe } from "../core/recipe";
import { bytesPerElement, type Checkpoint, type FloatDtype, type TensorInfo } from "../core/tensors";
import { tensorBytes } from "../formats/safetensors";
import type { Gpu } from "../gpu/gpu";
import { countsEquals } from "../kernels/stats/maskMaker";
import { bodyElements, type OutputTensor } from "../model/pairing";
import { outputConfig } from "./config";
import { copyTensor } from "./copyTensor";
import { fingerprint } from "./fingerprint";
import { mergeTensor, MERGE_SLICE, needsWholeRows, sliceOf, type MergeSources, type TensorWork } from "./mergeTensor";
import type { OutputPlan } from "./plan";

export interface VirtualModel {
  gpu: Gpu | undefined;
  sources: MergeSources;
  recipe: Recipe;
  plan: OutputPlan;
  workOf(tensor: OutputTensor): Promise<TensorWork | undefined>;
  /** Small files beside it, for who asks for their text. */
  files?: readonly FileSource[] | undefined;
  signal?: AbortSignal | undefined;
  sliceElements?: number | undefined;
}

/** The last slices of a tensor: a reader goes from front to back, and looks back by less than a slice. */
interface Cursor {
  name: string;
  slices: AsyncGenerator<{ begin: number; bytes: Uint8Array }>;
  held: { begin: number; bytes: Uint8Array }[];
}

/**
 * The merged model as a checkpoint that is never written: every read makes the bytes that an export would write, with the
 * kernels and slices of the export. Whoever reads front to back pays for each slice once; reading back starts the tensor
 * again at the slice that is asked for, or at its beginning where equal keys are counted from there.
 */
export function virtualCheckpoint(model: VirtualModel): Checkpoint {
  const { gpu, sources, recipe, plan, workOf, signal } = model;
  const { base, experts } = sources;
  const files = model.files ?? [];
  const sliceElements = model.sliceElements ?? MERGE_SLICE;
  const outputs = new Map(plan.tensors.map((t) => [t.name, t]));
  const infos = new Map(plan.tensors.map((t): [string, TensorInfo] => [t.name, { name: t.name, dtype: t.dtype, shape: t.shape, elements: t.elements, file: "", begin: 0, end: tensorBytes(t) }]));
  let cursor: Cursor | undefined;
  let last: Promise<unknown> = Promise.resolve();

  async function* slicesOf(tensor: OutputTensor, from: number): AsyncGenerator<{ begin: number; bytes: Uint8Array }> {
    const work = await workOf(tensor);
    let begin = 0;
    if (work) {
      const width = bytesPerElement(tensor.dtype as FloatDtype);
      const elements = bodyElements(tensor);
      const step = sliceOf({ ...tensor, elements }, sliceElements, needsWholeRows(work));
      const counts = work.makers?.some((maker) => maker && countsEquals(maker)) ?? false;
      const first = counts ? 0 : Math.floor(from / width / step) * step;
      for await (const { start, bytes } of mergeTensor(gpu, sources, tensor, work, signal, sliceElements, first)) yield { begin: start * width, bytes };
      begin = elements * width;
    }
    for await (const bytes of copyTensor(sources, tensor, signal)) {
      yield { begin, bytes: bytes.slice() };
      begin += bytes.byteLength;
    }
  }

  const bytesOf = async (name: string, offset: number, length: number, into: Uint8Array | undefined): Promise<Uint8Array> => {
    const tensor = outputs.get(name);
    if (!tensor) throw new StudioError("internal", `Reading the merged model: it has no tensor "${name}".`, { where: name });
    const out = into?.subarray(0, length) ?? new Uint8Array(length);
    if (length === 0) return out;
    const reached = cursor?.name === name ? cursor.held[0] : undefined;
    if (!cursor || cursor.name !== name || (reached && reached.begin > offset)) {
      await cursor?.slices.return(undefined);
      cursor = { name, slices: slicesOf(tensor, offset), held: [] };
    }
    const { slices, held } = cursor;
    let done = 0;
    while (done < length) {
      const at = offset + done;
      let slice = held.find(({ begin, bytes }) => begin <= at && at < begin + bytes.byteLength);
      if (!slice) {
        const next = await slices.next();
        if (next.done) throw new StudioError("internal", `Reading the merged model: "${name}" ends before byte ${at}.`, { where: name });
        slice = next.value;
        held.push(slice);
        // The one before stays for a reader whose pieces do not fall on slices.
        if (held.length > 2) held.shift();
        continue;
      }
      const part = slice.bytes.subarray(at - slice.begin, at - slice.begin + length - done);
      out.set(part, done);
      done += part.byteLength;
    }
    return out;
  };

  return {
    name: recipe.output.name,
    files,
    tensors: infos,
    config: outputConfig(base, experts, recipe, plan),
    metadata: {},
    warnings: [],
    text: async (path) => {
      const file = files.find((f) => f.path === path);
      return file && new TextDecoder().decode(await file.read(0, file.size));
    },
    identity: async (name) => {
      throwIfCancelled(signal);
      const tensor = outputs.get(name);
      return tensor && fingerprint(sources, tensor, await workOf(tensor));
    },
    // One reader at a time: the slices are those of one tensor.
    read: (name, offset, length, into) => {
      const mine = last.catch(() => undefined).then(() => bytesOf(name, offset, length, into));
      last = mine;
      return mine;
    },
  };
}
