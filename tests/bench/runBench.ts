import { tuneKey, type TuneResult } from "../../src/gpu/autotune";
import type { Gpu } from "../../src/gpu/gpu";
import type { AdapterFacts } from "../../src/gpu/info";
import { formOf } from "../../src/kernels/nn/forms";
import { tuneKernels } from "../../src/kernels/nn/tuning";
import { benchCases } from "./cases";
import { measureCase, type CaseResult, type Clock, type Line } from "./measure";
import { measurePeak } from "./peak";
import { measureRates, type Rate } from "./rates";
import { ours } from "./runners/ours";
import type { Runner } from "./runners/types";

export interface RunOptions {
  rows: number[];
  rounds: number;
  /** Names that a case has to contain; "none" skips them all. */
  filter: string;
  /** Names of peers; a host offers those it can load. */
  peers: string[];
  /** Merge, selection and upload too. */
  rates: boolean;
}

/** Of the peers, for their names in the report. */
export interface Versions {
  jax: string;
  tfjs: string;
  onnx: string;
}

export interface PeerLoader {
  name: string;
  load(): Promise<Runner>;
}

/** One run on one adapter in one host, plain data. */
export interface RunReport {
  host: string;
  adapter: AdapterFacts;
  unit: "GFLOP per CPU-second" | "GFLOP/s";
  /** GFLOP/s of multiply-adds in registers, the bound of everything below; measured on hardware only. */
  peak?: number;
  forms: Record<string, string>;
  tuning: TuneResult;
  /** Peers that were asked for and why they are not here. */
  missing: Record<string, string>;
  cases: Record<string, Omit<CaseResult, "lines">>;
  lines: Line[];
  rates: Rate[];
}

/**
 * Our kernels and the peers on the adapter at hand, in one process, case by case, round by round. A software adapter
 * is measured in CPU-seconds where the clock knows them. Throws when no adapter answers; a peer that fails is reported.
 */
export async function runBench(entry: GPU, host: string, options: RunOptions, peers: readonly PeerLoader[], clock: Clock, log: (line: string) => void): Promise<RunReport> {
  const own = await ours(entry);
  const { gpu } = own;
  const tuning = await tuneKernels(gpu, { key: tuneKey(gpu.facts, host.split(".")[0]!) });
  const runners: Runner[] = [own];
  const missing: Record<string, string> = {};
  for (const { name, load } of peers)
    if (options.peers.includes(name)) await load().then((runner) => runners.push(runner), (error: unknown) => (missing[name] = (error instanceof Error ? error.message : String(error)).split("\n")[0]!));
  const perCpu = gpu.software && (await clock.cpuSeconds()) !== undefined;
  const unit = perCpu ? "GFLOP per CPU-second" : "GFLOP/s";
  const peak = gpu.software ? undefined : await measurePeak(gpu);
  log(`${host}: ${gpu.facts.name} (${gpu.facts.description || "no description"}), ${unit}, ${options.rounds} interleaved rounds${peak === undefined ? "" : `; multiply-adds in registers reach ${peak.toFixed(0)} GFLOP/s`}`);
  for (const [name, reason] of Object.entries(missing)) log(`${name} left out: ${reason}`);
  const report: RunReport = { host, adapter: gpu.facts, unit, ...(peak === undefined ? {} : { peak }), forms: formsOf(gpu), tuning, missing, cases: {}, lines: [], rates: [] };
  for (const one of benchCases(options.rows).filter(({ name }) => name.includes(options.filter))) {
    const { lines, ...result } = await measureCase(one, runners, options.rounds, clock, perCpu);
    report.lines.push(...lines);
    report.cases[one.name] = result;
    log(describeCase(one.name, { lines, ...result }, peak));
  }
  if (options.rates) {
    report.rates = await measureRates(gpu);
    for (const rate of report.rates) log(describeRate(rate));
  }
  gpu.destroy();
  return report;
}

const formsOf = (gpu: Gpu): Record<string, string> =>
  Object.fromEntries((["gemm_nt", "gemm_nn", "fisher_tn"] as const).map((kernel) => [kernel, `${formOf(gpu, kernel, 64)} at 64 rows, ${formOf(gpu, kernel, 512)} at 512`]));

function describeCase(name: string, { lines, ratio, bestPeer, bar }: CaseResult, peak: number | undefined): string {
  const share = (line: Line): string => (peak === undefined ? "" : `, ${((100 * line.median!) / peak).toFixed(0)} % of peak`);
  const rows = lines.map((line) =>
    line.failed !== undefined
      ? `    ${line.runner.padEnd(24)} ${line.failed}`
      : `    ${line.runner.padEnd(24)} ${line.median!.toFixed(2).padStart(9)}  (${line.low!.toFixed(2)} to ${line.high!.toFixed(2)}, ${line.medianMs!.toFixed(line.medianMs! < 10 ? 2 : 0)} ms${share(line)})${line.note ? `  ${line.note}` : ""}`,
  );
  const verdict = ratio === undefined ? "" : `  ${ratio.toFixed(2)}x ${bestPeer!}${peak === undefined ? `, bar ${bar}x ${ratio >= bar ? "met" : "MISSED"}` : ""}`;
  return [`${name}${verdict}`, ...rows].join("\n");
}

export const describeRate = ({ name, value, unit, note }: Rate): string => `${name.padEnd(44)} ${value.toFixed(2).padStart(9)} ${unit}${note ? `  (${note})` : ""}`;
