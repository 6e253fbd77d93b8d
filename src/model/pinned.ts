import type { Gpu } from "../gpu/gpu";
import type { Reserve } from "../gpu/memory";

/**
 * Weights that stay on the GPU after their use, by number, because they will be needed again: until then they are lent
 * room that nobody else needs. When room is needed, the one whose next use is furthest away goes back to the pool first:
 * the `oldest` where a walk comes back in the other direction, as from the forward to the backward blocks; the `newest`
 * where it begins again, as the sweeps over the head do. Keeping changes what is read, never what is computed.
 */
export class Pinned<T> implements Reserve {
  private readonly items = new Map<number, { item: T; buffers: readonly GPUBuffer[] }>();
  /** How often a second read was saved. */
  reused = 0;

  constructor(
    private readonly gpu: Gpu,
    private readonly furthest: "oldest" | "newest",
    private readonly buffersOf: (item: T) => readonly GPUBuffer[],
  ) {
    gpu.addReserve(this);
  }

  /** Takes over what the caller holds. */
  keep(key: number, item: T): void {
    const buffers = this.buffersOf(item);
    this.items.set(key, { item, buffers });
    this.gpu.setAside(buffers);
  }

  /** What was kept under this number, if it is still there; the caller holds it again. */
  take(key: number): T | undefined {
    const kept = this.items.get(key);
    if (!kept) return undefined;
    this.items.delete(key);
    this.gpu.takeBack(kept.buffers);
    this.reused++;
    return kept.item;
  }

  giveBack(): boolean {
    const keys = [...this.items.keys()];
    const key = this.furthest === "oldest" ? keys[0] : keys.at(-1);
    if (key === undefined) return false;
    const { buffers } = this.items.get(key)!;
    this.items.delete(key);
    this.gpu.takeBack(buffers);
    this.gpu.release(...buffers);
    return true;
  }

  /** Gives back what is left. */
  clear(): void {
    while (this.giveBack());
  }

  end(): void {
    this.clear();
    this.gpu.removeReserve(this);
  }
}
