import { throwIfCancelled } from "./errors";
import type { OutputFolder } from "./files";
import type { Checkpoint } from "./tensors";

/**
 * A job's pause. Work passes the gate between its pieces, at the places where it looks whether it was cancelled; while the
 * gate is shut it waits there with all it holds. Cancelling opens every wait.
 */
export class Gate {
  private shutAt: number | undefined;
  private stood = 0;
  private opened: Promise<void> = Promise.resolve();
  private open: () => void = () => undefined;
  private listener: () => void = () => undefined;

  constructor(
    private readonly signal: AbortSignal,
    private readonly clock: () => number = () => performance.now(),
  ) {
    signal.addEventListener("abort", () => this.resume(), { once: true });
  }

  get paused(): boolean {
    return this.shutAt !== undefined;
  }

  /** Milliseconds of a clock that stands still while the gate is shut. */
  readonly now = (): number => (this.shutAt ?? this.clock()) - this.stood;

  pause(): void {
    if (this.paused || this.signal.aborted) return;
    this.shutAt = this.clock();
    this.opened = new Promise((resolve) => (this.open = resolve));
    this.listener();
  }

  resume(): void {
    if (this.shutAt === undefined) return;
    this.stood += this.clock() - this.shutAt;
    this.shutAt = undefined;
    this.open();
    this.listener();
  }

  /** Resolves at once while the gate is open, else when it opens. Throws "cancelled". */
  async pass(): Promise<void> {
    throwIfCancelled(this.signal);
    while (this.paused) {
      await this.opened;
      throwIfCancelled(this.signal);
    }
  }

  /** Calls `listener` at every pause and continuation, in place of the one before: a job shows one piece of progress at a time. */
  onChange(listener: () => void): void {
    this.listener = listener;
  }
}

/** The gate of each job, found by the job's signal: whatever can be cancelled can be paused. */
const gates = new WeakMap<AbortSignal, Gate>();

/** Gives a job's signal its gate. */
export function addGate(signal: AbortSignal, clock?: () => number): Gate {
  const gate = new Gate(signal, clock);
  gates.set(signal, gate);
  return gate;
}

export const gateOf = (signal: AbortSignal | undefined): Gate | undefined => signal && gates.get(signal);

/** The clock of a job, in milliseconds: it stands while the job is paused. */
export const jobClock = (signal: AbortSignal | undefined): (() => number) => gateOf(signal)?.now ?? (() => performance.now());

/** To be awaited between pieces of work: waits while the job is paused, throws "cancelled" once it is stopped. */
export async function whileRunning(signal: AbortSignal | undefined): Promise<void> {
  throwIfCancelled(signal);
  const gate = gateOf(signal);
  if (gate?.paused) await gate.pass();
}

/** A checkpoint whose reads wait while the job is paused. */
export function pausable(checkpoint: Checkpoint, signal: AbortSignal): Checkpoint {
  return withMethods(checkpoint, {
    read: async (...args) => {
      await whileRunning(signal);
      return checkpoint.read(...args);
    },
  });
}

/** An output folder whose reads and writes wait while the job is paused. Closing and discarding never wait. */
export function pausableOutput(output: OutputFolder, signal: AbortSignal): OutputFolder {
  return withMethods(output, {
    open: async (...args) => {
      const file = await output.open(...args);
      return withMethods(file, {
        read: async (...range) => {
          await whileRunning(signal);
          return file.read(...range);
        },
      });
    },
    create: async (...args) => {
      const file = await output.create(...args);
      return withMethods(file, {
        write: async (bytes) => {
          await whileRunning(signal);
          await file.write(bytes);
        },
      });
    },
  });
}

/** `target` with some of its methods replaced; all else is its own. */
function withMethods<T extends object>(target: T, methods: Partial<T>): T {
  return new Proxy(target, {
    get: (_, name) => {
      const value: unknown = Reflect.get(name in methods ? methods : target, name);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}
