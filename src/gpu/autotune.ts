import { StudioError } from "../core/errors";
import type { AdapterFacts } from "./info";
import type { Gpu } from "./gpu";

/** What a tuning result holds for: the same adapter under the same browser version. */
export interface TuneKey {
  vendor: string;
  architecture: string;
  device: string;
  browserMajor: string;
}

/** One form of a kernel, ready to be called on buffers that all candidates of a case share. */
export interface Candidate {
  id: string;
  /** Encodes one whole call. Called again and again: it overwrites its output. */
  encode(): void;
}

/** One kernel at one class of shapes. */
export interface TuneCase {
  kernel: string;
  shapeClass: string;
  /** At most four; the first is the default, and the one whose numbers the others must match. */
  candidates: Candidate[];
  /** The output of the last call, compared to the first candidate's. */
  read(): Promise<Float32Array>;
  /** Largest difference allowed, as a share of the largest magnitude in the output. */
  tolerance: number;
  /** Floating-point operations of one call. */
  flops: number;
}

export interface TunedCandidate {
  id: string;
  /** Median of the timed runs, per call. Absent when it was dropped or not reached. */
  medianMs?: number;
  gflops?: number;
  /** Why it may not be chosen. */
  dropped?: string;
}

export interface TunedCase {
  kernel: string;
  shapeClass: string;
  chosen: string;
  candidates: TunedCandidate[];
}

/** Plain data: kept per key, and put in a report so that a run can be repeated with the same forms. */
export interface TuneResult {
  key: TuneKey;
  cases: TunedCase[];
  elapsedMs: number;
  /** "software": nothing was measured, the software forms are known. "budget": time ran out, the rest kept its first candidate. */
  stopped?: "software" | "budget";
}

export const MAX_CANDIDATES = 4;
const TIMED_RUNS = 3;
/** A timed run repeats the call until it should last this long, so that a coarse clock and one await do not decide. */
const MIN_RUN_MS = 2;
const MAX_REPEATS = 64;

export interface TuneOptions {
  key: TuneKey;
  /** 3,000 when absent. Checked between runs, so one run may pass it. */
  budgetMs?: number;
  /** Measures on a software adapter too; for tests. */
  evenSoftware?: boolean;
  now?: () => number;
}

/** The key of an adapter. `device` falls back to the description; browserMajor is "Chrome 141" or "Node 24", never a full version. */
export const tuneKey = (facts: AdapterFacts, browserMajor: string, device = ""): TuneKey => ({
  vendor: facts.vendor,
  architecture: facts.architecture,
  device: device || facts.description,
  browserMajor,
});

/** The key as one string, for a store. */
export const tuneKeyText = ({ vendor, architecture, device, browserMajor }: TuneKey): string => JSON.stringify([vendor, architecture, device, browserMajor]);

/**
 * Times the candidates of every case and chooses the fastest that computes the same numbers as the first: 1 warm run,
 * 3 timed, the median counts. A candidate that does not compile, is refused, or differs is dropped with the reason. When
 * the first itself fails, the next one that works becomes the reference. Cases come in the order of their importance:
 * when the budget is spent the remaining ones keep their first candidate.
 * Throws StudioError "gpu-lost" when the device goes away, "internal" for a case without candidates or with more than four.
 */
export async function autotune(gpu: Gpu, cases: readonly TuneCase[], options: TuneOptions): Promise<TuneResult> {
  const { key, budgetMs = 3000, now = () => performance.now() } = options;
  const start = now();
  const result: TuneResult = { key, cases: [], elapsedMs: 0 };
  for (const tuneCase of cases) {
    const count = tuneCase.candidates.length;
    if (count === 0 || count > MAX_CANDIDATES) throw new StudioError("internal", `Tuning ${tuneCase.kernel}: ${count} candidates; 1 to ${MAX_CANDIDATES} are allowed.`);
    const skip = gpu.software && !options.evenSoftware;
    if (skip) result.stopped = "software";
    else if (now() - start >= budgetMs) result.stopped = "budget";
    result.cases.push(result.stopped ? untuned(tuneCase) : await tune(gpu, tuneCase, now, start + budgetMs));
  }
  result.elapsedMs = now() - start;
  return result;
}

