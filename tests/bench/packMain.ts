import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { main as merge } from "../../src/cli/merge";
import { makeCheckpoint } from "../support/makeCheckpoint.mjs";
import { benchInNode, host } from "./node";
import type { RunReport, Versions } from "./runBench";

const USAGE = `./run.sh [--tiny] [--only kernels,merge,torch] [--work DIR] [--json FILE]
  kernels  our kernels against the libraries that run without a browser
  merge    FIM-TIES of a generated pair in the sizes of Qwen2.5-1.5B (10 GB of disk), from headers to verified output
  torch    the same Fisher pass in torch, where python3 has torch with CUDA
  --tiny   small sizes, to see that everything runs
  --work   folder for the pair; a temporary one when absent
  --json   also write the result there; it is printed on stdout, progress on stderr`;

interface MergeReport {
  makeSeconds: number;
  mergeSeconds: number;
  /** The report of the merge: timings, kernels, memory, checks. */
  timings: Record<string, number>;
  kernels?: unknown;
  gpuMemory?: unknown;
  checks: { label: string; verdict: string }[];
  peakRssBytes: number;
}

interface TorchTimes { passSeconds?: number; loadSeconds?: number; failed?: string }

/** What `passSeconds` of ours is divided by torch's: above 1, torch is faster. Ours reads the disk and trims as well. */
interface TorchReport {
  report?: Record<string, unknown>;
  ratios?: Record<string, { pass: number; withLoad: number }>;
  skipped?: string;
}

export interface PackReport {
  date: string;
  host: ReturnType<typeof host>;
  tiny: boolean;
  kernels?: RunReport;
  merge?: MergeReport;
  torch?: TorchReport;
}

const SEQUENCES = 8;
/** What the 1.5B pair and its merge take on disk. */
const DISK_BYTES = 11e9;

/** Runs the parts and prints one JSON object; everything else goes to stderr. `folder` is where the archive lies. */
export async function main(args: string[], folder: string, versions: Versions): Promise<number> {
  const { values } = parseArgs({ args, options: { tiny: { type: "boolean", default: false }, only: { type: "string", default: "kernels,merge,torch" }, work: { type: "string" }, json: { type: "string" }, help: { type: "boolean" } } });
  console.log = console.error;
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  const parts = values.only.split(",");
  const report: PackReport = { date: new Date().toISOString(), host: host(), tiny: values.tiny };
  if (parts.includes("kernels")) {
    const peers = values.tiny ? [] : ["jax-js", "tfjs"];
    report.kernels = await benchInNode({ rows: values.tiny ? [64] : [64, 512], rounds: values.tiny ? 1 : 5, filter: values.tiny ? "forward 256x256" : "", peers, rates: !values.tiny }, versions, console.log);
  }
  if (parts.includes("merge") || parts.includes("torch")) {
    const work = values.work ? resolve(values.work) : mkdtempSync(join(tmpdir(), "tributary-pack-"));
    try {
      const { bsize, bavail } = statfsSync(work);
      if (!values.tiny && bsize * bavail < DISK_BYTES) throw new Error(`The pair and its merge need ${DISK_BYTES / 1e9} GB in ${work}, and ${(bsize * bavail / 1e9).toFixed(1)} GB are free. Name another folder with --work.`);
      const shape = values.tiny ? "tiny" : "1.5b";
      const makeStart = performance.now();
      for (const side of ["base", "partner"] as const) makeCheckpoint({ out: join(work, side), shape, side });
      const makeSeconds = (performance.now() - makeStart) / 1e3;
      if (parts.includes("merge")) report.merge = await runMerge(work, makeSeconds);
      if (parts.includes("torch")) report.torch = runTorch(folder, join(work, "base"), report.merge);
    } finally {
      for (const name of ["base", "partner", "merged", "report.json"]) rmSync(join(work, name), { recursive: true, force: true });
      if (!values.work) rmSync(work, { recursive: true, force: true });
    }
  }
  const text = `${JSON.stringify(report)}\n`;
  if (values.json) writeFileSync(values.json, text);
  process.stdout.write(text);
  return 0;
}

async function runMerge(work: string, makeSeconds: number): Promise<MergeReport> {
  const path = (name: string): string => join(work, name);
  const start = performance.now();
  const code = await merge(["--base", path("base"), "--model", path("partner"), "--method", "fim-ties", "--set", `N=${SEQUENCES}`, "--out", path("merged"), "--report", path("report.json")]);
  if (code !== 0) throw new Error("The merge failed; the lines above say why.");
  const { timings, kernels, gpuMemory, checks } = JSON.parse(readFileSync(path("report.json"), "utf8")) as Pick<MergeReport, "timings" | "kernels" | "gpuMemory" | "checks">;
  return { makeSeconds, mergeSeconds: (performance.now() - start) / 1e3, timings, kernels, gpuMemory, checks, peakRssBytes: process.resourceUsage().maxRSS * 1024 };
}

function runTorch(folder: string, model: string, merged: MergeReport | undefined): TorchReport {
  const probe = spawnSync("python3", ["-c", "import torch; print(torch.cuda.is_available())"], { encoding: "utf8" });
  if (probe.status !== 0) return { skipped: "python3 with torch is not here" };
  if (probe.stdout.trim() !== "True") return { skipped: "torch sees no CUDA device" };
  const run = spawnSync("python3", [join(folder, "torch_fisher.py"), "--model", model, "--sequences", String(SEQUENCES)], { encoding: "utf8", maxBuffer: 1 << 26 });
  if (run.status !== 0) return { skipped: `torch failed: ${run.stderr.trim().split("\n").at(-1) ?? ""}` };
  const report = JSON.parse(run.stdout) as Record<string, unknown>;
  const ours = (merged?.timings.measureMs ?? 0) / 1e3;
  if (!ours) return { report };
  const ratios: TorchReport["ratios"] = {};
  for (const dtype of ["float32", "bfloat16"]) {
    const { passSeconds, loadSeconds } = report[dtype] as TorchTimes;
    if (passSeconds !== undefined && loadSeconds !== undefined) ratios[dtype] = { pass: ours / passSeconds, withLoad: ours / (passSeconds + loadSeconds) };
  }
  return { report, ratios };
}
