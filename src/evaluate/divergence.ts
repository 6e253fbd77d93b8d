/** Logits of one model at some rows and some ids: values[row * stride + id]. */
export interface LogitsPart {
  values: Float32Array;
  stride: number;
}

interface RunningRow {
  /** Largest logit so far, and sum of exp(logit - largest). */
  largest: Float64Array;
  sum: Float64Array;
  /** Logit of the token that came. */
  target: Float64Array;
}

/**
 * How well models foresee a text, and how far their predictions are apart, from logits that come in panels of the vocabulary:
 *   z_k[t] = log sum_v exp(a_k[t,v])
 *   perplexity_k = exp(mean over t with a next token of z_k[t] - a_k[t, next])
 *   KL(p || q) = mean over all t of sum_v P_p (log P_p - log P_q) = sum_v P_p (a_p - a_q) - z_p + z_q,   P_k = exp(a_k - z_k)
 * in float64 and nats. Sums are kept relative to the largest logit so far, so that one look at each panel is enough. A logit
 * that is not finite makes what it touches NaN.
 */
export class OutputComparison {
  private readonly models: RunningRow[];
  /** Per pair and row: sum_v exp(a_p - largest_p) (a_p - a_q). */
  private readonly apart: Float64Array[];

  /** `targets`: the next token of each row, -1 where there is none. `pairs`: (p, q) of KL(p || q). */
  constructor(
    models: number,
    private readonly pairs: readonly (readonly [number, number])[],
    private readonly targets: Int32Array,
  ) {
    const rows = targets.length;
    this.models = Array.from({ length: models }, () => ({ largest: new Float64Array(rows).fill(-Infinity), sum: new Float64Array(rows), target: new Float64Array(rows).fill(NaN) }));
    this.apart = pairs.map(() => new Float64Array(rows));
  }

  /** Logits of all models at rows firstRow .. firstRow + rows and ids row0 .. row0 + columns. Each row and id comes once. */
  add(firstRow: number, rows: number, row0: number, columns: number, parts: readonly LogitsPart[]): void {
    for (let r = 0; r < rows; r++) {
      const t = firstRow + r;
      const next = this.targets[t]! - row0;
      for (const [k, { values, stride }] of parts.entries()) {
        const model = this.models[k]!;
        const from = r * stride;
        if (next >= 0 && next < columns) model.target[t] = values[from + next]!;
        let largest = model.largest[t]!;
        for (let c = 0; c < columns; c++) if (values[from + c]! > largest) largest = values[from + c]!;
        const shrink = largest === -Infinity ? 1 : Math.exp(model.largest[t]! - largest);
        model.largest[t] = largest;
        let sum = model.sum[t]! * shrink;
        const others = this.pairs.flatMap(([p, q], i) => (p === k ? [{ i, sum: this.apart[i]![t]! * shrink, ...parts[q]! }] : []));
        for (let c = 0; c < columns; c++) {
          const own = values[from + c]!;
          const weight = Math.exp(own - largest);
          sum += weight;
          for (const other of others) other.sum += weight * (own - other.values[r * other.stride + c]!);
        }
        model.sum[t] = sum;
        for (const other of others) this.apart[other.i]![t] = other.sum;
      }
    }
  }

  private logSum(model: number, t: number): number {
    const { largest, sum } = this.models[model]!;
    return largest[t]! + Math.log(sum[t]!);
  }

  perplexity(model: number): number {
    let total = 0;
    let count = 0;
    this.targets.forEach((next, t) => {
      if (next < 0) return;
      total += this.logSum(model, t) - this.models[model]!.target[t]!;
      count++;
    });
    return Math.exp(total / count);
  }

  /** Of the pair's index, in nats. */
  divergence(pair: number): number {
    const [p, q] = this.pairs[pair]!;
    let total = 0;
    for (let t = 0; t < this.targets.length; t++) total += this.apart[pair]![t]! / this.models[p]!.sum[t]! - this.logSum(p, t) + this.logSum(q, t);
    // Rounding may leave equal models a little below 0.
    return Math.max(0, total / this.targets.length);
  }
}