const untuned = ({ kernel, shapeClass, candidates }: TuneCase): TunedCase => ({ kernel, shapeClass, chosen: candidates[0]!.id, candidates: candidates.map(({ id }) => ({ id })) });

async function tune(gpu: Gpu, tuneCase: TuneCase, now: () => number, deadline: number): Promise<TunedCase> {
  const tuned = untuned(tuneCase);
  let want: Float32Array | undefined;
  let best = Infinity;
  for (const [i, candidate] of tuneCase.candidates.entries()) {
    const line = tuned.candidates[i]!;
    if (want && now() >= deadline) break;
    const refused = await attempt(gpu, () => candidate.encode());
    if (refused) {
      line.dropped = refused;
      continue;
    }
    // The first call paid for compilation; a second one says how often to repeat.
    const once = await timed(gpu, candidate, 1, now);
    const got = await tuneCase.read();
    const difference = want ? largestDifference(got, want) : got.every(Number.isFinite) ? 0 : Infinity;
    if (!(difference <= tuneCase.tolerance)) {
      line.dropped = want ? `differs from ${tuned.chosen} by ${difference.toExponential(1)} of the largest value` : "gives values that are not finite";
      continue;
    }
    if (!want) {
      want = got;
      tuned.chosen = candidate.id;
    }
    const repeats = Math.min(MAX_REPEATS, Math.max(1, Math.ceil(MIN_RUN_MS / Math.max(once, 0.01))));
    const runs: number[] = [];
    while (runs.length < TIMED_RUNS && (runs.length === 0 || now() < deadline)) runs.push((await timed(gpu, candidate, repeats, now)) / repeats);
    line.medianMs = runs.sort((a, b) => a - b)[runs.length >> 1]!;
    line.gflops = tuneCase.flops / line.medianMs / 1e6;
    if (line.medianMs < best) {
      best = line.medianMs;
      tuned.chosen = candidate.id;
    }
  }
  return tuned;
}

/** Runs `encode` to its end; the reason when the GPU refuses it. */
async function attempt(gpu: Gpu, encode: () => void): Promise<string | undefined> {
  gpu.flush();
  gpu.device.pushErrorScope("validation");
  gpu.device.pushErrorScope("internal");
  let thrown: unknown;
  try {
    encode();
    gpu.flush();
  } catch (error) {
    thrown = error;
  }
  const errors = [await gpu.device.popErrorScope(), await gpu.device.popErrorScope()];
  if (thrown instanceof StudioError && thrown.code === "gpu-lost") throw thrown;
  await gpu.sync();
  const message = errors.find((error) => error)?.message ?? (thrown instanceof Error ? thrown.message : undefined);
  return message === undefined ? undefined : message.split("\n")[0]!.slice(0, 200);
}

async function timed(gpu: Gpu, candidate: Candidate, repeats: number, now: () => number): Promise<number> {
  await gpu.sync();
  const start = now();
  for (let i = 0; i < repeats; i++) candidate.encode();
  await gpu.sync();
  return now() - start;
}

/** max |got - want| / max |want|, infinite when lengths differ or a value is not a number. */
export function largestDifference(got: Float32Array, want: Float32Array): number {
  if (got.length !== want.length) return Infinity;
  let largest = 0;
  let difference = 0;
  for (let i = 0; i < want.length; i++) {
    const d = Math.abs(got[i]! - want[i]!);
    if (!(d < Infinity)) return Infinity;
    difference = Math.max(difference, d);
    largest = Math.max(largest, Math.abs(want[i]!));
  }
  return difference === 0 ? 0 : difference / largest;
}
