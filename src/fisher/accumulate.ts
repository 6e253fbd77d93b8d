import { fisherBias, fisherEmbedding, fisherHead, fisherLinear, fisherNorm } from "../kernels/nn/fisher";
import type { Gpu } from "../gpu/gpu";
import { rowPanels, type Weight } from "../gpu/weight";
import type { GradientBatch, GradientVisitor } from "../model/gradients";
import { BufferScope } from "../model/scope";

/** Rows [row0, row0 + rows) of a tensor's raw squared gradients, f32 [rows, cols] on the GPU. */
export interface FisherPanel {
  row0: number;
  rows: number;
  buffer: GPUBuffer;
}

/**
 * One tensor's diagonal Fisher, summed over sequences and not yet divided:
 *   F = raw / (sequences * lossScale^2)
 * `rowIds`: the panel is compact, its row i is row rowIds[i] of the tensor; all other rows are zero (input embedding).
 */
export interface FisherTensor {
  name: string;
  kind: "linear" | "bias" | "norm" | "embedding" | "head";
  rows: number;
  cols: number;
  panels: FisherPanel[];
  rowIds?: Uint32Array;
  /** The tensor whose gradient this is, as stored, while its block is on the GPU. */
  weight?: Weight;
  /** Whether these are all panels of the tensor: the head comes panel by panel. */
  complete: boolean;
}

/**
 * A visitor that turns per-sequence gradients into squared sums, tensor by tensor, and hands each one over while its
 * block is on the GPU. Batches accumulate; buffers are released after the handler's promise settles. `end` gives back what
 * a pass that failed left open.
 *   raw[n, k] = sum over sequences s of (sum over rows t of s of dy[t, n] x[t, k])^2
 * Source: FIM-Merging eq. 7, squared per sequence (METHODS A10).
 */
export function fisherVisitor(gpu: Gpu, onTensor: (tensor: FisherTensor) => Promise<void>, panelBytes: number): GradientVisitor & { end(): void } {
  const scope = new BufferScope(gpu);
  const open = new Map<string, FisherPanel[]>();
  const compact = new Map<string, { ids: Uint32Array; buffer: GPUBuffer }>();

  const panelsOf = (name: string, rows: number, cols: number): FisherPanel[] => {
    const known = open.get(name);
    if (known) return known;
    const made = rowPanels(rows, cols, panelBytes).map((p) => ({ ...p, buffer: scope.alloc(p.rows * cols * 4, `F ${name}`) }));
    open.set(name, made);
    return made;
  };
  const close = async (tensor: Omit<FisherTensor, "panels">, panels: FisherPanel[], batch: GradientBatch): Promise<void> => {
    if (!batch.last) return;
    open.delete(tensor.name);
    await onTensor({ ...tensor, panels });
    scope.free(...panels.map((p) => p.buffer));
  };

  const sums = ({ starts, sequences, first }: GradientBatch) => ({ starts, sequences, accumulate: !first });

  return {
    async linear({ name, biasName, N, K, x, dy, weight }, batch) {
      const panels = panelsOf(name, N, K);
      for (const panel of panels)
        fisherLinear(gpu, { ...sums(batch), x, dy, N, K, row0: panel.row0, rows: panel.rows, dyStride: N, dyColumn0: panel.row0, out: panel.buffer });
      await close({ name, kind: "linear", rows: N, cols: K, weight, complete: true }, panels, batch);
      if (biasName === undefined) return;
      const bias = panelsOf(biasName, 1, N);
      fisherBias(gpu, { ...sums(batch), dy, N, out: bias[0]!.buffer });
      await close({ name: biasName, kind: "bias", rows: 1, cols: N, complete: true }, bias, batch);
    },

    async norm({ name, C, x, rstd, dy, rowsPerToken }, batch) {
      const panels = panelsOf(name, 1, C);
      fisherNorm(gpu, { ...sums(batch), x, rstd, dy, C, rowsPerToken, out: panels[0]!.buffer });
      await close({ name, kind: "norm", rows: 1, cols: C, complete: true }, panels, batch);
    },

    async embedding({ name, V, C, tokens, dx, tied }, batch) {
      if (tied) return; // counted with the head, where both parts are summed before squaring
      const ids = Uint32Array.from(new Set(tokens)).sort();
      const buffer = scope.alloc(ids.length * C * 4, `F ${name}`);
      fisherEmbedding(gpu, { dx, tokens, startsCpu: batch.startsCpu, ids, C, out: buffer });
      const before = compact.get(name);
      const merged = before ? await mergeCompact(scope, before, { ids, buffer }, C) : { ids, buffer };
      if (!batch.last) {
        compact.set(name, merged);
        return;
      }
      compact.delete(name);
      await onTensor({ name, kind: "embedding", rows: V, cols: C, panels: [{ row0: 0, rows: merged.ids.length, buffer: merged.buffer }], rowIds: merged.ids, complete: true });
      scope.free(merged.buffer);
    },

    async head({ name, V, C, row0, rows, hidden, dlogits, embedding, weight }, batch) {
      const key = `${name}@${row0}`;
      const panels = open.get(key) ?? [{ row0, rows, buffer: scope.alloc(rows * C * 4, `F ${name}`) }];
      open.set(key, panels);
      fisherHead(gpu, { ...sums(batch), x: hidden, dy: dlogits, K: C, row0, rows, embedding, out: panels[0]!.buffer });
      if (!batch.last) return;
      open.delete(key);
      await onTensor({ name, kind: "head", rows: V, cols: C, panels, weight, complete: row0 + rows === V });
      scope.free(panels[0]!.buffer);
    },

    end: () => scope.end(),
  };
}

/** Adds two compact row sets: rows in both are summed. Small (at most the tokens of two batches), so done on the CPU. */
async function mergeCompact(scope: BufferScope, a: { ids: Uint32Array; buffer: GPUBuffer }, b: { ids: Uint32Array; buffer: GPUBuffer }, C: number): Promise<{ ids: Uint32Array; buffer: GPUBuffer }> {
  const ids = Uint32Array.from(new Set([...a.ids, ...b.ids])).sort();
  const sum = new Float32Array(ids.length * C);
  const at = new Map(Array.from(ids, (id, i) => [id, i]));
  for (const part of [a, b]) {
    const values = await scope.gpu.readFloats(part.buffer, part.ids.length * C);
    part.ids.forEach((id, i) => {
      const to = at.get(id)! * C;
      for (let c = 0; c < C; c++) sum[to + c]! += values[i * C + c]!;
    });
    scope.free(part.buffer);
  }
  return { ids, buffer: scope.upload(sum, "F embedding") };
}
