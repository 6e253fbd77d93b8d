import type { MaskStore, TensorStats } from "../fisher/types";
import type { KeyValue } from "../store/keyValue";
import type { MeasureReport } from "./api";

/** A finished pass: what shapes and merges are made from. */
export interface StoredPass {
  key: string;
  stats: TensorStats[];
  report: MeasureReport;
}

/** Passes that are kept; a 7B pass is 0.8 GB of masks. */
const KEPT = 3;
const ORDER = "order";

/**
 * Finished passes by key, in a key-value database: they outlive a reload. Masks are written while the pass runs; the
 * pass itself is written last, so that a pass that is listed is whole. The oldest go first, also one that a closed page
 * left unfinished, because a pass is in the order from its beginning.
 */
export class PassStore {
  constructor(private readonly keyValue: KeyValue) {}

  get(key: string): Promise<StoredPass | undefined> {
    return this.keyValue.get<StoredPass>(`pass/${key}`);
  }

  masks(key: string): MaskStore {
    return {
      put: (name, expert, words) => this.keyValue.set(`mask/${key}/${expert}/${name}`, words, "relaxed"),
      get: (name, expert) => this.keyValue.get<Uint32Array>(`mask/${key}/${expert}/${name}`),
    };
  }

  /** Makes room for a pass that is about to run. */
  async begin(key: string): Promise<void> {
    const order = [...(await this.order()).filter((k) => k !== key), key];
    for (const oldest of order.splice(0, Math.max(0, order.length - KEPT))) await this.remove(oldest);
    await this.keyValue.set(ORDER, order, "strict");
  }

  put(pass: StoredPass): Promise<void> {
    return this.keyValue.set(`pass/${pass.key}`, pass, "strict");
  }

  /** Removes a pass and its masks; also what a cancelled one left. */
  async drop(key: string): Promise<void> {
    await this.remove(key);
    await this.keyValue.set(ORDER, (await this.order()).filter((k) => k !== key), "strict");
  }

  private async order(): Promise<string[]> {
    return (await this.keyValue.get<string[]>(ORDER)) ?? [];
  }

  private async remove(key: string): Promise<void> {
    await this.keyValue.del(`pass/${key}`);
    for (const k of await this.keyValue.keys()) if (k.startsWith(`mask/${key}/`)) await this.keyValue.del(k);
  }
}
