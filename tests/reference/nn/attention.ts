type Vec = ArrayLike<number>;

export interface AttentionSizes {
  H: number;
  KV: number;
  D: number;
  /** First row of each sequence, and the number of rows at the end. */
  starts: number[];
  /** 0: every earlier key is seen. */
  window: number;
}

/** Calls `visit(row, head, kv head, first key)` for every row of every sequence. */
function eachRow({ H, KV, starts, window }: AttentionSizes, visit: (i: number, h: number, kv: number, first: number) => void): void {
  for (let s = 0; s + 1 < starts.length; s++)
    for (let i = starts[s]!; i < starts[s + 1]!; i++)
      for (let h = 0; h < H; h++) visit(i, h, Math.floor((h * KV) / H), window > 0 ? Math.max(starts[s]!, i - window + 1) : starts[s]!);
}

/** softmax over keys first..i of q_i . k_j / sqrt(D). */
function probabilities(q: Vec, k: Vec, { H, KV, D }: AttentionSizes, i: number, h: number, kv: number, first: number): number[] {
  const scores: number[] = [];
  for (let j = first; j <= i; j++) {
    let dot = 0;
    for (let d = 0; d < D; d++) dot += q[(i * H + h) * D + d]! * k[(j * KV + kv) * D + d]!;
    scores.push(dot / Math.sqrt(D));
  }
  const top = Math.max(...scores);
  const exps = scores.map((s) => Math.exp(s - top));
  const sum = exps.reduce((a, b) => a + b, 0);
  return exps.map((e) => e / sum);
}

/** y_i = sum_j softmax_j(q_i . k_j / sqrt(D)) v_j, causal within each sequence. float64. */
export function attention(q: Vec, k: Vec, v: Vec, sizes: AttentionSizes): Float64Array {
  const { H, KV, D } = sizes;
  const y = new Float64Array(q.length);
  eachRow(sizes, (i, h, kv, first) => {
    probabilities(q, k, sizes, i, h, kv, first).forEach((p, n) => {
      for (let d = 0; d < D; d++) y[(i * H + h) * D + d]! += p * v[((first + n) * KV + kv) * D + d]!;
    });
  });
  return y;
}

/** Softmax backward as the full Jacobian product: dscore_j = p_j (dp_j - sum_k p_k dp_k). */
export function attentionBackward(q: Vec, k: Vec, v: Vec, sizes: AttentionSizes, dy: Vec): { dq: Float64Array; dk: Float64Array; dv: Float64Array } {
  const { H, KV, D } = sizes;
  const dq = new Float64Array(q.length);
  const dk = new Float64Array(k.length);
  const dv = new Float64Array(v.length);
  eachRow(sizes, (i, h, kv, first) => {
    const p = probabilities(q, k, sizes, i, h, kv, first);
    const at = (i * H + h) * D;
    const dp = p.map((_, n) => {
      let dot = 0;
      for (let d = 0; d < D; d++) dot += dy[at + d]! * v[((first + n) * KV + kv) * D + d]!;
      return dot;
    });
    const mean = p.reduce((sum, value, n) => sum + value * dp[n]!, 0);
    p.forEach((value, n) => {
      const key = ((first + n) * KV + kv) * D;
      const ds = (value * (dp[n]! - mean)) / Math.sqrt(D);
      for (let d = 0; d < D; d++) {
        dv[key + d]! += value * dy[at + d]!;
        dq[at + d]! += ds * k[key + d]!;
        dk[key + d]! += ds * q[at + d]!;
      }
    });
  });
  return { dq, dk, dv };
}
