import { TimeLeft, type Stretch } from "./eta";
import { gateOf, jobClock } from "./pause";
import { clockOf, type StageClock } from "./stages";

/** One row of the phase list. */
export interface PhaseState {
  id: string;
  label: string;
  state: "todo" | "now" | "done";
  /** "28 of 28", "512 tokens": what the phase has counted so far. */
  count?: string;
  elapsedMs?: number;
}

/** State of each cell of the strip: one cell per chunk, block or shard part. */
export type StripCell = "empty" | "now" | "half" | "full";

/** What a long job tells a few times a second. Plain data; it crosses the worker boundary. */
export interface Progress {
  jobId: string;
  kind: "ingest" | "measure" | "export" | "verify" | "try";
  phases: PhaseState[];
  /** Share of the whole job that is done, 0..1; never goes back. */
  fraction: number;
  /** Without the time it was paused. */
  elapsedMs: number;
  /** The job waits to be continued. */
  paused?: boolean;
  /** Seconds left, [low, high]; absent before 3 s and 2 % (no guess before there is a rate). */
  secondsLeft?: [number, number];
  /** Bytes read or written per second, over the last seconds. */
  bytesPerSecond?: number;
  bytesDone?: number;
  bytesTotal?: number;
  gpuBytes?: number;
  strips?: { label: string; cells: StripCell[] }[];
  /** "Continues at block 12, backward.": what an earlier run has done already. */
  note?: string;
}

export type OnProgress = (progress: Progress) => void;

export interface MeterOptions {
  intervalMs?: number;
  now?: () => number;
  /** Of the job: while it is paused the clock stands, and its pauses are told. */
  signal?: AbortSignal | undefined;
}

/**
 * Turns (work done, work total) into a Progress with rate and time left. Work that runs at different speeds is told with
 * `expect`; without it a job is of one kind.
 *   time left    TimeLeft of the stretches, from [1 / (1 + s), 1 + s], s = 0.12 + 0.2 x share not yet measured
 *   byte rate    exponentially weighted mean, time constant 5 s
 * `emit` is throttled to `intervalMs`; phase changes and pauses are always sent.
 */
export class ProgressMeter {
  private readonly now: () => number;
  private readonly intervalMs: number;
  private readonly paused: () => boolean;
  /** Measures what the time of each phase goes to, where the job has one. */
  private readonly stages: StageClock | undefined;
  private readonly started: number;
  private phaseStarted: number;
  private lastEmit = -Infinity;
  private lastWork = 0;
  private lastTime: number;
  private lastBytes = 0;
  private byteRate = 0;
  private fraction = 0;
  private phases: PhaseState[];
  private time: TimeLeft;
  bytesDone = 0;
  bytesTotal: number | undefined;
  gpuBytes: number | undefined;
  strips: Progress["strips"];
  note: string | undefined;

  constructor(
    private readonly jobId: string,
    private readonly kind: Progress["kind"],
    phases: { id: string; label: string }[],
    private readonly totalWork: number,
    private readonly send: OnProgress,
    options: MeterOptions = {},
  ) {
    const gate = gateOf(options.signal);
    this.stages = clockOf(options.signal);
    this.now = options.now ?? jobClock(options.signal);
    this.intervalMs = options.intervalMs ?? 120;
    this.paused = () => gate?.paused ?? false;
    gate?.onChange(() => this.emit(this.lastWork, true));
    this.started = this.phaseStarted = this.lastTime = this.now();
    this.time = new TimeLeft([{ work: totalWork, seconds: 1, kind: "work" }], this.started);
    this.phases = phases.map((p) => ({ ...p, state: "todo" }));
  }

  /** What the work is made of, in order; together `totalWork`. To be called before the work begins. */
  expect(stretches: readonly Stretch[]): void {
    this.time = new TimeLeft(stretches, this.now());
    this.time.startAt(this.lastWork, this.now());
    this.fraction = this.time.fractionAt(this.lastWork);
  }

  /** Starts from work that an earlier run has done, so that it counts in the bar and not in the rate. */
  startAt(work: number, bytes: number): void {
    this.lastWork = work;
    this.lastBytes = this.bytesDone = bytes;
    this.lastTime = this.now();
    this.time.startAt(work, this.lastTime);
    this.fraction = Math.max(this.fraction, this.time.fractionAt(work));
  }

  /** Marks the phase as the one in work, all before it as done, and all after it as still to come (a pass that repeats goes back). */
  phase(id: string, count?: string): void {
    this.stages?.phase(id);
    const at = this.phases.findIndex((p) => p.id === id);
    const now = this.now();
    this.phases = this.phases.map((p, i) => {
      if (i < at) return p.state === "done" ? p : { ...p, state: "done", elapsedMs: p.state === "now" ? now - this.phaseStarted : (p.elapsedMs ?? 0) };
      if (i === at) return { ...p, state: "now", count };
      return p.state === "todo" ? p : { id: p.id, label: p.label, state: "todo" };
    });
    this.phaseStarted = now;
    // What passed since the last work was the end of the phase before, not the beginning of this one.
    this.time.done(this.lastWork, now);
    this.time.startAt(this.lastWork, now);
    this.emit(this.lastWork, true);
  }

  count(text: string): void {
    this.phases = this.phases.map((p) => (p.state === "now" ? { ...p, count: text, elapsedMs: this.now() - this.phaseStarted } : p));
  }

  /** Reports absolute work done; sends at most every `intervalMs`. */
  emit(work: number, force = false): void {
    const now = this.now();
    this.lastWork = work;
    if (!force && now - this.lastEmit < this.intervalMs) return;
    this.time.done(work, now);
    const seconds = (now - this.lastTime) / 1000;
    if (seconds > 0.05) {
      const weight = 1 - Math.exp(-seconds / 5);
      const rate = (this.bytesDone - this.lastBytes) / seconds;
      this.byteRate = this.byteRate === 0 ? rate : this.byteRate + weight * (rate - this.byteRate);
      this.lastTime = now;
      this.lastBytes = this.bytesDone;
    }
    this.lastEmit = now;
    this.fraction = Math.max(this.fraction, this.time.fractionAt(work));
    const elapsedMs = now - this.started;
    const progress: Progress = { jobId: this.jobId, kind: this.kind, phases: this.phases, fraction: this.fraction, elapsedMs, bytesDone: this.bytesDone };
    if (this.paused()) progress.paused = true;
    if (this.bytesTotal !== undefined) progress.bytesTotal = this.bytesTotal;
    if (this.gpuBytes !== undefined) progress.gpuBytes = this.gpuBytes;
    if (this.strips) progress.strips = this.strips;
    if (this.note !== undefined) progress.note = this.note;
    if (this.byteRate > 0) progress.bytesPerSecond = this.byteRate;
    const left = this.time.left();
    if (elapsedMs > 3000 && this.fraction > 0.02 && this.fraction < 1 && left) {
      const spread = 1.12 + 0.2 * left.unmeasured;
      progress.secondsLeft = [left.seconds / spread, left.seconds * spread];
    }
    this.send(progress);
  }

  finish(): void {
    this.stages?.stop();
    const now = this.now();
    this.phases = this.phases.map((p) => (p.state === "done" ? p : { ...p, state: "done", elapsedMs: p.state === "now" ? now - this.phaseStarted : 0 }));
    this.fraction = 1;
    this.emit(this.totalWork, true);
  }
}
