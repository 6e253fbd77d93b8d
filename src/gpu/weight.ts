import { bytesPerElement, type FloatDtype } from "../core/tensors";
import { MAX_BINDING_BYTES } from "./gpu";

/** Rows [row0, row0 + rows) of a matrix on the GPU, as stored: rows * cols values of the tensor's dtype. */
export interface WeightPanel {
  row0: number;
  rows: number;
  buffer: GPUBuffer;
}

/** A matrix [rows, cols] (a vector has rows = 1) on the GPU in row panels, none above the binding limit. */
export interface Weight {
  name: string;
  dtype: FloatDtype;
  rows: number;
  cols: number;
  panels: WeightPanel[];
}

/** The WEIGHT_DTYPE constant of shaders/lib/weights.wgsl. */
export const WEIGHT_DTYPE: Record<FloatDtype, number> = { F32: 0, BF16: 1, F16: 2 };

/**
 * Row ranges of a [rows, cols] matrix so that a panel, also when computed as f32 (4 bytes a value), stays within
 * `maxBytes`. Counts are multiples of 64 where the matrix is that tall, and even, so that a 2-byte panel starts on a word.
 * An overlong single row is never cut: it throws nowhere here, and fails at allocation with the planner's sentence.
 */
export function rowPanels(rows: number, cols: number, maxBytes = MAX_BINDING_BYTES): { row0: number; rows: number }[] {
  const fit = Math.max(2, Math.floor(maxBytes / (4 * cols)));
  const step = fit >= rows ? rows : fit >= 64 ? Math.floor(fit / 64) * 64 : fit & ~1;
  const panels: { row0: number; rows: number }[] = [];
  for (let row0 = 0; row0 < rows; row0 += step) panels.push({ row0, rows: Math.min(step, rows - row0) });
  return panels;
}

export const panelBytes = (weight: { cols: number; dtype: FloatDtype }, rows: number): number => rows * weight.cols * bytesPerElement(weight.dtype);
