import type { TensorOp } from "../../../src/merge/ops";

/** One output value in float64, written from METHODS 2 and 3: x[k] are the experts' values, keep[k] whether the mask keeps them. */
export function mergeOne(op: TensorOp, base: number, x: readonly number[], keep: readonly boolean[], at = 0): number {
  switch (op.kind) {
    case "copy":
      return op.source === undefined ? base : x[op.source]!;
    case "add":
      return (base + op.coefficients.reduce((sum, c, k) => sum + (keep[k] ? c * (x[k]! - base) : 0), 0)) * (op.scale ?? 1);
    case "combine":
      return op.coefficients.reduce((sum, c, k) => sum + c * x[k]!, op.baseCoefficient * base);
    case "ties": {
      const moves = op.weights.map((w, k) => (keep[k] ? w * (x[k]! - base) : 0));
      const vote = moves.reduce((sum, m) => sum + (op.elect === "count" ? Math.sign(m) : m), 0);
      const up = vote > 0 || (vote === 0 && (op.zero === "plus" || (op.majority ?? 0) > 0));
      const agreeing = moves.flatMap((m, k) => ((up ? m > 0 : m < 0) ? [k] : []));
      const terms = agreeing.map((k) => (op.parts?.[k] ?? 1) * moves[k]!);
      const sum = op.divisor === "largest" ? terms.reduce((most, t) => (Math.abs(t) > Math.abs(most) ? t : most), 0) : terms.reduce((s, t) => s + t, 0);
      const shares = agreeing.reduce((s, k) => s + (op.divisor === "count" ? 1 : (op.shares ?? op.weights)[k]!), 0);
      const by = op.divisor === "none" || op.divisor === "largest" ? 1 : Math.max(shares, op.floor ?? -Infinity);
      return (base + op.lambda * (sum / (by === 0 ? 1 : by))) * (op.scale ?? 1);
    }
    case "rows": {
      const r = op.by === "row" ? Math.floor(at / op.cols) : at % op.cols;
      return op.coefficients.reduce((sum, c, k) => sum + c[r]! * (op.change ? x[k]! - base : x[k]!), op.change ? base : op.base[r]! * base);
    }
    case "nearswap": {
      const d = x[0]! - base;
      return base + Math.min(1, Math.max(0, op.t / Math.max(Math.abs(d), 1e-6))) * d;
    }
    case "ram": {
      const touching = op.lambdas.flatMap((lambda, k) => (Math.abs(x[k]! - base) > 1e-5 ? [{ lambda, d: x[k]! - base }] : []));
      if (touching.length < 2) return base + touching.reduce((sum, t) => sum + t.lambda * t.d, 0);
      return base + touching.reduce((sum, t) => sum + t.d, 0) / touching.length;
    }
    case "weighted":
      throw new Error("weightedOne takes the Fisher too");
    case "project":
      throw new Error("a projection takes whole rows");
  }
}

/** One entry of a mean with a Fisher weight for each model, in float64, written from METHODS 10. */
export function weightedOne(op: Extract<TensorOp, { kind: "weighted" }>, values: readonly number[], fishers: readonly number[]): number {
  const weights = op.parts.map(({ coefficient, least }, k) => coefficient * Math.max(fishers[k]!, least));
  const total = weights.reduce((a, b) => a + b, 0);
  const shares = total > 0 ? weights.map((w) => w / total) : op.parts.map((p) => p.share);
  return shares.reduce((sum, share, k) => sum + share * values[k]!, 0);
}
