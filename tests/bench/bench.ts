import { mkdirSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname } from "node:path";
import { nodeGpu } from "../../src/cli/nodeGpu";
import { formOf } from "../../src/kernels/nn/forms";
import { tuneKernels } from "../../src/kernels/nn/tuning";
import { tuneKey } from "../../src/gpu/autotune";
import { benchCases, flops, makeInputs, worstError, type BenchCase } from "./cases";
import { jaxJs, ours, tfjs, type Prepared, type Runner } from "./runners";

export interface BenchOptions {
  json: string;
  rows: number[];
  rounds: number;
  /** Names that a case has to contain. */
  filter: string;
  peers: string[];
}

/** Rates in GFLOP per CPU-second on a software adapter, GFLOP per second on hardware. */
interface Line {
  case: string;
  runner: string;
  median?: number;
  low?: number;
  high?: number;
  medianMs?: number;
  rounds?: number;
  worstError?: number;
  failed?: string;
}

/** Sums in f32 of up to 4,864 terms, as a share of the root of the summed squares. */
const TOLERANCE = 1e-5;
/** A call that takes longer is timed twice instead of `rounds` times. */
const SLOW_MS = 3000;
/** A timed round repeats a short call until it should last this long: CPU time is counted in coarse steps. */
const ROUND_MS = 100;

interface Contender {
  runner: Runner;
  prepared: Prepared;
  line: Line;
  repeats: number;
  rates: number[];
  walls: number[];
}

/** Runs every case on every library in turn, round by round, so that what else the machine does meets all of them alike. */
export async function main(options: BenchOptions): Promise<number> {
  const entry = await nodeGpu();
  if (!entry) {
    console.error("No WebGPU adapter answers; the bench needs one.");
    return 1;
  }
  Object.defineProperty(globalThis, "navigator", { value: { gpu: entry, userAgent: "node", hardwareConcurrency: cpus().length }, configurable: true });
  const own = await ours(entry);
  const { gpu } = own;
  const tuning = await tuneKernels(gpu, { key: tuneKey(gpu.facts, `Node ${process.versions.node.split(".")[0]}`) });
  const runners: Runner[] = [own];
  const missing: Record<string, string> = {};
  for (const [name, make] of [["jax-js", jaxJs], ["tfjs", tfjs]] as const)
    if (options.peers.includes(name)) await make().then((runner) => runners.push(runner), (error: unknown) => (missing[name] = String(error)));
  const unit = gpu.software ? "GFLOP per CPU-second" : "GFLOP/s";
  console.log(`${gpu.facts.name} (${gpu.facts.description}), ${unit}, ${options.rounds} interleaved rounds; forms: ${formOf(gpu, "gemm_nt", 64)} / ${formOf(gpu, "gemm_nt", 512)}`);
  for (const [name, reason] of Object.entries(missing)) console.log(`${name} left out: ${reason}`);
  const lines: Line[] = [];
  const ratios: Record<string, number> = {};
  for (const one of benchCases(options.rows).filter(({ name }) => name.includes(options.filter))) {
    const { lines: measured, ratio } = await measure(one, runners, options.rounds, gpu.software);
    lines.push(...measured);
    if (ratio !== undefined) ratios[one.name] = ratio;
    console.log(`${one.name.padEnd(24)} ${measured.map(describe).join("   ")}${ratio === undefined ? "" : `   ${ratio.toFixed(2)}x best peer`}`);
  }
  mkdirSync(dirname(options.json), { recursive: true });
  const report = { date: new Date().toISOString(), adapter: gpu.facts, unit, host: { cpu: cpus()[0]?.model ?? "", cores: cpus().length, node: process.versions.node }, missing, tuning, lines, ratios };
  writeFileSync(options.json, `${JSON.stringify(report, undefined, 1)}\n`);
  console.log(`Written to ${options.json}`);
  return lines.some(({ failed }) => failed) ? 1 : 0;
}

async function measure(one: BenchCase, runners: Runner[], rounds: number, software: boolean): Promise<{ lines: Line[]; ratio: number | undefined }> {
  const inputs = makeInputs(one);
  const contenders: Contender[] = [];
  const lines: Line[] = [];
  for (const runner of runners) {
    const line: Line = { case: one.name, runner: runner.name };
    lines.push(line);
    try {
      const prepared = await runner.prepare(one, inputs);
      await prepared.run(); // compiles
      const start = performance.now();
      await prepared.run();
      line.medianMs = performance.now() - start;
      line.worstError = worstError(one, inputs, await prepared.output());
      if (!(line.worstError <= TOLERANCE)) throw new Error(`wrong by ${line.worstError.toExponential(1)}`);
      contenders.push({ runner, prepared, line, repeats: Math.max(1, Math.ceil(ROUND_MS / line.medianMs)), rates: [], walls: [] });
    } catch (error) {
      line.failed = error instanceof Error ? error.message : String(error);
    }
  }
  for (let round = 0; round < rounds; round++)
    for (const { prepared, line, repeats, rates, walls } of contenders) {
      if (line.medianMs! > SLOW_MS && round >= 2) continue;
      const cpu = process.cpuUsage();
      const start = performance.now();
      for (let i = 0; i < repeats; i++) await prepared.run();
      const wall = (performance.now() - start) / repeats;
      const { user, system } = process.cpuUsage(cpu);
      walls.push(wall);
      rates.push(flops(one) / 1e9 / (software ? (user + system) / 1e6 / repeats : wall / 1e3));
    }
  for (const { prepared, line, rates, walls } of contenders) {
    const sorted = [...rates].sort((a, b) => a - b);
    Object.assign(line, { median: middle(rates), low: sorted[0], high: sorted.at(-1), medianMs: middle(walls), rounds: rates.length });
    prepared.dispose();
  }
  // A ratio of each round, then the median: load that comes and goes is in both sides of it.
  const [first, ...peers] = contenders;
  const best = peers.sort((a, b) => b.line.median! - a.line.median!)[0];
  const ratio = first && best && first.line.runner === runners[0]!.name ? middle(best.rates.slice(0, first.rates.length).map((rate, i) => first.rates[i]! / rate)) : undefined;
  return { lines, ratio };
}

function middle(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

const describe = ({ runner, median, low, high, medianMs, failed }: Line): string =>
  failed ? `${runner}: ${failed}` : `${runner} ${median!.toFixed(2)} (${low!.toFixed(2)}..${high!.toFixed(2)}, ${medianMs!.toFixed(0)} ms)`;
