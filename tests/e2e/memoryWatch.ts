/** Memory of a running Chromium by process kind, read from /proc (Linux). */
import { readFileSync, readdirSync } from "node:fs";

export type ProcessKind = "renderer" | "gpu" | "browser" | "other";

const commandLine = (pid: string): string => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    return "";
  }
};

/** Proportional set size in bytes: shared pages count once over all who share them. */
function pss(pid: string): number {
  try {
    return Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1] ?? 0) * 1024;
  } catch {
    return 0; // the process ended between the listing and the reading
  }
}

function kindOf(command: string): ProcessKind {
  if (command.includes("--type=renderer")) return "renderer";
  if (command.includes("--type=gpu-process")) return "gpu";
  return command.includes("--type=") ? "other" : "browser";
}

/** Bytes of every process of the browser that runs on this profile, summed by kind. */
export function browserMemory(profile: string): Record<ProcessKind, number> {
  const sums: Record<ProcessKind, number> = { renderer: 0, gpu: 0, browser: 0, other: 0 };
  const parents = new Map<string, string>();
  const commands = new Map<string, string>();
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    const command = commandLine(pid);
    if (!command) continue;
    commands.set(pid, command);
    try {
      parents.set(pid, readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)!.split(" ")[1]!);
    } catch {
      // ended meanwhile
    }
  }
  const ours = (pid: string | undefined, depth = 0): boolean => pid !== undefined && depth < 6 && ((commands.get(pid)?.includes(`--user-data-dir=${profile}`) ?? false) || ours(parents.get(pid), depth + 1));
  for (const [pid, command] of commands) if (ours(pid)) sums[kindOf(command)] += pss(pid);
  return sums;
}

/** The largest growth since the watch began, of renderer and GPU process together and of each. */
export class MemoryWatch {
  private readonly start: Record<ProcessKind, number>;
  private readonly timer: NodeJS.Timeout;
  private peaks = { together: 0, renderer: 0, gpu: 0, browser: 0 };

  constructor(private readonly profile: string, everyMs = 250) {
    this.start = browserMemory(profile);
    if (this.start.renderer === 0 || this.start.gpu === 0) throw new Error("No renderer or GPU process was found for this profile.");
    this.timer = setInterval(() => this.sample(), everyMs);
  }

  private sample(): void {
    const now = browserMemory(this.profile);
    const grown = (kind: ProcessKind): number => now[kind] - this.start[kind];
    this.peaks.together = Math.max(this.peaks.together, grown("renderer") + grown("gpu"));
    this.peaks.renderer = Math.max(this.peaks.renderer, grown("renderer"));
    this.peaks.gpu = Math.max(this.peaks.gpu, grown("gpu"));
    this.peaks.browser = Math.max(this.peaks.browser, grown("browser"));
  }

  /** Peak growth in bytes since the watch began or since the last call. */
  take(): { together: number; renderer: number; gpu: number; browser: number } {
    this.sample();
    const peaks = this.peaks;
    this.peaks = { together: 0, renderer: 0, gpu: 0, browser: 0 };
    return peaks;
  }

  end(): void {
    clearInterval(this.timer);
  }
}
