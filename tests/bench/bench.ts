import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { benchInBrowser } from "./browser";
import { benchInNode, host } from "./node";
import type { RunOptions, RunReport, Versions } from "./runBench";

export interface BenchOptions extends RunOptions {
  json: string;
  versions: Versions;
  node: boolean;
  /** Path of the Chromium to run in; undefined for none. */
  chromium: string | undefined;
}

/** Runs the bench where it was asked for and writes the figures; the exit code says whether everything ran. */
export async function main({ json, versions, node, chromium, ...options }: BenchOptions): Promise<number> {
  const runs: RunReport[] = [];
  let failed = false;
  const hosts = [...(chromium ? [() => benchInBrowser(chromium, options, versions, console.log)] : []), ...(node ? [() => benchInNode(options, versions, console.log)] : [])];
  for (const run of hosts) {
    try {
      runs.push(await run());
    } catch (error) {
      failed = true;
      console.error(error instanceof Error ? error.message : String(error));
    }
    // Written after each host, so that a later failure loses nothing.
    mkdirSync(dirname(json), { recursive: true });
    writeFileSync(json, `${JSON.stringify({ date: new Date().toISOString(), host: host(), runs }, undefined, 1)}\n`);
  }
  console.log(`Written to ${json}`);
  return failed || runs.some(({ lines }) => lines.some((line) => line.failed !== undefined)) ? 1 : 0;
}
