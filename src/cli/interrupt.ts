import { existsSync, rmSync } from "node:fs";
import { basename } from "node:path";
import { partialPaths } from "./diskOutput";

/**
 * The last line after Ctrl C: what stays on the disk and what to do with it. Everything finished is written down as it
 * comes, so the program ends at once, as after a kill, and the same command goes on.
 */
export function interruptedSentence(out: string): string {
  const paths = partialPaths(out);
  const kept = [paths.files, paths.journal, paths.passes].filter((path) => existsSync(path));
  if (kept.length === 0) return "Stopped; nothing was written.";
  return `Stopped. What is finished is kept beside ${basename(paths.target)}: run the same command again to go on, or delete ${kept.map((path) => basename(path)).join(" and ")} to give it up.`;
}

/**
 * Ends the program at Ctrl C, in any phase; files in `lost` cannot be continued and are removed. It ends by the signal itself,
 * which a shell reports as 130: process.exit would tear down a GPU that is still at work. Returns what takes this back.
 */
export function endAtInterrupt(out: string, lost: readonly string[]): () => void {
  const end = (): void => {
    for (const path of lost) rmSync(path, { force: true });
    process.stderr.write(`${interruptedSentence(out)}\n`);
    process.kill(process.pid, "SIGINT"); // nobody listens any more
  };
  process.once("SIGINT", end);
  return () => void process.off("SIGINT", end);
}
