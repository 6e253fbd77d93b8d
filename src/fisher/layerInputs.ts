import type { GradientVisitor } from "../model/gradients";
import type { BufferScope } from "../model/scope";
import type { Probes } from "./probes";

/**
 * Inputs of the linear layer that is being finished, batch by batch, for the norm calibration by activations: the mask is
 * known with the last batch, so the inputs of the batches before it are kept until then. `show` gets them before the visitor
 * sees the last batch, and undefined after it.
 */
export function keepLayerInputs(buffers: BufferScope, visitor: GradientVisitor, show: (inputs: Probes[] | undefined) => void): void {
  const linear = visitor.linear!;
  const { gpu } = buffers;
  const earlier = new Map<string, Probes[]>();
  visitor.linear = async (gradient, batch) => {
    const { name, x, K } = gradient;
    const before = earlier.get(name) ?? [];
    if (batch.last) show([...before, { buffer: x, rows: batch.rows }]);
    else {
      const copy = buffers.alloc(4 * batch.rows * K, "layer inputs");
      gpu.copy(x, 0, copy, 0, 4 * batch.rows * K);
      earlier.set(name, [...before, { buffer: copy, rows: batch.rows }]);
    }
    await linear(gradient, batch);
    if (!batch.last) return;
    show(undefined);
    earlier.delete(name);
    buffers.free(...before.map((b) => b.buffer));
  };
}
