import type { FileSource } from "./files";

/** Dtypes of safetensors in the order of the official enum, which is also the writer's sort key (descending). */
export const DTYPES = [
  "BOOL", "F4", "F6_E2M3", "F6_E3M2", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ",
  "I16", "U16", "F16", "BF16", "I32", "U32", "F32", "C64", "F64", "I64", "U64",
] as const;
export type Dtype = (typeof DTYPES)[number];

/** The dtypes that are computed with; the rest is copied through. */
export type FloatDtype = "F32" | "F16" | "BF16";
export const FLOAT_DTYPES: readonly FloatDtype[] = ["F32", "F16", "BF16"];
export const isFloatDtype = (dtype: Dtype): dtype is FloatDtype => (FLOAT_DTYPES as readonly string[]).includes(dtype);
export const bytesPerElement = (dtype: FloatDtype): number => (dtype === "F32" ? 4 : 2);

export interface TensorInfo {
  name: string;
  dtype: Dtype;
  shape: number[];
  /** Product of the shape. */
  elements: number;
  /** Path of the safetensors file that holds it. */
  file: string;
  /** Absolute byte range [begin, end) in that file. */
  begin: number;
  end: number;
}

/** Everything with tensor names is a checkpoint: base, fine-tuned, Fisher, merged. */
export interface TensorSource {
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Bytes [offset, offset + length) of one tensor, as stored. */
  read(name: string, offset: number, length: number, into?: Uint8Array): Promise<Uint8Array>;
  /** The same bytes where they lie already, for who can give them back: no copy. */
  lease?(name: string, offset: number, length: number): Promise<Lease>;
  /** Says all that dtype, shape and bytes of a tensor depend on: tensors that agree here are one. Undefined where that is not known. */
  identity?(name: string): Promise<string | undefined>;
}

/** Bytes in a buffer of somebody else: valid until `done`, which is called once, when nobody looks at them any more. */
export interface Lease {
  bytes: Uint8Array;
  done(): void;
}

/** A lease of any source: of one that has none to give, bytes in a new array, or in the one that `room` makes. */
export async function leaseOf(source: TensorSource, name: string, offset: number, length: number, room?: (bytes: number) => Uint8Array): Promise<Lease> {
  if (source.lease) return source.lease(name, offset, length);
  return { bytes: await source.read(name, offset, length, room?.(length)), done: () => undefined };
}

/** Stored bytes of the first `elements` entries of a tensor; of all when absent. */
export function storedBytes({ tensors }: Pick<TensorSource, "tensors">, name: string, elements?: number): number {
  const info = tensors.get(name)!;
  return elements === undefined || elements === info.elements ? info.end - info.begin : elements * ((info.end - info.begin) / info.elements);
}

/** Entries per row of a tensor; a vector is one row, and an empty tensor has rows of one. */
export const rowLength = ({ shape, elements }: { shape: readonly number[]; elements: number }): number => (shape.length >= 2 ? shape.at(-1)! : elements) || 1;

/** A model folder: its tensors and the small files beside them. */
export interface Checkpoint extends TensorSource {
  /** Folder name, for display. */
  readonly name: string;
  readonly files: readonly FileSource[];
  /** Parsed config.json. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Text of a small file, undefined when the folder has none of that name. */
  text(path: string): Promise<string | undefined>;
  /** `__metadata__` of the first safetensors file. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Findings that do not stop the reader (an index whose total_size is off, say). */
  readonly warnings: readonly string[];
}

/** The same checkpoint, whose tensors are known by what tells it from all others. */
export function identified(checkpoint: Checkpoint, id: string): Checkpoint {
  const identity = async (name: string): Promise<string | undefined> => {
    const info = checkpoint.tensors.get(name);
    return info && JSON.stringify(["stored", id, name, info.dtype, info.shape]);
  };
  return { ...checkpoint, tensors: checkpoint.tensors, text: (path) => checkpoint.text(path), read: (...args) => checkpoint.read(...args), identity };
}
