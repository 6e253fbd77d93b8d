import { MAX_BINDING_BYTES, type Gpu } from "../../gpu/gpu";
import type { AttentionForm, AttentionSizes } from "./attentionForm";
import { registerForm } from "./attentionRegister";
import { rowForm } from "./attentionRows";

export { registerForm, rowForm };

/** Sizes of one attention call over the rows of a batch. */
export interface AttentionShape {
  rows: number;
  H: number;
  KV: number;
  D: number;
  /** Length of the longest sequence: the row stride of the probabilities. */
  longest: number;
  /** Keys a row sees, itself included; 0 for all that come before. */
  window: number;
  /** u32 [rows, 2]: first row and one past the last row of each row's sequence. */
  spans: GPUBuffer;
}

/** How a call is cut and computed; changing it changes no result. */
export interface AttentionOptions {
  /** Bytes that the probabilities may take. */
  maxBytes?: number;
  /** The form to take; the adapter's own when absent. */
  form?: AttentionForm | undefined;
}

/** How many heads' probabilities [rows, stride] fit in one binding; 0 when not even one does. */
export function headsPerCall(rows: number, stride: number, H: number, maxBytes = MAX_BINDING_BYTES): number {
  return Math.min(H, Math.floor(maxBytes / (4 * rows * stride)));
}

/** The calls of one attention: whole groups of query heads where one fits, so that dk and dv are written in one go. */
function plan(gpu: Gpu, s: AttentionShape, { maxBytes, form }: AttentionOptions): { form: AttentionForm; calls: AttentionSizes[]; bytes: number } {
  const { rows, longest, H, KV, D } = s;
  // A batch is as large as the exact rows allow; where the rounded ones of the register form do not fit, the other form does.
  const fits = (f: AttentionForm): boolean => headsPerCall(rows, f.stride(longest), H, maxBytes) > 0;
  const chosen = form ?? (gpu.software && fits(registerForm) ? registerForm : rowForm);
  const stride = chosen.stride(longest);
  const fit = headsPerCall(rows, stride, H, maxBytes);
  const group = H / KV;
  const step = fit >= group ? Math.floor(fit / group) * group : fit;
  const calls: AttentionSizes[] = [];
  for (let head0 = 0; head0 < H; head0 += step)
    calls.push({ rows, H, KV, D, head0, heads: Math.min(step, H - head0), stride, window: s.window >= longest ? 0 : s.window });
  return { form: chosen, calls, bytes: 4 * Math.min(step, H) * rows * stride };
}

/**
 * y = softmax(q k^T / sqrt(D)) v per sequence and head, causal, grouped queries, optional window.
 * q, y [rows, H, D]; k, v [rows, KV, D]. The probabilities live in a buffer of the pool while the call is encoded.
 */
export function attentionForward(gpu: Gpu, io: { q: GPUBuffer; k: GPUBuffer; v: GPUBuffer; y: GPUBuffer }, s: AttentionShape, options: AttentionOptions = {}): void {
  const { q, k, v, y } = io;
  const { spans } = s;
  const { form, calls, bytes } = plan(gpu, s, options);
  const p = gpu.alloc(bytes, "attention probabilities");
  for (const sizes of calls) {
    form.scores(gpu, { q, k, spans, p }, sizes, 1 / Math.sqrt(s.D));
    form.mix(gpu, { p, v, spans, y }, sizes);
  }
  gpu.release(p);
}

/**
 * dq, dk, dv (overwritten) from dy. With P the probabilities and S the scaled products:
 *   dv = P^T dy,  dS = P * (dy v^T - rowsum(dy * y)),  dq = dS k / sqrt(D),  dk = dS^T q / sqrt(D)
 * P is computed again rather than kept: it is the largest activation of a block and costs one product of the six.
 */
export function attentionBackward(
  gpu: Gpu,
  io: { q: GPUBuffer; k: GPUBuffer; v: GPUBuffer; y: GPUBuffer; dy: GPUBuffer; dq: GPUBuffer; dk: GPUBuffer; dv: GPUBuffer },
  s: AttentionShape,
  options: AttentionOptions = {},
): void {
  const { q, k, v, y, dy, dq, dk, dv } = io;
  const { spans } = s;
  const scale = 1 / Math.sqrt(s.D);
  const { form, calls, bytes } = plan(gpu, s, options);
  const p = gpu.alloc(bytes, "attention probabilities");
  for (const sizes of calls) {
    form.scores(gpu, { q, k, spans, p }, sizes, scale);
    form.mixBackward(gpu, { p, dy, spans, dv }, sizes);
    form.scoresBackward(gpu, { y, dy, v, spans, p }, sizes, scale);
    form.mix(gpu, { p, v: k, spans, y: dq }, sizes);
    form.mixBackward(gpu, { p, dy: q, spans, dv: dk }, sizes);
  }
  gpu.release(p);
}
