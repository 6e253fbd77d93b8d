import type { Gpu } from "../gpu/gpu";
import type { FisherTensor } from "./accumulate";
import type { FisherPass } from "./types";

/** Hands over the element-wise F of a tensor, or of one panel of the head; rows that no input used are not mentioned. */
export async function keepFisher(gpu: Gpu, { name, cols, panels, rowIds }: FisherTensor, scale: number, onFisher: NonNullable<FisherPass["onFisher"]>): Promise<void> {
  for (const panel of panels) {
    const values = (await gpu.readFloats(panel.buffer, panel.rows * cols)).map((v) => v * scale);
    if (rowIds) for (let i = 0; i < rowIds.length; i++) await onFisher(name, rowIds[i]! * cols, values.subarray(i * cols, (i + 1) * cols));
    else await onFisher(name, panel.row0 * cols, values);
  }
}
