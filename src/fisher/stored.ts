import { StudioError } from "../core/errors";
import type { TensorInfo, TensorSource } from "../core/tensors";
import { fromFloat32 } from "../formats/dtypes";
import type { ArrayStore } from "./types";

/** Values of one stored array; the last one of a tensor is shorter. */
export const PIECE = 1 << 20;

const key = (model: number, name: string, part: number | "rows" | "ids"): string => `fisher/${model}/${name}/${part}`;
/** Below the smallest normal f32, where adapters differ in what they keep. */
const SMALLEST = 2 ** -126;

/**
 * Stores the element-wise Fisher of one model: arrays of PIECE values of every tensor, in order. Of a tensor of which only
 * some rows are not zero, those rows and their numbers. A value below the smallest normal f32 is stored as 0.
 */
export class FisherStore {
  private open: { name: string; piece: Float32Array; at: number } | undefined;

  constructor(
    private readonly arrays: ArrayStore,
    private readonly model: number,
  ) {}

  /** The next values of a tensor of `elements`; a tensor is finished before another begins. */
  async add(name: string, elements: number, values: Float32Array): Promise<void> {
    for (let done = 0; done < values.length; ) {
      const open = (this.open ??= { name, piece: new Float32Array(Math.min(PIECE, elements)), at: 0 });
      if (open.name !== name) throw new StudioError("internal", `Storing the Fisher of "${name}": "${open.name}" is not finished.`);
      const within = open.at % PIECE;
      const count = Math.min(open.piece.length - within, values.length - done);
      for (let i = 0; i < count; i++) open.piece[within + i] = values[done + i]! < SMALLEST ? 0 : values[done + i]!;
      done += count;
      open.at += count;
      if (within + count < open.piece.length) continue;
      await this.arrays.put(key(this.model, name, Math.ceil(open.at / PIECE) - 1), open.piece);
      this.open = open.at === elements ? undefined : { name, piece: new Float32Array(Math.min(PIECE, elements - open.at)), at: open.at };
    }
  }

  /** All of a tensor whose other rows are zero; `ids` ascend. */
  async addRows(name: string, ids: Uint32Array, values: Float32Array): Promise<void> {
    await this.arrays.put(key(this.model, name, "ids"), Float32Array.from(ids));
    await this.arrays.put(key(this.model, name, "rows"), values.map((v) => (v < SMALLEST ? 0 : v)));
  }
}

/**
 * What a FisherStore has stored, to be read as tensors of the model's names and shapes, F32. A piece is held until another
 * is asked for. `read` throws "storage-full" when a piece is gone.
 */
export function storedFisher(arrays: ArrayStore, model: number, source: TensorSource): TensorSource {
  const tensors = new Map([...source.tensors].map(([name, info]): [string, TensorInfo] => [name, { ...info, dtype: "F32", begin: 0, end: 4 * info.elements }]));
  const held = new Map<string, Float32Array>();
  const sparse = new Map<string, Promise<{ ids: Float32Array; rows: Float32Array } | undefined>>();
  const missing = (name: string): StudioError =>
    new StudioError("storage-full", `Merging "${name}": the Fisher that the pass measured is no longer stored. Run the pass again.`, { title: "The pass is gone", where: name, todo: "Run the pass again.", passGone: true });
  const piece = async (name: string, part: number): Promise<Float32Array> => {
    const at = key(model, name, part);
    let found = held.get(at);
    if (!found) {
      found = await arrays.get(at);
      if (!found) throw missing(name);
      held.clear();
      held.set(at, found);
    }
    return found;
  };
  const rowsOf = (name: string): Promise<{ ids: Float32Array; rows: Float32Array } | undefined> => {
    let found = sparse.get(name);
    if (!found) {
      found = (async () => {
        const ids = await arrays.get(key(model, name, "ids"));
        const rows = ids && (await arrays.get(key(model, name, "rows")));
        return ids && rows && { ids, rows };
      })();
      sparse.set(name, found);
    }
    return found;
  };
  return {
    tensors,
    async read(name, offset, length, into) {
      const first = offset / 4;
      const out = new Float32Array(length / 4);
      const some = await rowsOf(name);
      if (some) {
        const cols = some.rows.length / some.ids.length;
        some.ids.forEach((id, i) => {
          const from = Math.max(id * cols, first);
          const to = Math.min((id + 1) * cols, first + out.length);
          if (from < to) out.set(some.rows.subarray(i * cols + from - id * cols, i * cols + to - id * cols), from - first);
        });
      } else
        for (let done = 0; done < out.length; ) {
          const at = first + done;
          const values = (await piece(name, Math.floor(at / PIECE))).subarray(at % PIECE);
          const count = Math.min(values.length, out.length - done);
          out.set(values.subarray(0, count), done);
          done += count;
        }
      const bytes = fromFloat32(out, "F32");
      if (!into) return bytes;
      into.set(bytes);
      return into.subarray(0, bytes.byteLength);
    },
  };
}
