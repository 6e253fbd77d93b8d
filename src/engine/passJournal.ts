import { journalDamaged } from "../model/walk";
import type { PassJournal, PassState } from "../fisher/journal";
import type { TensorStats } from "../fisher/types";
import { isQuotaFailure } from "../store/failures";
import type { Durability, KeyValue } from "../store/keyValue";

/** Raised when what a step leaves behind changes: older journals are dropped. */
export const JOURNAL_VERSION = 2;

/** What an engine must agree in to go on to the same bits: the adapter, and how matrices are cut. */
export interface JournalFor {
  identity: string;
  durability: Durability;
  /** Bytes read so far, for the progress of the run that continues. */
  bytes(): number;
}

interface Head {
  version: number;
  identity: string;
  bytes: number;
  /** One for each pass: with the Fisher taken at the fine-tuned models, each has its own. `logs`: records of finished tensors. */
  stages: { state: PassState; logs: number }[];
}

const PREFIX = "journal/";
const rootOf = (key: string): string => `${PREFIX}${key}/`;

/** Everything of a journal is under its pass's key. */
export async function removeJournal(keyValue: KeyValue, key: string): Promise<void> {
  for (const k of await keyValue.keys()) if (k.startsWith(rootOf(key))) await keyValue.del(k);
}

/** Keys of the passes that have a journal. */
export const journaled = (keys: readonly string[]): string[] => [...new Set(keys.filter((k) => k.startsWith(PREFIX)).map((k) => k.slice(PREFIX.length, k.indexOf("/", PREFIX.length))))];

/**
 * The journal of one pass in a key-value database, beside its masks:
 *   journal/<key>/head                  version, identity, state; written last in every step, so a step counts when all of it is there
 *   journal/<key>/stats/<stage>/<n>     tensors finished in a step
 *   journal/<key>/array/<name>          block inputs, gradients, labels
 * Opening drops a journal of another version or identity, and one whose parts are not all there. A full disk ends the
 * journal and not the pass.
 */
export class PassJournalBook {
  private head: Head;
  private readonly stats: TensorStats[][] = [];
  private off = false;

  private constructor(
    private readonly keyValue: KeyValue,
    private readonly root: string,
    private readonly how: JournalFor,
  ) {
    this.head = { version: JOURNAL_VERSION, identity: how.identity, bytes: 0, stages: [] };
  }

  static async open(keyValue: KeyValue, key: string, how: JournalFor): Promise<PassJournalBook> {
    const book = new PassJournalBook(keyValue, rootOf(key), how);
    if (!(await book.load(key))) {
      book.stats.length = 0;
      await removeJournal(keyValue, key);
    }
    return book;
  }

  /** What an earlier run has finished; undefined: nothing. */
  get reached(): { stage: number; state: PassState; bytes: number } | undefined {
    const stage = this.head.stages.length - 1;
    return stage < 0 ? undefined : { stage, state: this.head.stages[stage]!.state, bytes: this.head.bytes };
  }

  /** Whether a full disk ended the journal. */
  get full(): boolean {
    return this.off;
  }

  stage(index: number): PassJournal {
    const { keyValue, root } = this;
    return {
      state: this.head.stages[index]?.state,
      stats: this.stats[index] ?? [],
      require: async (names) => {
        const keys = new Set(await keyValue.keys());
        const missing = names.find((name) => !keys.has(`${root}array/${name}`));
        if (missing !== undefined) throw journalDamaged(`"${missing}" is not there`);
      },
      read: async (name, length) => {
        const found = await keyValue.get<unknown>(`${root}array/${name}`);
        if (!(found instanceof Float32Array) || found.length !== length) throw journalDamaged(`"${name}" is not an array of ${length} values`);
        return found;
      },
      put: (name, values) => this.write(() => keyValue.set(`${root}array/${name}`, values, "relaxed")),
      commit: (state, { stats, drop }) => this.write(() => this.commit(index, state, stats, drop)),
    };
  }

  private async commit(index: number, state: PassState, stats: readonly TensorStats[], drop: readonly string[]): Promise<void> {
    const { keyValue, root } = this;
    const known = this.head.stages[index]?.logs ?? 0;
    const entries: [string, unknown][] = stats.length > 0 ? [[logKey(root, index, known), stats]] : [];
    this.head = { ...this.head, bytes: this.how.bytes(), stages: [...this.head.stages.slice(0, index), { state, logs: known + entries.length }] };
    await keyValue.setMany([...entries, [`${root}head`, this.head]], this.how.durability);
    for (const name of drop) await keyValue.del(`${root}array/${name}`, "relaxed");
  }

  private async write(work: () => Promise<void>): Promise<void> {
    if (this.off) return;
    try {
      await work();
    } catch (error) {
      if (!isFull(error)) throw error;
      this.off = true;
      for (const k of await this.keyValue.keys()) if (k.startsWith(this.root)) await this.keyValue.del(k);
    }
  }

  /** False unless the journal is whole and of this version and identity. */
  private async load(key: string): Promise<boolean> {
    const { keyValue, root, how } = this;
    const head = await keyValue.get<Head>(`${root}head`);
    if (head?.version !== JOURNAL_VERSION || head.identity !== how.identity || !Array.isArray(head.stages)) return false;
    const keys = new Set(await keyValue.keys());
    for (const [stage, { logs }] of head.stages.entries()) {
      const stats: TensorStats[] = [];
      for (let n = 0; n < logs; n++) {
        const log = await keyValue.get<TensorStats[]>(logKey(root, stage, n));
        if (!Array.isArray(log)) return false;
        stats.push(...log);
      }
      const withMask = stats.flatMap((s) => s.experts.flatMap((e, i) => (e.kept !== undefined && !e.maker ? [`mask/${key}/${stage + i}/${s.name}`] : [])));
      if (withMask.some((k) => !keys.has(k))) return false;
      this.stats.push(stats);
    }
    this.head = head;
    return true;
  }
}

const logKey = (root: string, stage: number, n: number): string => `${root}stats/${stage}/${String(n).padStart(6, "0")}`;
const isFull = (error: unknown): boolean => isQuotaFailure(error) || (error as { code?: unknown } | undefined)?.code === "ENOSPC";
