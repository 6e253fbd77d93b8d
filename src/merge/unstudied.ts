import type { Study, TensorStudy } from "../fisher/study";

/**
 * A finding of the right shape for what a study asks, for a plan that is made before anything was read: it says which models
 * an operation reads and what it needs of the GPU, never what it computes.
 */
export function unstudied(study: Study | undefined, models: number, rows: number, cols: number): TensorStudy | undefined {
  switch (study?.kind) {
    case "gram": {
      const count = models + (study.of === "models" ? 1 : 0);
      if (study.by === "tensor") return { gram: Array.from({ length: count }, (_, i) => Array.from({ length: count }, (_, j) => (i === j ? 1 : 0))) };
      const lines = study.by === "row" ? rows : cols;
      return { lineGram: Array.from({ length: (count * (count + 1)) / 2 }, () => new Float64Array(lines).fill(1)) };
    }
    case "variance":
      return { delta2Means: new Array<number>(models).fill(1) };
    case "touched":
      return { touched: Array.from({ length: models }, () => ({ alone: 1, shared: 1 })) };
    default:
      return undefined;
  }
}

/** The same for what the passes of methods find that measure with gradients: every model counts alike. The base may be one more. */
export function unmeasured(models: number): TensorStudy {
  const ones = new Array<number>(models + 1).fill(1);
  return { fisher: { norms: ones, means: ones, own: ones, known: true }, sensitivity: { alphas: ones.slice(1), taus: ones.slice(1) } };
}
