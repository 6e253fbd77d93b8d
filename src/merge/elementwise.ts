import { toFloat32 } from "../formats/dtypes";
import { TOUCHED, type OpSlice, type RowsOp, type TensorOp } from "./ops";

const f = Math.fround;

/** Operations whose coefficients change from entry to entry, in the f32 steps of their kernels: the change, or with rows of values the result. */
export function elementwise(op: RowsOp | (TensorOp & { kind: "ram" }), theta0: Float32Array, slice: OpSlice): Float32Array {
  return op.kind === "rows" ? rows(op, theta0, slice) : ram(op.lambdas, theta0, slice);
}

function rows(op: RowsOp, theta0: Float32Array, slice: OpSlice): Float32Array {
  const sum = new Float32Array(theta0.length);
  const add = (c: Float32Array, values: Float32Array, less: Float32Array | undefined, first: boolean): void => {
    for (let i = 0; i < sum.length; i++) {
      const at = slice.start + i;
      const factor = c[op.by === "row" ? Math.floor(at / op.cols) : at % op.cols]!;
      const term = f(factor * (less ? f(values[i]! - less[i]!) : values[i]!));
      sum[i] = first ? term : sum[i]! + term;
    }
  };
  if (!op.change) add(op.base, theta0, undefined, true);
  op.coefficients.forEach((c, k) => add(c, toFloat32(slice.experts[k]!.bytes, slice.experts[k]!.dtype), op.change ? theta0 : undefined, op.change && k === 0));
  return sum;
}

function ram(lambdas: readonly number[], theta0: Float32Array, slice: OpSlice): Float32Array {
  const sum = new Float32Array(theta0.length);
  const alone = new Float32Array(theta0.length);
  const count = new Float32Array(theta0.length);
  const touched = f(TOUCHED);
  lambdas.forEach((lambda, k) => {
    const theta = toFloat32(slice.experts[k]!.bytes, slice.experts[k]!.dtype);
    const factor = f(lambda);
    for (let i = 0; i < sum.length; i++) {
      const d = f(theta[i]! - theta0[i]!);
      if (!(Math.abs(d) > touched)) continue;
      sum[i] = sum[i]! + d;
      alone[i] = alone[i]! + f(factor * d);
      count[i] = count[i]! + 1;
    }
  });
  for (let i = 0; i < sum.length; i++) sum[i] = count[i]! > 1 ? f(sum[i]! / count[i]!) : alone[i]!;
  return sum;
}
