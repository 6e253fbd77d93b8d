/** Ends of a visit that no page can answer: a crashed tab, a browser killed from outside. */
import { readdirSync, readFileSync } from "node:fs";
import type { BrowserContext, Page } from "@playwright/test";

export interface KillPoint {
  kind: "ingest" | "measure" | "export";
  /** Share of the job that is done when the kill comes. */
  fraction: number;
  how: "crash" | "sigkill";
}

/** mulberry32: the same points for the same seed. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Kills spread over the whole job, in the order in which they are reached, tab and browser in turn. */
export function killPoints(seed: number, counts: Record<KillPoint["kind"], number>): KillPoint[] {
  const next = random(seed);
  let n = 0;
  return (["ingest", "measure", "export"] as const).flatMap((kind) => {
    const fractions = Array.from({ length: counts[kind] }, () => 0.02 + 0.93 * next()).sort((a, b) => a - b);
    return fractions.map((fraction): KillPoint => ({ kind, fraction: Number(fraction.toFixed(3)), how: n++ % 2 === 0 ? "crash" : "sigkill" }));
  });
}

/** The browser process that holds this profile. */
function browserOf(profile: string): number {
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const args = readFileSync(`/proc/${name}/cmdline`, "utf8").split("\0");
      if (args.some((arg) => arg === `--user-data-dir=${profile}`) && !args.some((arg) => arg.startsWith("--type="))) return Number(name);
    } catch {
      // it ended meanwhile
    }
  }
  throw new Error(`no browser has the profile ${profile}`);
}

/**
 * Resolves with what was told when the job of this kind has told of that share of its work or of more: progress is told ten
 * times a second, so a short rest may end in between. The engine's thread stands still at that place
 * from then on, so that the kill meets the state it was meant to meet, however slow the machine is.
 */
export async function reached(page: Page, point: KillPoint): Promise<number> {
  const worker = page.workers().find((w) => w.url().includes("engine.worker"))!;
  let tell: (fraction: number) => void;
  const told = new Promise<number>((resolve) => (tell = resolve));
  page.on("console", (message) => message.text().startsWith("kill point ") && tell(Number(message.text().slice(11))));
  await worker.evaluate(({ kind, fraction }) => {
    const scope = self as unknown as { postMessage(message: unknown, transfer?: Transferable[]): void };
    const post = scope.postMessage.bind(scope);
    scope.postMessage = (message, transfer) => {
      post(message, transfer ?? []);
      const { rpc, args } = message as { rpc?: string; args?: [{ kind?: string; fraction?: number }] };
      const progress = rpc === "callback" ? args?.[0] : undefined;
      if (progress?.kind !== kind || !(progress.fraction! >= fraction)) return;
      console.log(`kill point ${progress.fraction}`);
      for (const end = performance.now() + 20_000; performance.now() < end; );
    };
  }, point);
  return told;
}

/** Ends the visit at once, and waits until the browser has let the profile go. */
export async function kill(context: BrowserContext, page: Page, profile: string, how: KillPoint["how"]): Promise<void> {
  const closed = new Promise<void>((resolve) => context.on("close", () => resolve()));
  if (how === "sigkill") {
    process.kill(browserOf(profile), "SIGKILL");
    await closed;
    return;
  }
  const crashed = page.waitForEvent("crash");
  const session = await context.newCDPSession(page);
  void session.send("Page.crash").catch(() => undefined);
  await crashed;
  await context.close();
}
