import type { TensorStats } from "../fisher/types";
import type { KeyValue } from "../store/keyValue";
import type { MaskStore } from "../fisher/types";
import type { MeasureReport } from "./api";

/** A finished pass: what shapes and merges are made from. */
export interface StoredPass {
  key: string;
  stats: TensorStats[];
  report: MeasureReport;
}

/** Passes that are kept; a 7B pass is 0.8 GB of masks. */
const KEPT = 3;

/**
 * Finished passes by key, in a key-value database: they outlive a reload. Masks are written while the pass runs; the
 * pass itself is written last, so that a pass that is listed is whole. The oldest go first.
 */
export class PassStore {
  private readonly cache = new Map<string, StoredPass>();

  constructor(private readonly keyValue: KeyValue) {}

  async get(key: string): Promise<StoredPass | undefined> {
    const known = this.cache.get(key);
    if (known) return known;
    const stored = await this.keyValue.get<StoredPass>(`pass/${key}`);
    if (stored) this.cache.set(key, stored);
    return stored;
  }

  masks(key: string): MaskStore {
    return {
      put: (name, expert, words) => this.keyValue.set(`mask/${key}/${expert}/${name}`, words, "relaxed"),
      get: (name, expert) => this.keyValue.get<Uint32Array>(`mask/${key}/${expert}/${name}`),
    };
  }

  async put(pass: StoredPass): Promise<void> {
    await this.keyValue.set(`pass/${pass.key}`, pass, "strict");
    this.cache.set(pass.key, pass);
    const order = ((await this.keyValue.get<string[]>("order")) ?? []).filter((k) => k !== pass.key);
    order.push(pass.key);
    while (order.length > KEPT) await this.drop(order.shift()!);
    await this.keyValue.set("order", order, "strict");
  }

  /** Removes a pass and its masks; also what a cancelled one left. */
  async drop(key: string): Promise<void> {
    this.cache.delete(key);
    await this.keyValue.del(`pass/${key}`);
    for (const k of await this.keyValue.keys()) if (k.startsWith(`mask/${key}/`)) await this.keyValue.del(k);
  }
}
