import type { ArrayStore, MaskStore, TensorStats } from "../fisher/types";
import type { KeyValue } from "../store/keyValue";
import type { MeasureReport } from "./api";
import { journaled, PassJournalBook, removeJournal, type JournalFor } from "./passJournal";

/** A finished pass: what shapes and merges are made from. */
export interface StoredPass {
  key: string;
  stats: TensorStats[];
  report: MeasureReport;
}

/** Passes that are kept, unfinished ones and those of later stages among them; a 7B pass is 0.8 GB of masks. */
const KEPT = 4;
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

  /** What a pass found beside its sums; it goes with the masks. */
  arrays(key: string): ArrayStore {
    return {
      put: (name, values) => this.keyValue.set(`mask/${key}/array/${name}`, values, "relaxed"),
      get: (name) => this.keyValue.get<Float32Array>(`mask/${key}/array/${name}`),
    };
  }

  /** Makes room for a pass that is about to run, or to go on. */
  async begin(key: string): Promise<void> {
    const order = [...(await this.order()).filter((k) => k !== key), key];
    for (const oldest of order.splice(0, Math.max(0, order.length - KEPT))) await this.remove(oldest);
    await this.keyValue.set(ORDER, order, "strict");
    // A page that was closed between the two writes of `put` leaves a journal that nobody needs.
    const keys = await this.keyValue.keys();
    for (const other of journaled(keys)) if (!order.includes(other) || keys.includes(`pass/${other}`)) await removeJournal(this.keyValue, other);
  }

  /** What an interrupted pass left, where the pass of this key writes down each step. */
  journal(key: string, how: JournalFor): Promise<PassJournalBook> {
    return PassJournalBook.open(this.keyValue, key, how);
  }

  dropJournal(key: string): Promise<void> {
    return removeJournal(this.keyValue, key);
  }

  async put(pass: StoredPass): Promise<void> {
    await this.keyValue.set(`pass/${pass.key}`, pass, "strict");
    await removeJournal(this.keyValue, pass.key);
  }

  /** Removes a pass, its masks and its journal; also what a cancelled one left. */
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
    await removeJournal(this.keyValue, key);
  }
}
