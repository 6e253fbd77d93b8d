import { jobClock } from "./pause";

/** What a job's time goes to. `select` is work of the CPU on values: order statistics, masks, sums, checks. */
export type Stage = "read" | "upload" | "compute" | "readback" | "select" | "hash" | "write";

/**
 * How long one stage of a job was busy, and the bytes that went through it. Stages run side by side, so their sum may
 * exceed the time of the whole. `waitMs` is the time the stage before stood still because this one had all it could hold.
 */
export interface StageTime {
  stage: Stage;
  busyMs: number;
  bytes: number;
  waitMs?: number;
}

/** The stages of one phase, named as in the progress ("forward", "backward", "changes", "write", "verify"), beside its own time. */
export interface PhaseTimes {
  phase: string;
  wallMs: number;
  stages: StageTime[];
}

interface Total {
  busyMs: number;
  bytes: number;
}

/**
 * Measures a job stage by stage. A stage is busy while at least one piece of it is in work, so pieces that overlap count
 * once; a piece that outlives its phase is shared between the phases it lies in.
 */
export class StageClock {
  private readonly phases = new Map<string, { wallMs: number; stages: Map<Stage, Total> }>();
  private readonly open = new Map<Stage, { pieces: number; since: number }>();
  private current: { id: string; since: number } | undefined;

  constructor(private readonly now: () => number = () => performance.now()) {}

  /** Ends the phase in work and starts another; one that comes again (a pass in rounds) goes on adding. */
  phase(id: string): void {
    this.stop();
    this.current = { id, since: this.now() };
    for (const running of this.open.values()) running.since = this.current.since;
  }

  /** Ends the phase in work. */
  stop(): void {
    if (!this.current) return;
    const at = this.now();
    for (const [stage, running] of this.open) this.close(stage, running, at);
    this.totals().wallMs += at - this.current.since;
    this.current = undefined;
  }

  /** A piece of a stage begins; the function that is returned ends it. */
  begin(stage: Stage): (bytes?: number) => void {
    const running = this.open.get(stage) ?? { pieces: 0, since: 0 };
    if (running.pieces++ === 0) running.since = this.now();
    this.open.set(stage, running);
    let ended = false;
    return (bytes = 0) => {
      if (ended) return;
      ended = true;
      this.add(stage, 0, bytes);
      if (--running.pieces > 0) return;
      this.close(stage, running, this.now());
      this.open.delete(stage);
    };
  }

  /** Time and bytes of a stage that were measured elsewhere. */
  add(stage: Stage, busyMs: number, bytes: number): void {
    if (!this.current) return;
    const { stages } = this.totals();
    const total = stages.get(stage) ?? { busyMs: 0, bytes: 0 };
    total.busyMs += busyMs;
    total.bytes += bytes;
    stages.set(stage, total);
  }

  /** Every phase so far, the one in work up to now. */
  report(): PhaseTimes[] {
    const { current } = this;
    if (current) this.phase(current.id);
    return [...this.phases].map(([phase, { wallMs, stages }]) => ({ phase, wallMs, stages: [...stages].map(([stage, total]) => ({ stage, ...total })) }));
  }

  private close(stage: Stage, running: { since: number }, at: number): void {
    this.add(stage, at - running.since, 0);
  }

  private totals(): { wallMs: number; stages: Map<Stage, Total> } {
    const { id } = this.current!;
    let known = this.phases.get(id);
    if (!known) this.phases.set(id, (known = { wallMs: 0, stages: new Map() }));
    return known;
  }
}

/** The clock of each job, found by the job's signal, which every loop has at hand. */
const clocks = new WeakMap<AbortSignal, StageClock>();

export function addClock(signal: AbortSignal): StageClock {
  const clock = new StageClock(jobClock(signal));
  clocks.set(signal, clock);
  return clock;
}

export const clockOf = (signal: AbortSignal | undefined): StageClock | undefined => signal && clocks.get(signal);

/** Counts work of the CPU on values as `stage` of the job; free when nobody measures. */
export function staged<T>(signal: AbortSignal | undefined, stage: Stage, bytes: number, work: () => T): T {
  const end = clockOf(signal)?.begin(stage);
  try {
    return work();
  } finally {
    end?.(bytes);
  }
}
