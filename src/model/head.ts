import type { TensorSource } from "../core/tensors";
import { panelForward } from "../kernels/nn/gemm";
import { MAX_BINDING_BYTES, type Gpu } from "../gpu/gpu";
import { rowPanels, type Weight, type WeightPanel } from "../gpu/weight";
import { EMBEDDING, HEAD } from "./architectures";
import type { ModelConfig } from "./config";
import type { Pace } from "./pace";
import { Pinned } from "./pinned";
import { floatTensor, loadPanel } from "./weights";

/** Logits of one row panel of the vocabulary: f32 [batch rows, panel.rows], columns row0 .. row0 + rows of the vocabulary. */
export interface LogitsPanel {
  panel: WeightPanel;
  logits: GPUBuffer;
}

/**
 * The output head [V, C] in row panels. A panel is on the GPU while it is swept over, and stays for the next sweep where
 * there is room, until `release`.
 */
export class Head {
  readonly name: string;
  readonly ranges: { row0: number; rows: number }[];
  private readonly kept: Pinned<WeightPanel>;

  /** `maxRows`: rows of the largest batch; a panel's weights and its logits both stay within `maxBytes`. */
  constructor(
    private readonly gpu: Gpu,
    private readonly source: TensorSource,
    private readonly config: ModelConfig,
    maxRows: number,
    maxBytes = MAX_BINDING_BYTES,
  ) {
    this.name = config.tied ? EMBEDDING : HEAD;
    this.kept = new Pinned(gpu, "newest", (panel) => [panel.buffer]);
    this.ranges = rowPanels(config.vocab, Math.max(config.hidden, maxRows), maxBytes);
  }

  get dtype() {
    return floatTensor(this.source, this.name).dtype;
  }

  /** One panel as a weight of its own rows, for whoever looks at it during a sweep. */
  weightOf(panel: WeightPanel): Weight {
    return { name: this.name, dtype: this.dtype, rows: this.config.vocab, cols: this.config.hidden, panels: [panel] };
  }

  /** Panel by panel, and within it batch by batch: logits = hidden W^T, shown to `visit`. */
  async sweep<B extends { rows: number }>(batches: readonly B[], hidden: (batch: B) => GPUBuffer, pace: Pace, visit: (batch: B, at: LogitsPanel, index: number) => Promise<void>): Promise<void> {
    const { gpu, config } = this;
    for (const [index, range] of this.ranges.entries()) {
      const panel = this.kept.take(index) ?? (await loadPanel(gpu, this.source, this.name, range.row0, range.rows, pace.signal));
      try {
        await pace.wait();
        for (const batch of batches) {
          const logits = gpu.alloc(4 * batch.rows * panel.rows, "logits");
          try {
            panelForward(gpu, { x: hidden(batch), panel, cols: config.hidden, dtype: this.dtype, y: logits, M: batch.rows });
            await pace.after(2 * batch.rows * panel.rows * config.hidden);
            await visit(batch, { panel, logits }, index);
          } finally {
            gpu.release(logits);
          }
        }
      } finally {
        this.kept.keep(index, panel);
      }
    }
  }

  /** After the last sweep. */
  release(): void {
    this.kept.end();
  }
}
