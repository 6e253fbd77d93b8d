import type { Gpu } from "../gpu/gpu";
import type { WeightPanel } from "../gpu/weight";

/** One holder's part in buffers that others may hold too. */
export interface Share {
  readonly panels: readonly WeightPanel[];
  /** From now on others may take part: the device has confirmed what was written. */
  offer(): void;
  /** The last holder's gives the buffers back. Called again it does nothing. */
  release(): void;
}

interface Entry {
  key: string | undefined;
  panels: readonly WeightPanel[];
  bytes: number;
  holders: number;
}

/**
 * Weights on a device, counted by who holds them, so that models with a tensor in common have it there once. A key says all
 * that the bytes depend on, and the form that they are held in; what has no key is never shared.
 */
export class WeightPool {
  private readonly offered = new Map<string, Entry>();
  /** Bytes of all buffers, each once, however many hold it. */
  heldBytes = 0;

  constructor(readonly gpu: Gpu) {}

  has(key: string | undefined): boolean {
    return key !== undefined && this.offered.has(key);
  }

  /** A part in what somebody holds under this key. */
  take(key: string | undefined): Share | undefined {
    const entry = key === undefined ? undefined : this.offered.get(key);
    return entry && this.share(entry);
  }

  /** Buffers that were just written; the pool gives them back when nobody holds them any more. */
  add(key: string | undefined, panels: readonly WeightPanel[]): Share {
    const bytes = panels.reduce((sum, { buffer }) => sum + buffer.size, 0);
    this.heldBytes += bytes;
    return this.share({ key, panels, bytes, holders: 0 });
  }

  private share(entry: Entry): Share {
    entry.holders++;
    let held = true;
    return {
      panels: entry.panels,
      offer: () => {
        // Made twice at one time, each stays its maker's.
        if (held && entry.key !== undefined && !this.offered.has(entry.key)) this.offered.set(entry.key, entry);
      },
      release: () => {
        if (!held) return;
        held = false;
        if (--entry.holders > 0) return;
        if (entry.key !== undefined && this.offered.get(entry.key) === entry) this.offered.delete(entry.key);
        this.heldBytes -= entry.bytes;
        this.gpu.release(...entry.panels.map(({ buffer }) => buffer));
      },
    };
  }
}
