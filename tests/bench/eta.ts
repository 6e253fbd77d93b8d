import { mkdtempSync, rmSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { nodeGpu } from "../../src/cli/nodeGpu";
import { readFolder, type DiskFile } from "../../src/cli/nodeFiles";
import type { Progress } from "../../src/core/progress";
import type { Checkpoint } from "../../src/core/tensors";
import { openCheckpoint } from "../../src/formats/checkpoint";
import { bench, type Bench } from "../support/engineBench";
import { makeCheckpoint } from "../support/makeCheckpoint.mjs";

const MARKS = [0.1, 0.25, 0.5, 0.75];
const SAMPLES = new URL("../../public/samples/", import.meta.url).pathname;

interface Job {
  name: string;
  run(onProgress: (progress: Progress) => void): Promise<unknown>;
}

/** What was foretold at each mark, against what it then took; undefined where nothing is shown yet. */
interface Row {
  mark: number;
  fraction: number;
  foretold: [number, number] | undefined;
  took: number;
}

const middle = ([low, high]: [number, number]): number => Math.sqrt(low * high);

async function time(job: Job): Promise<{ seconds: number; rows: Row[] }> {
  const seen: { at: number; progress: Progress }[] = [];
  const started = performance.now();
  await job.run((progress) => seen.push({ at: performance.now(), progress }));
  const ended = performance.now();
  const rows = MARKS.flatMap((mark): Row[] => {
    const first = seen.find(({ progress }) => progress.fraction >= mark && progress.fraction < 1);
    return first ? [{ mark, fraction: first.progress.fraction, foretold: first.progress.secondsLeft, took: (ended - first.at) / 1000 }] : [];
  });
  return { seconds: (ended - started) / 1000, rows };
}

function print(name: string, { seconds, rows }: { seconds: number; rows: Row[] }): void {
  console.log(`${name}: ${seconds.toFixed(1)} s, load ${loadavg()[0]!.toFixed(1)}`);
  for (const { mark, fraction, foretold, took } of rows) {
    const at = `  at ${String(Math.round(mark * 100)).padStart(2)} % (${(fraction * 100).toFixed(1)} %)`;
    console.log(foretold ? `${at}: foretold ${middle(foretold).toFixed(1)} s (${foretold[0].toFixed(1)} to ${foretold[1].toFixed(1)}), took ${took.toFixed(1)} s, total off by ${((100 * (middle(foretold) - took)) / seconds).toFixed(0)} %, rest by ${(100 * (middle(foretold) / took - 1)).toFixed(0)} %` : `${at}: nothing is foretold in the first three seconds, took ${took.toFixed(1)} s`);
  }
}

async function open(folder: string, files: DiskFile[]): Promise<Checkpoint> {
  const read = await readFolder(folder);
  files.push(...read.files);
  return openCheckpoint(read.name, read.files);
}

async function jobsOf(b: Bench, method: string, what: string): Promise<Job[]> {
  const recipe = await b.engine.defaultRecipe(method, "base", ["tuned"]);
  return [
    { name: `${what}, ${method}, measure`, run: (onProgress) => (b.passes.clear(), b.engine.measure("job", recipe, onProgress, () => undefined)) },
    { name: `${what}, ${method}, export`, run: (onProgress) => b.engine.exportModel("job", recipe, { kind: "stage", name: "merged" }, onProgress) },
  ];
}

/** Runs the jobs and prints, at four places of each, the time foretold and the time it took. */
export async function main({ rounds, shape }: { rounds: number; shape?: "300mb" | "tiny" }): Promise<number> {
  const gpu = await nodeGpu();
  const files: DiskFile[] = [];
  const work = mkdtempSync(join(tmpdir(), "eta-"));
  try {
    const sample = bench(gpu, { base: await open(join(SAMPLES, "base"), files), tuned: await open(join(SAMPLES, "long-cot"), files) });
    const jobs = await jobsOf(sample, "fim-ties", "sample");
    if (shape) {
      for (const [name, side] of [["base", "base"], ["tuned", "partner"]] as const) makeCheckpoint({ out: join(work, name), shape, side });
      const big = bench(gpu, { base: await open(join(work, "base"), files), tuned: await open(join(work, "tuned"), files) });
      jobs.push(...(await jobsOf(big, "ties", shape)));
    }
    for (let round = 0; round < rounds; round++) for (const job of jobs) print(job.name, await time(job));
    return 0;
  } finally {
    await Promise.all(files.map((file) => file.close()));
    rmSync(work, { recursive: true, force: true });
  }
}
