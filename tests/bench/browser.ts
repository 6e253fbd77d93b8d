import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "@playwright/test";
import { build, preview } from "vite";
import { FILE_BYTES } from "./node";
import { describeRate, type RunOptions, type RunReport, type Versions } from "./runBench";
import type {} from "./page/page";

const ARGS = ["--enable-unsafe-webgpu", "--ignore-gpu-blocklist", "--no-sandbox", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
/** Linux counts CPU time in these steps per second. */
const TICKS = 100;

/** The bench in a page of a Chromium with a profile of its own, driven from here. Throws when the page or its GPU fails. */
export async function benchInBrowser(executablePath: string, options: RunOptions, versions: Versions, log: (line: string) => void): Promise<RunReport> {
  const folder = mkdtempSync(join(tmpdir(), "tributary-bench-"));
  const root = join(import.meta.dirname, "page");
  const outDir = join(folder, "page");
  await build({ root, configFile: false, logLevel: "error", base: "./", worker: { format: "es" }, build: { outDir, target: "es2023", emptyOutDir: true, chunkSizeWarningLimit: 1e5 } });
  const server = await preview({ root, configFile: false, logLevel: "error", build: { outDir }, preview: { port: 4300, host: "localhost" } });
  const profile = join(folder, "profile");
  const context = await chromium.launchPersistentContext(profile, { executablePath, headless: true, args: ARGS });
  try {
    const page = context.pages()[0] ?? (await context.newPage());
    page.setDefaultTimeout(0);
    let gpuProcess: number | undefined;
    await page.exposeFunction("benchCpu", () => {
      gpuProcess ??= findGpuProcess(profile);
      return gpuProcess === undefined ? null : cpuSeconds(gpuProcess);
    });
    await page.exposeFunction("benchLog", log);
    const failures: string[] = [];
    page.on("pageerror", (error) => failures.push(error.message));
    await page.goto(server.resolvedUrls!.local[0]!);
    await page.waitForFunction(() => "runBench" in window).catch((error: unknown) => {
      throw new Error(`The bench page did not start: ${failures.join("; ") || String(error)}`);
    });
    const host = `Chromium ${context.browser()?.version() ?? ""}`.trim();
    const report = await page.evaluate(([name, settings, peers]) => window.runBench(name, settings, peers), [host, options, versions] as const);
    if (options.rates) {
      const file = join(folder, "file");
      writeFileSync(file, new Uint8Array(FILE_BYTES).fill(1));
      await page.locator("input").setInputFiles(file);
      const reads = await page.evaluate(() => window.readRates());
      report.rates.push(...reads);
      for (const rate of reads) log(describeRate(rate));
    }
    return report;
  } finally {
    await context.close();
    await server.close();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** The GPU process among the descendants of the browser that was started on this profile; undefined outside Linux. */
function findGpuProcess(profile: string): number | undefined {
  const processes = new Map<number, { parent: number; command: string }>();
  let names: string[] = [];
  try {
    names = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  } catch {
    return undefined;
  }
  for (const name of names) {
    try {
      processes.set(Number(name), { parent: Number(statFields(Number(name))[1]), command: readFileSync(`/proc/${name}/cmdline`, "utf8") });
    } catch {
      // It ended between the listing and the reading.
    }
  }
  const ours = (pid: number): boolean => {
    for (let at = processes.get(pid); at; at = processes.get(at.parent)) if (at.command.includes(profile)) return true;
    return false;
  };
  return [...processes].find(([pid, { command }]) => command.includes("--type=gpu-process") && ours(pid))?.[0];
}

/** Fields of /proc/PID/stat after the name, which may hold spaces: state, parent, ... */
const statFields = (pid: number): string[] => readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /s, "").split(" ");

/** User and system time of a process. */
function cpuSeconds(pid: number): number {
  const fields = statFields(pid);
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}
