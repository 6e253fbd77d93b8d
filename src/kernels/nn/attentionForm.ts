import type { Gpu } from "../../gpu/gpu";

/** Uniform members of the attention shaders. */
export const shape = { rows: "u32", H: "u32", KV: "u32", D: "u32", head0: "u32", heads: "u32", stride: "u32", window: "u32" } as const;

/** Values of `shape`, for a call over heads head0 .. head0 + heads. */
export type AttentionSizes = Record<keyof typeof shape, number>;

/** Operations of one of the products over all keys. */
export const products = ({ rows, heads, stride, D }: Pick<AttentionSizes, "rows" | "heads" | "stride" | "D">): number => 2 * rows * heads * stride * D;

export const packed = ({ D }: Pick<AttentionSizes, "D">) => ({ PACKED: D % 4 === 0 ? 1 : 0 });

type Buffers<Names extends string> = Record<Names, GPUBuffer>;

/** The steps of attention with P [heads, rows, stride] f32 in `p`; forms give the same bits. scale is 1 / sqrt(D). */
export interface AttentionForm {
  /** Row stride of the probabilities. */
  stride(longest: number): number;
  /** p = softmax(scale q k^T). */
  scores(gpu: Gpu, io: Buffers<"q" | "k" | "spans" | "p">, sizes: AttentionSizes, scale: number): void;
  /** p <- scale p (dy v^T - rowsum(dy * y)). */
  scoresBackward(gpu: Gpu, io: Buffers<"y" | "dy" | "v" | "spans" | "p">, sizes: AttentionSizes, scale: number): void;
  /** y = p v. */
  mix(gpu: Gpu, io: Buffers<"p" | "v" | "spans" | "y">, sizes: AttentionSizes): void;
  /** dv = p^T dy, summed over the heads of a group. */
  mixBackward(gpu: Gpu, io: Buffers<"p" | "dy" | "spans" | "dv">, sizes: AttentionSizes): void;
}
