import { toFloat32 } from "../formats/dtypes";
import type { OpSlice, StoredBytes, WeightedOp } from "./ops";

const f = Math.fround;
const LARGEST = f(3.4028234663852886e38);

/** The model that a part of the mean stands for. */
export const partOf = (slice: OpSlice, source: number | undefined): StoredBytes => (source === undefined ? slice.base! : slice.experts[source]!);

/** The weighted mean of a slice in the f32 steps of shaders/merge/weighted and weighted_mean. */
export function weightedMean(op: WeightedOp, slice: OpSlice): Float32Array {
  const n = slice.elements;
  const [sum, weight, low, high, plain] = Array.from({ length: 5 }, () => new Float32Array(n)) as [Float32Array, Float32Array, Float32Array, Float32Array, Float32Array];
  low.fill(LARGEST);
  high.fill(-LARGEST);
  op.parts.forEach(({ source, coefficient, least, share }, k) => {
    const { bytes, dtype } = partOf(slice, source);
    const theta = toFloat32(bytes, dtype);
    const fisher = toFloat32(slice.fishers![k]!.bytes, "F32");
    const [c, floor, s] = [f(coefficient), f(least), f(share)];
    for (let i = 0; i < n; i++) {
      const value = theta[i]!;
      const F = fisher[i]!;
      const w = f(c * (F < floor ? floor : F));
      const part = f(w * value);
      const all = f(s * value);
      // The first part is taken as it is, so that the sign of a zero stays.
      sum[i] = k === 0 ? part : sum[i]! + part;
      weight[i] = k === 0 ? w : weight[i]! + w;
      plain[i] = k === 0 ? all : plain[i]! + all;
      if (!(w > 0)) continue;
      if (value < low[i]!) low[i] = value;
      if (value > high[i]!) high[i] = value;
    }
  });
  for (let i = 0; i < n; i++) {
    if (!(weight[i]! > 0)) continue;
    const mean = f(sum[i]! / weight[i]!);
    plain[i] = mean < low[i]! ? low[i]! : mean > high[i]! ? high[i]! : mean;
  }
  return plain;
}
