/** Sens-Merging's shares from its two measures, in float64. Source: arXiv:2502.12420 (METHODS 6). */

/** alpha_l = S_l / |S|_2 over the layers of one model; 1 / L each where all are 0. */
export function layerAlphas(sums: readonly number[]): number[] {
  const norm = Math.hypot(...sums);
  return sums.map((s) => (norm > 0 ? s / norm : 1 / sums.length));
}

/** tau_i = sum_j g_ij over the other models, divided by the sum of all; alike where no model is apart from another. */
export function modelTaus(distance: readonly (readonly number[])[]): number[] {
  const own = distance.map((row) => row.reduce((a, b) => a + b, 0));
  const all = own.reduce((a, b) => a + b, 0);
  return own.map((g) => (all > 0 ? g / all : 1 / own.length));
}

/** K sigma_i of one layer, sigma = softmax over the models of alpha_i tau_i / T: 1 each on average. */
export function layerShares(alphas: readonly number[], taus: readonly number[], temperature: number): number[] {
  const x = alphas.map((alpha, i) => (alpha * taus[i]!) / temperature);
  const top = Math.max(...x);
  const e = x.map((v) => Math.exp(v - top));
  const sum = e.reduce((a, b) => a + b, 0);
  return e.map((v) => (alphas.length * v) / sum);
}
