import { fromFloat32 } from "../formats/dtypes";
import { writeSafetensorsHeader } from "../formats/safetensors";
import type { RecipeContext } from "./context";

/** A file that is written at any offset; bytes that were never written read as zero. */
export interface RandomFile {
  writeAt(offset: number, bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
  discard(): Promise<void>;
}

/**
 * Keeps the element-wise Fisher of a pass as an ordinary safetensors file, F32 under the model's own names. The backward
 * pass delivers tensors last layer first, so they are written where the header says; rows that no input used stay zero.
 */
export async function fisherWriter(context: RecipeContext, open: (size: number) => Promise<RandomFile>): Promise<{ onFisher(name: string, firstElement: number, values: Float32Array): Promise<void>; file: RandomFile }> {
  const source = context.params.fisherAt === "finetuned" ? context.experts[0]! : context.base;
  const names = new Set(context.outputs.map((o) => (context.params.fisherAt === "finetuned" ? o.tunedNames[0]! : o.baseName)));
  const header = writeSafetensorsHeader([...names].map((name) => ({ name, dtype: "F32" as const, shape: source.tensors.get(name)!.shape })), { format: "pt", content: "diagonal Fisher" });
  const begins = new Map(header.order.map((t) => [t.name, t.begin]));
  const file = await open(header.order.at(-1)!.end);
  try {
    await file.writeAt(0, header.bytes);
  } catch (error) {
    await file.discard();
    throw error;
  }
  return { file, onFisher: (name, firstElement, values) => file.writeAt(begins.get(name)! + 4 * firstElement, fromFloat32(values, "F32")) };
}
