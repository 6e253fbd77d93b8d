import type { Stretch } from "../core/eta";
import type { Rates } from "./api";
import type { PassStep } from "./planPass";

/**
 * Speeds to begin with, before this session has measured its own, and what a dispatch and the first use of a kernel cost
 * beside their arithmetic, as arithmetic. Only ratios matter to the time left. Software: from CPU seconds per block of the
 * sample, 0.31 forward and 0.97 backward, and 0.06 per kernel compiled. Hardware: guessed.
 */
const FIRST = {
  software: { gpuFlops: 5e9, readBytes: 1e9, dispatchFlops: 2e6, compileFlops: 3e7 },
  hardware: { gpuFlops: 4e12, readBytes: 1.5e9, dispatchFlops: 5e7, compileFlops: 2e10 },
};

/**
 * A Fisher pass as the meter counts it (a forward block 1, a backward block 3, 2 for each round at the end), with the
 * seconds that its steps should take:
 *   seconds = (flops + dispatches + kernels to compile, as flops) / GPU speed + bytes read / reading speed
 * Steps with the head or the embedding in them are of a kind of their own, so that they say nothing of plain blocks.
 */
export function passStretches(steps: readonly PassStep[], rounds: number, how: { software: boolean; rates: Rates; compiled: number }): Stretch[] {
  const first = FIRST[how.software ? "software" : "hardware"];
  const flopsPerSecond = how.rates.gpuFlops ?? first.gpuFlops;
  const bytesPerSecond = how.rates.readBytes ?? first.readBytes;
  // Kernels are compiled once in the life of a device: those it has are taken to be the first ones.
  let ready = how.compiled;
  const ends = steps.filter((s) => s.kind === "end");
  const secondsOf = (step: PassStep): number => {
    const fresh = Math.max(0, step.compiled - ready);
    ready = Math.max(0, ready - step.compiled);
    return (step.flops + first.dispatchFlops * step.dispatches + first.compileFlops * fresh) / flopsPerSecond + step.readBytes / bytesPerSecond;
  };
  const stretches: Stretch[] = [];
  /** What lies behind the last block of a round comes before the first of the next. */
  let before = 0;
  for (const step of steps) {
    const seconds = secondsOf(step);
    if (step.kind === "end") before += seconds;
    else {
      stretches.push({ work: step.kind === "forward" ? 1 : 3, seconds: seconds + before, kind: step.mixed || before > 0 ? `first ${step.kind}` : step.kind });
      before = 0;
    }
  }
  if (ends.length > 0) stretches.push({ work: 2 * rounds, seconds: before, kind: "end" });
  return stretches;
}

/** Seconds to read back and check, for a second of merging and writing, before this session has measured both. */
const VERIFY_SHARE = 0.5;

/** An export as the meter counts it: every byte written, then every byte read back. */
export const exportStretches = (bytes: number): Stretch[] => [
  { work: bytes, seconds: 1, kind: "write" },
  { work: bytes, seconds: VERIFY_SHARE, kind: "verify" },
];
