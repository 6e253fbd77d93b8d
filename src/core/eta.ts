/**
 * A stretch of a job: its work in the job's own units, and the seconds it is expected to take. Stretches of one kind run at
 * one speed (forward blocks, backward blocks, writing). Of the seconds only the ratios must hold: how fast this machine is
 * today is measured.
 */
export interface Stretch {
  work: number;
  seconds: number;
  kind: string;
}

/** How much of what was expected of a kind is enough to believe its measured speed rather than that of the job so far. */
const BELIEF = 0.03;

/**
 * Time left of a job whose parts run at different speeds.
 *   slowness of a kind   k = (measured + m k0) / (expected + m),  m = 3 % of all that is expected of that kind
 *   k0                   measured / expected of everything so far
 *   left                 sum over what is to come of expected seconds x slowness of its kind
 * Time passed without new work is not judged: the next work is charged with it.
 */
export class TimeLeft {
  private readonly ends: number[] = [];
  private readonly kinds = new Map<string, { total: number; expected: number; measured: number }>();
  private readonly total: number;
  private readonly totalWork: number;
  private work = 0;
  private time: number;

  constructor(
    private readonly stretches: readonly Stretch[],
    now: number,
  ) {
    this.time = now;
    let work = 0;
    let seconds = 0;
    for (const stretch of stretches) {
      this.ends.push((work += stretch.work));
      seconds += stretch.seconds;
      const kind = this.kinds.get(stretch.kind) ?? { total: 0, expected: 0, measured: 0 };
      kind.total += stretch.seconds;
      this.kinds.set(stretch.kind, kind);
    }
    this.totalWork = work;
    this.total = seconds;
  }

  /** From here on time counts; work before it was done by an earlier run. */
  startAt(work: number, now: number): void {
    this.work = work;
    this.time = now;
  }

  /** Absolute work done at a time, in milliseconds. */
  done(work: number, now: number): void {
    if (work <= this.work) return;
    const parts = this.between(this.work, work);
    const expected = parts.reduce((sum, p) => sum + p.seconds, 0);
    for (const part of parts) {
      const kind = this.kinds.get(part.kind)!;
      kind.expected += part.seconds;
      if (expected > 0) kind.measured += ((now - this.time) / 1000) * (part.seconds / expected);
    }
    this.work = work;
    this.time = now;
  }

  /** Share of the expected time whose work is done, 0..1. */
  fractionAt(work: number): number {
    if (this.total <= 0) return 0;
    return Math.min(1, this.between(0, work).reduce((sum, p) => sum + p.seconds, 0) / this.total);
  }

  /** Seconds left at the last `done`, and the share of them that lies in kinds not yet measured; undefined before the first. */
  left(): { seconds: number; unmeasured: number } | undefined {
    const known = [...this.kinds.values()];
    const expected = known.reduce((sum, k) => sum + k.expected, 0);
    if (expected <= 0) return undefined;
    const overall = known.reduce((sum, k) => sum + k.measured, 0) / expected;
    let seconds = 0;
    let guessed = 0;
    for (const part of this.between(this.work, this.totalWork)) {
      const kind = this.kinds.get(part.kind)!;
      const prior = BELIEF * kind.total;
      const left = part.seconds * ((kind.measured + prior * overall) / (kind.expected + prior));
      seconds += left;
      if (kind.expected === 0) guessed += left;
    }
    return { seconds, unmeasured: seconds > 0 ? guessed / seconds : 0 };
  }

  /** What is expected between two amounts of work, one entry per stretch touched. */
  private between(from: number, to: number): { kind: string; seconds: number }[] {
    const parts: { kind: string; seconds: number }[] = [];
    this.stretches.forEach((stretch, i) => {
      const begin = this.ends[i]! - stretch.work;
      const share = stretch.work > 0 ? (Math.min(to, this.ends[i]!) - Math.max(from, begin)) / stretch.work : 0;
      if (share > 0) parts.push({ kind: stretch.kind, seconds: share * stretch.seconds });
    });
    return parts;
  }
}
