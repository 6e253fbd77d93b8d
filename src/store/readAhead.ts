import { cancelled, StudioError, throwIfCancelled } from "../core/errors";
import type { FileSource } from "../core/files";
import { clockOf, type StageClock } from "../core/stages";
import type { Lease, TensorSource } from "../core/tensors";

/** A read that is to come: of a tensor, or of a file, of the source with this number. */
export interface PlannedRead {
  source: number;
  name: string;
  offset: number;
  length: number;
}

export interface ReadAheadOptions {
  /** Buffers of the ring; 0 turns reading ahead off. */
  buffers: number;
  /** Size of each; a longer read is never made ahead. */
  bufferBytes: number;
  signal: AbortSignal;
  /** Reads at one time. */
  inFlight?: number;
}

/** What became of the reads so far. */
export interface ReadAheadCounts {
  /** Were there, or on their way, when they were asked for. */
  ahead: number;
  /** Were planned, but not begun when they were asked for. */
  late: number;
  /** Were not planned. */
  unplanned: number;
  /** Were read and never asked for. */
  dropped: number;
  /** Reads on their way now, and buffers of the ring that hold or await bytes, with their peak. */
  inFlight: number;
  inUse: number;
  mostInUse: number;
}

/** Reads up to this size have arrays of their own: norms and biases would waste a buffer of the ring. */
const SMALL_BYTES = 64 * 1024;
const MOST_SMALL = 64;
/** How far along the plan a read may lie from the one before. The first may lie anywhere, as in a job that is resumed, and so may one after this many that the plan did not know. */
const JUMP = 512;
const STRAYS = 8;

interface Ahead {
  bytes: Promise<Uint8Array>;
  buffer: ArrayBuffer | undefined;
}

type Reader = (name: string, offset: number, length: number, into: Uint8Array) => Promise<Uint8Array>;

/**
 * Reads what a phase is going to need before it asks, into a ring of buffers that are used again and again. Who reads gets
 * a buffer of the ring on loan; giving it back is the credit for another read. A read that is not the next of the plan
 * skips those before it, and one that the plan does not know goes to the source directly, so a plan that is wrong costs
 * time and never bytes. The bytes are the same with and without.
 *   follow(plan) -> the ring fills;  wrap(source, k).lease(...) -> bytes;  done() -> the ring fills again;  end()
 */
export class ReadAhead {
  readonly counts: ReadAheadCounts = { ahead: 0, late: 0, unplanned: 0, dropped: 0, inFlight: 0, inUse: 0, mostInUse: 0 };
  private readonly readers = new Map<number, Reader>();
  private readonly free: ArrayBuffer[] = [];
  private made = 0;
  /** Buffers for reads that were not made ahead: one in use, one beside it. */
  private readonly spare: ArrayBuffer[] = [];
  private plan: readonly PlannedRead[] = [];
  private places = new Map<string, number[]>();
  /** The first entry of the plan that was neither asked for nor skipped, and the first that was not begun. */
  private cursor = 0;
  private next = 0;
  private found = false;
  private strays = 0;
  private readonly begun = new Map<number, Ahead>();
  private readonly pending = new Set<Promise<unknown>>();
  private small = 0;
  private ended = false;
  private readonly clock: StageClock | undefined;

  constructor(private readonly options: ReadAheadOptions) {
    this.clock = clockOf(options.signal);
    options.signal.addEventListener("abort", () => this.stop(), { once: true });
  }

  /** The longest read that can be made ahead. */
  get bufferBytes(): number {
    return this.options.bufferBytes;
  }

  get buffers(): number {
    return this.options.buffers;
  }

  /** The source, reading through the ring. `source` is its number in plans. */
  wrap<T extends TensorSource>(inner: T, source: number): T {
    this.readers.set(source, (name, offset, length, into) => inner.read(name, offset, length, into));
    return { ...inner, tensors: inner.tensors, ...this.access(source) };
  }

  /** A file, reading through the ring; its path is its name in plans. */
  wrapFile(file: FileSource, source: number): { lease(offset: number, length: number): Promise<Lease> } {
    this.readers.set(source, (_, offset, length, into) => file.read(offset, length, into));
    return { lease: (offset, length) => this.lease(source, file.path, offset, length) };
  }

  /** The reads of the phase that begins, in their order. What is left of the plan before is dropped. */
  follow(plan: readonly PlannedRead[]): void {
    this.drop(Infinity);
    this.plan = plan;
    this.places = new Map();
    plan.forEach((read, i) => {
      const key = keyOf(read);
      const at = this.places.get(key);
      if (at) at.push(i);
      else this.places.set(key, [i]);
    });
    this.cursor = this.next = 0;
    this.found = false;
    this.fill();
  }

  /** Begins no more reads. Resolves when those on their way have ended and every buffer that is not on loan is free. */
  async end(): Promise<void> {
    this.stop();
    await Promise.allSettled([...this.pending]);
  }

