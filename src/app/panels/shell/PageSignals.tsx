import { useEffect, useRef, useState } from "react";
import { STEPS, type IngestItem } from "../../state";
import { useShallow, useStudio, useStudioStore } from "../../state/useStudio";
import { progressPercent } from "../../ui/format";
import { favicon } from "./favicon";
import { watchRequests } from "./requests";

/** What the page tells outside its own frame: title, icon, theme, a question before closing, screen kept awake, announcements. */
export function PageSignals() {
  const step = useStudio((s) => STEPS.find(({ id }) => id === s.step)!.label);
  const [busy, percent, paused] = useStudio(useShallow((s) => {
    const jobs = Object.values(s.running);
    const reading = s.queue.some((item) => item.state === "reading" || item.state === "waiting");
    const latest = jobs.at(-1);
    return [jobs.length > 0 || reading || s.measuring !== undefined, latest ? progressPercent(latest.fraction) : undefined, jobs.length > 0 && jobs.every((job) => job.paused)] as const;
  }));
  const theme = useStudio((s) => s.theme);
  const store = useStudioStore();

  useEffect(() => {
    document.title = percent === undefined ? `${step} · Tributary` : `${paused ? "Paused at " : ""}${percent} % · ${step} · Tributary`;
  }, [step, percent, paused]);

  useEffect(() => {
    const link = document.querySelector<HTMLLinkElement>("link[rel=icon]");
    if (link) link.href = favicon(percent);
  }, [percent]);

  useEffect(() => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  }, [theme]);

  useEffect(() => {
    if (!busy) return;
    const ask = (event: BeforeUnloadEvent): void => event.preventDefault();
    window.addEventListener("beforeunload", ask);
    return () => window.removeEventListener("beforeunload", ask);
  }, [busy]);

  const awake = busy && !paused;
  useEffect(() => (awake ? keepAwake() : undefined), [awake]);
  useEffect(() => watchRequests((names) => store.getState().noteRequests(names)), [store]);
  return <Announcer />;
}

/** Asks for a screen wake lock, and again when the tab comes back; a refusal changes nothing. */
function keepAwake(): () => void {
  let lock: WakeLockSentinel | undefined;
  let over = false;
  const ask = async (): Promise<void> => {
    if (document.visibilityState !== "visible") return;
    try {
      const next = await navigator.wakeLock?.request("screen");
      await lock?.release();
      lock = next;
      if (over) await lock?.release();
    } catch {
      // Battery saver or policy: the work goes on, the screen may sleep.
    }
  };
  const again = (): void => void ask();
  void ask();
  document.addEventListener("visibilitychange", again);
  return () => {
    over = true;
    document.removeEventListener("visibilitychange", again);
    void lock?.release().catch(() => undefined);
  };
}

/**
 * To screen readers: the phase of a copy as it starts, a pause and its end, its percent at most every ten seconds, how it
 * ended, and the verdict of the check.
 */
function Announcer() {
  const progress = useStudio((s) => Object.values(s.running).find((job) => job.kind === "ingest"));
  const verdict = useStudio((s) => s.preflight?.verdict);
  const ended = useStudio((s) => {
    const item = s.queue.findLast(({ state }) => state in ENDED);
    return item ? `${item.name}${ENDED[item.state]}` : "";
  });
  const [text, setText] = useState("");
  const last = useRef({ phase: "", paused: false, time: 0 });
  const phase = progress?.phases.find((p) => p.state === "now");
  const paused = progress?.paused === true;
  const percent = progressPercent(progress?.fraction);
  useEffect(() => {
    const now = Date.now();
    if (!phase || (phase.id === last.current.phase && paused === last.current.paused && now - last.current.time < 10_000)) return;
    last.current = { phase: phase.id, paused, time: now };
    setText(paused ? `Paused at ${percent}%` : `${phase.label}, ${percent}%`);
  }, [phase, paused, percent]);
  // A copy that has ended leaves no percent behind.
  useEffect(() => setText(ended), [ended]);
  useEffect(() => {
    if (verdict) setText(verdict === "ok" ? "The check found no blockers." : "The check found a blocker.");
  }, [verdict]);
  return <p className="vh" role="status">{text}</p>;
}

const ENDED: Partial<Record<IngestItem["state"], string>> = { done: " is stored.", cancelled: " was stopped; what is copied is kept.", failed: " could not be read." };
