import { StudioError } from "../core/errors";
import { formatBytes } from "../core/modelFiles";
import type { StageTime } from "../core/stages";
import type { Checkpoint } from "../core/tensors";
import type { Gpu } from "../gpu/gpu";
import type { AdapterFacts } from "../gpu/info";
import type { Budgets, Rates } from "./api";
import type { RecipeContext } from "./context";
import { DEFAULT_BUDGETS, MIN_BUDGET, planMerge, type Plan, type PlanJob } from "./planner";

/** Below this much waiting a speed says more about the clock than about the disk. */
const MIN_SECONDS = 0.05;

/** What is read at most to learn a speed, and in pieces of what size. */
const LEARN_BYTES = 256 * 1024 * 1024;
const LEARN_PIECE = 4 * 1024 * 1024;

/** Amounts and the seconds they took. */
class Speed {
  private amount = 0;
  private seconds = 0;

  add(amount: number, seconds: number): void {
    this.amount += amount;
    this.seconds += seconds;
  }

  get rate(): number | undefined {
    return this.seconds >= MIN_SECONDS ? this.amount / this.seconds : undefined;
  }
}

/** The budgets in force, the speeds seen so far, and forecasts made of both. */
export class Resources {
  private current: Budgets;
  /** What the device was seen to hold when it refused more; plans stay within it until the person sets a budget. */
  private room = Infinity;
  private readonly reads = new Speed();
  private readonly writes = new Speed();
  private readonly work = new Speed();

  constructor(
    budgets: Partial<Budgets> | undefined,
    private readonly fixed: Pick<PlanJob, "ingest" | "sliceElements" | "readAhead">,
  ) {
    this.current = this.with(budgets, DEFAULT_BUDGETS);
  }

  get budgets(): Budgets {
    return this.current;
  }

  /** Throws "bad-request" for a budget that nothing fits in. */
  set(change: Partial<Budgets> | undefined): Budgets {
    if (change?.gpuBytes !== undefined) this.room = Infinity;
    return (this.current = this.with(change));
  }

  private with(change: Partial<Budgets> | undefined, from: Budgets = this.current): Budgets {
    const next = { gpuBytes: change?.gpuBytes ?? from.gpuBytes, hostBytes: change?.hostBytes ?? from.hostBytes };
    for (const [what, bytes] of [["GPU", next.gpuBytes], ["host", next.hostBytes]] as const)
      if (!(Number.isFinite(bytes) && bytes >= MIN_BUDGET)) throw new StudioError("bad-request", `The ${what} budget is ${String(bytes)} bytes; at least ${formatBytes(MIN_BUDGET)} are needed, for example 2GB.`, { title: "Budget too small", where: `${what} budget` });
    return next;
  }

  /** `rates` given replace those seen. */
  plan(context: RecipeContext, facts: AdapterFacts, pass: PlanJob["pass"], change?: Partial<Budgets>, rates: Rates = {}): Promise<Plan> {
    const known = Object.fromEntries(Object.entries(rates).filter(([, value]) => value !== undefined));
    const budgets = this.with(change);
    return planMerge({ ...this.fixed, context, facts, pass, budgets: { ...budgets, gpuBytes: Math.min(budgets.gpuBytes, this.room) }, rates: { ...this.seen, ...known } });
  }

  /** The device refused more than this. */
  shrink(gpuBytes: number): void {
    this.room = Math.min(this.room, gpuBytes);
  }

  /** What the GPU may hold: the budget, or less where the device has less. */
  get gpuBytes(): number {
    return Math.min(this.current.gpuBytes, this.room);
  }

  /** Speeds measured so far. */
  get seen(): Rates {
    return { gpuFlops: this.work.rate, readBytes: this.reads.rate, writeBytes: this.writes.rate };
  }

  /** A checkpoint whose reads are timed. */
  timed(checkpoint: Checkpoint): Checkpoint {
    return {
      ...checkpoint,
      tensors: checkpoint.tensors,
      text: (path) => checkpoint.text(path),
      read: async (name, offset, length, into) => {
        const started = performance.now();
        const bytes = await checkpoint.read(name, offset, length, into);
        this.reads.add(length, (performance.now() - started) / 1000);
        return bytes;
      },
    };
  }

  /** Where no speed of reading is known yet, learns it from the first tensors of a stored model. */
  async learnReading(checkpoint: Checkpoint): Promise<void> {
    const timed = this.timed(checkpoint);
    let left = LEARN_BYTES;
    for (const { name, begin, end } of checkpoint.tensors.values())
      for (let at = 0; at < end - begin; at += LEARN_PIECE) {
        if (this.reads.rate !== undefined || left <= 0) return;
        const length = Math.min(LEARN_PIECE, end - begin - at, left);
        await timed.read(name, at, length);
        left -= length;
      }
  }

  /** Learns how fast files are hashed and written, one after the other in one thread. */
  wrote(stages: readonly StageTime[]): void {
    const own = stages.filter((s) => s.stage === "hash" || s.stage === "write");
    this.writes.add(Math.max(0, ...own.map((s) => s.bytes)), own.reduce((sum, s) => sum + s.busyMs, 0) / 1000);
  }

  /** Runs GPU work under the GPU budget, and learns how fast the whole of it went by the job's clock. */
  async onGpu<T>(gpu: Gpu, now: () => number, run: () => Promise<T>): Promise<T> {
    gpu.budgetBytes = this.gpuBytes;
    const before = gpu.flops;
    const started = now();
    const result = await run();
    if (gpu.flops > before) this.work.add(gpu.flops - before, (now() - started) / 1000);
    return result;
  }
}