  private access(source: number): Required<Pick<TensorSource, "read" | "lease">> {
    const lease = (name: string, offset: number, length: number): Promise<Lease> => this.lease(source, name, offset, length);
    return {
      lease,
      read: async (name, offset, length, into) => {
        const target = into?.subarray(0, length) ?? new Uint8Array(length);
        const at = this.place(source, name, offset, length);
        if (at === undefined || !this.begun.has(at)) {
          this.skipTo(at, false);
          return this.direct(source, name, offset, length, target);
        }
        const { bytes, done } = await lease(name, offset, length);
        target.set(bytes);
        done();
        return target;
      },
    };
  }

  private async lease(source: number, name: string, offset: number, length: number): Promise<Lease> {
    throwIfCancelled(this.options.signal);
    const at = this.place(source, name, offset, length);
    const entry = at === undefined ? undefined : this.begun.get(at);
    if (entry) this.begun.delete(at!);
    this.skipTo(at, entry !== undefined);
    if (!entry) {
      const fit = this.spare.findIndex((buffer) => buffer.byteLength >= length);
      const buffer = fit >= 0 ? this.spare.splice(fit, 1)[0]! : new ArrayBuffer(length);
      const give = once(() => void (this.spare.length < 2 && this.spare.push(buffer)));
      try {
        return { bytes: await this.direct(source, name, offset, length, new Uint8Array(buffer, 0, length)), done: give };
      } catch (error) {
        give();
        throw error;
      }
    }
    const give = once(() => this.giveBack(entry));
    try {
      return { bytes: await untilAborted(entry.bytes, this.options.signal), done: give };
    } catch (error) {
      // After a cancel the read may still be writing into its buffer, which is free when it has ended.
      entry.bytes.then(give, give);
      throw error;
    }
  }

  private async direct(source: number, name: string, offset: number, length: number, into: Uint8Array): Promise<Uint8Array> {
    throwIfCancelled(this.options.signal);
    const end = this.clock?.begin("read");
    try {
      return await this.readers.get(source)!(name, offset, length, into);
    } finally {
      end?.(length);
    }
  }

  /** Where the read lies in what is left of the plan. */
  private place(source: number, name: string, offset: number, length: number): number | undefined {
    const at = this.places.get(keyOf({ source, name, offset, length }))?.find((i) => i >= this.cursor);
    return at === undefined || (this.found && at - this.cursor > JUMP) ? undefined : at;
  }

  /** The read at this place of the plan is made now: those before it will not be asked for any more. */
  private skipTo(at: number | undefined, begun: boolean): void {
    if (at === undefined) {
      this.counts.unplanned++;
      if (++this.strays >= STRAYS) this.found = false;
      return;
    }
    this.counts[begun ? "ahead" : "late"]++;
    this.strays = 0;
    this.found = true;
    this.drop(at);
    this.cursor = at + 1;
    this.next = Math.max(this.next, this.cursor);
    this.fill();
  }

  private drop(before: number): void {
    for (const [i, entry] of this.begun) {
      if (i >= before) continue;
      this.begun.delete(i);
      this.counts.dropped++;
      const give = (): void => this.giveBack(entry);
      entry.bytes.then(give, give);
    }
  }

  private giveBack({ buffer }: Ahead): void {
    if (buffer) {
      this.free.push(buffer);
      this.counts.inUse--;
    } else this.small--;
    this.fill();
  }

  private stop(): void {
    this.ended = true;
    this.drop(Infinity);
  }

  /** Begins reads while there are credits. */
  private fill(): void {
    const { buffers, bufferBytes, inFlight = 3 } = this.options;
    while (!this.ended && buffers > 0 && this.next < this.plan.length && this.counts.inFlight < inFlight) {
      const read = this.plan[this.next]!;
      let buffer: ArrayBuffer | undefined;
      if (read.length > bufferBytes) {
        // Too long to be made ahead; what comes after it may be.
        if (this.begun.size > 0) return;
        this.next++;
        continue;
      }
      if (read.length > SMALL_BYTES) {
        buffer = this.free.pop() ?? (this.made < buffers ? (this.made++, new ArrayBuffer(bufferBytes)) : undefined);
        if (!buffer) return;
        this.counts.mostInUse = Math.max(this.counts.mostInUse, ++this.counts.inUse);
      } else if (this.small++ >= MOST_SMALL) {
        this.small--;
        return;
      }
      this.begin(this.next++, read, buffer);
    }
  }

  private begin(at: number, read: PlannedRead, buffer: ArrayBuffer | undefined): void {
    this.counts.inFlight++;
    const bytes = this.direct(read.source, read.name, read.offset, read.length, buffer ? new Uint8Array(buffer, 0, read.length) : new Uint8Array(read.length));
    this.begun.set(at, { bytes, buffer });
    const settled: Promise<unknown> = bytes.catch(() => undefined).finally(() => {
      this.pending.delete(settled);
      this.counts.inFlight--;
      this.fill();
    });
    this.pending.add(settled);
  }
}

const keyOf = ({ source, name, offset, length }: PlannedRead): string => `${source} ${offset} ${length} ${name}`;

function once(work: () => void): () => void {
  let ran = false;
  return () => {
    if (!ran) work();
    ran = true;
  };
}

/** The promise's outcome, or the reason of the abort as soon as the signal fires. */
async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  throwIfCancelled(signal);
  let stop = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason instanceof StudioError ? signal.reason : cancelled());
    signal.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
