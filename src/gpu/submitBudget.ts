/** What a dispatch, and a submit of several, may take by estimate; and the measured time that calls for halving. */
export const DISPATCH_MS = 50;
export const SUBMIT_MS = 100;
export const SLOW_MS = 250;

/** Share of one call that the first dispatch of an unknown device gets. */
const FIRST_SHARE = 1 / 16;
/** Submits in a row, each at least twice as fast as estimated, before the estimate doubles. */
const CALM = 4;
/** Estimates below this tell more about the clock and the driver than about the work. */
const SHORTEST_MS = 5;
/** How far the estimate may move from where it began. */
const RANGE = 2 ** 16;

/**
 * How much work goes into one dispatch and one submit, from an estimate of the device's speed in cost (see Kernel.cost)
 * per millisecond. The estimate follows what submits were measured to take: it halves at once when one took more than
 * 250 ms, falls when one took more than 100 ms, and doubles slowly while they are fast. Drivers reset a GPU whose
 * dispatch runs for about two seconds, and a page draws nothing meanwhile. The cuts never change a result.
 */
export class SubmitBudget {
  private known = false;
  private calm = 0;
  private pinned: number | undefined;
  private readonly slowest: number;
  private readonly fastest: number;

  /** `perMs`: the first guess. */
  constructor(private perMs: number) {
    this.slowest = perMs / RANGE;
    this.fastest = perMs * RANGE;
  }

  /** Most cost of one submit. */
  get submitCost(): number {
    return this.pinned ?? SUBMIT_MS * this.perMs;
  }

  /** Cost per millisecond, as estimated now. */
  get speed(): number {
    return this.perMs;
  }

  /** Whether measurements still change anything. */
  get adapts(): boolean {
    return this.pinned === undefined;
  }

  /** Into how many dispatches a call of this cost and this many workgroups is cut: at least 1, at most one per workgroup. */
  parts(cost: number, workgroups: number): number {
    let most = (DISPATCH_MS / SUBMIT_MS) * this.submitCost;
    // Also on a device fifty times slower than guessed, a call of a millisecond by estimate needs no cut.
    if (this.pinned === undefined && !this.known && cost > this.perMs) most = Math.min(most, cost * FIRST_SHARE);
    return Math.max(1, Math.min(workgroups, Math.ceil(cost / most)));
  }

  /** A submit of this cost was measured to take `ms`. */
  measured(cost: number, ms: number): void {
    if (!this.adapts || !(cost > 0) || !(ms >= 0)) return;
    const expected = cost / this.perMs;
    if (ms > SLOW_MS) {
      this.slower();
      return;
    }
    this.known = true;
    if (ms > SUBMIT_MS && ms > expected) {
      this.calm = 0;
      this.set(Math.max(this.perMs / 2, cost / ms));
    } else if (expected < SHORTEST_MS) return;
    else if (ms > expected / 2) this.calm = 0;
    else if (++this.calm >= CALM) {
      this.calm = 0;
      this.set(2 * this.perMs);
    }
  }

  /** Halves the budget: after a slow submit, or when the device was lost. */
  slower(): void {
    this.calm = 0;
    if (this.pinned !== undefined) this.pinned /= 2;
    this.set(this.perMs / 2);
  }

  /** Submits of this cost from now on, whatever is measured: for forecasts and tests. */
  fix(cost = this.submitCost): void {
    this.pinned = cost;
  }

  private set(perMs: number): void {
    this.perMs = Math.min(this.fastest, Math.max(this.slowest, perMs));
  }
}
