import { BARS, flops, makeInputs, tolerance, worstError, type BenchCase, type Inputs } from "./cases";
import type { Prepared, Runner } from "./runners/types";

/** What a host knows of time: CPU-seconds spent so far by the process that computes, undefined where nobody can tell. */
export interface Clock {
  cpuSeconds(): Promise<number | undefined>;
}

/** Rates in GFLOP per CPU-second, or GFLOP per second. */
export interface Line {
  case: string;
  runner: string;
  median?: number;
  low?: number;
  high?: number;
  medianMs?: number;
  rounds?: number;
  /** Calls in a round. */
  repeats?: number;
  worstError?: number;
  note?: string;
  failed?: string;
}

export interface CaseResult {
  lines: Line[];
  /** The first runner against the best of the others: the median of the rounds' own ratios. */
  ratio?: number;
  bestPeer?: string;
  bar: number;
}

/** A timed round repeats a short call until it should last this long: CPU time is counted in coarse steps. */
const ROUND_MS = 150;
/** Calls between two waits for the GPU: a wait for each would be most of a short call on hardware. */
const GROUP = 8;
/** A call that takes longer is timed twice instead of `rounds` times. */
const SLOW_MS = 3000;
/** A call that takes longer is not called again: the run that is verified is the one that counts. */
const VERY_SLOW_MS = 30_000;

interface Contender {
  prepared: Prepared;
  line: Line;
  repeats: number;
  rates: number[];
  walls: number[];
}

/** One case on every library in turn, round by round, so that what else the machine does meets all of them alike. Outputs are verified first. */
export async function measureCase(one: BenchCase, runners: readonly Runner[], rounds: number, clock: Clock, perCpu: boolean): Promise<CaseResult> {
  const inputs = makeInputs(one);
  const contenders: Contender[] = [];
  const lines: Line[] = [];
  for (const runner of runners) {
    const contender = await prepare(one, inputs, runner, clock, perCpu);
    if (!contender) continue;
    lines.push(contender.line);
    if (contender.line.failed === undefined) contenders.push(contender);
  }
  for (let round = 0; round < rounds; round++)
    for (const contender of contenders) {
      const { line, walls } = contender;
      if (walls.length > round || (line.medianMs! > SLOW_MS && walls.length >= 2)) continue;
      await timed(one, contender, contender.repeats, clock, perCpu);
    }
  for (const { prepared, line, rates, walls, repeats } of contenders) {
    const sorted = [...rates].sort((a, b) => a - b);
    Object.assign(line, { median: middle(rates), low: sorted[0], high: sorted.at(-1), medianMs: middle(walls), rounds: rates.length, repeats });
    await prepared.dispose();
  }
  const [first, ...peers] = contenders;
  const best = peers.sort((a, b) => b.line.median! - a.line.median!)[0];
  const bar = BARS[one.op];
  if (!first || !best || first.line.runner !== runners[0]!.name) return { lines, bar };
  // A ratio of each round, then the median: load that comes and goes is in both sides of it.
  return { lines, bar, bestPeer: best.line.runner, ratio: middle(best.rates.slice(0, first.rates.length).map((rate, i) => first.rates[i]! / rate)) };
}

async function prepare(one: BenchCase, inputs: Inputs, runner: Runner, clock: Clock, perCpu: boolean): Promise<Contender | undefined> {
  const line: Line = { case: one.name, runner: runner.name };
  let prepared: Prepared | undefined;
  try {
    prepared = await runner.prepare(one, inputs);
    if (!prepared) return undefined;
    if (prepared.note) line.note = prepared.note;
    const contender: Contender = { prepared, line, repeats: 1, rates: [], walls: [] };
    // The first call compiles as well.
    await timed(one, contender, 1, clock, perCpu);
    if (contender.walls[0]! <= VERY_SLOW_MS) {
      contender.rates = [];
      contender.walls = [];
      await timed(one, contender, 1, clock, perCpu);
    }
    line.medianMs = contender.walls[0]!;
    line.worstError = worstError(one, inputs, await prepared.output());
    if (!(line.worstError <= tolerance(one))) throw new Error(`wrong by ${line.worstError.toExponential(1)}`);
    contender.repeats = Math.max(1, Math.ceil(ROUND_MS / line.medianMs));
    if (line.medianMs <= VERY_SLOW_MS) {
      contender.rates = [];
      contender.walls = [];
    } else line.note = [line.note, "one call, compilation included"].filter(Boolean).join("; ");
    return contender;
  } catch (error) {
    line.failed = error instanceof Error ? error.message.split("\n")[0]! : String(error);
    await prepared?.dispose();
    return { prepared: undefined as never, line, repeats: 0, rates: [], walls: [] };
  }
}

async function timed(one: BenchCase, { prepared, rates, walls }: Contender, repeats: number, clock: Clock, perCpu: boolean): Promise<void> {
  const cpu = perCpu ? await clock.cpuSeconds() : undefined;
  const start = performance.now();
  for (let left = repeats; left > 0; left -= GROUP) await prepared.run(Math.min(GROUP, left));
  const wall = (performance.now() - start) / repeats;
  const seconds = cpu === undefined ? wall / 1e3 : ((await clock.cpuSeconds())! - cpu) / repeats;
  walls.push(wall);
  rates.push(flops(one) / 1e9 / seconds);
}

export function middle(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}
