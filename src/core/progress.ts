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
  kind: "ingest" | "measure" | "export" | "verify";
  phases: PhaseState[];
  /** Share of the whole job that is done, 0..1; never goes back. */
  fraction: number;
  elapsedMs: number;
  /** Seconds left, [low, high]; absent before 3 s and 2 % (no guess before there is a rate). */
  secondsLeft?: [number, number];
  /** Bytes read or written per second, over the last seconds. */
  bytesPerSecond?: number;
  bytesDone?: number;
  bytesTotal?: number;
  gpuBytes?: number;
  strips?: { label: string; cells: StripCell[] }[];
}

export type OnProgress = (progress: Progress) => void;

/**
 * Turns (work done, work total) into a Progress with rate and time left.
 *   rate     = exponentially weighted mean of work per second, time constant 5 s
 *   left     = (total - done) / rate, shown as [0.8, 1.3] x left: one rate is a guess, so it is a range
 * `emit` is throttled to `intervalMs`; phase changes are always sent.
 */
export class ProgressMeter {
  private readonly started: number;
  private phaseStarted: number;
  private lastEmit = -Infinity;
  private lastWork = 0;
  private lastTime: number;
  private rate = 0;
  private lastBytes = 0;
  private byteRate = 0;
  private fraction = 0;
  private phases: PhaseState[];
  bytesDone = 0;
  bytesTotal: number | undefined;
  gpuBytes: number | undefined;
  strips: Progress["strips"];

  constructor(
    private readonly jobId: string,
    private readonly kind: Progress["kind"],
    phases: { id: string; label: string }[],
    private readonly totalWork: number,
    private readonly send: OnProgress,
    private readonly intervalMs = 120,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.started = this.phaseStarted = this.lastTime = now();
    this.phases = phases.map((p) => ({ ...p, state: "todo" }));
  }

  /** Starts from work that an earlier run has done, so that it counts in the bar and not in the rate. */
  startAt(work: number, bytes: number): void {
    this.lastWork = work;
    this.lastBytes = this.bytesDone = bytes;
    this.fraction = this.totalWork > 0 ? Math.min(1, work / this.totalWork) : 0;
    this.lastTime = this.now();
  }

  /** Marks the phase as the one in work, all before it as done, and all after it as still to come (a pass that repeats goes back). */
  phase(id: string, count?: string): void {
    const at = this.phases.findIndex((p) => p.id === id);
    const now = this.now();
    this.phases = this.phases.map((p, i) => {
      if (i < at) return p.state === "done" ? p : { ...p, state: "done", elapsedMs: p.state === "now" ? now - this.phaseStarted : (p.elapsedMs ?? 0) };
      if (i === at) return { ...p, state: "now", count };
      return p.state === "todo" ? p : { id: p.id, label: p.label, state: "todo" };
    });
    this.phaseStarted = now;
    this.emit(this.lastWork, true);
  }

  count(text: string): void {
    this.phases = this.phases.map((p) => (p.state === "now" ? { ...p, count: text, elapsedMs: this.now() - this.phaseStarted } : p));
  }

  /** Reports absolute work done; sends at most every `intervalMs`. */
  emit(work: number, force = false): void {
    const now = this.now();
    if (!force && now - this.lastEmit < this.intervalMs) return;
    const seconds = (now - this.lastTime) / 1000;
    if (seconds > 0.05) {
      const weight = 1 - Math.exp(-seconds / 5);
      this.rate = this.rate === 0 ? (work - this.lastWork) / seconds : this.rate + weight * ((work - this.lastWork) / seconds - this.rate);
      this.byteRate = this.byteRate === 0 ? (this.bytesDone - this.lastBytes) / seconds : this.byteRate + weight * ((this.bytesDone - this.lastBytes) / seconds - this.byteRate);
      this.lastTime = now;
      this.lastWork = work;
      this.lastBytes = this.bytesDone;
    }
    this.lastEmit = now;
    this.fraction = Math.max(this.fraction, Math.min(1, this.totalWork > 0 ? work / this.totalWork : 0));
    const elapsedMs = now - this.started;
    const progress: Progress = { jobId: this.jobId, kind: this.kind, phases: this.phases, fraction: this.fraction, elapsedMs, bytesDone: this.bytesDone };
    if (this.bytesTotal !== undefined) progress.bytesTotal = this.bytesTotal;
    if (this.gpuBytes !== undefined) progress.gpuBytes = this.gpuBytes;
    if (this.strips) progress.strips = this.strips;
    if (this.byteRate > 0) progress.bytesPerSecond = this.byteRate;
    if (elapsedMs > 3000 && this.fraction > 0.02 && this.fraction < 1 && this.rate > 0) {
      const left = (this.totalWork - work) / this.rate;
      progress.secondsLeft = [left * 0.8, left * 1.3];
    }
    this.send(progress);
  }

  finish(): void {
    const now = this.now();
    this.phases = this.phases.map((p) => (p.state === "done" ? p : { ...p, state: "done", elapsedMs: p.state === "now" ? now - this.phaseStarted : 0 }));
    this.fraction = 1;
    this.emit(this.totalWork, true);
  }
}
