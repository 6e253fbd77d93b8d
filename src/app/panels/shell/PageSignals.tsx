import { useEffect, useRef, useState } from "react";
import { STEPS } from "../../state";
import { useShallow, useStudio, useStudioStore } from "../../state/useStudio";
import { progressPercent } from "../../ui/format";
import { favicon } from "./favicon";
import { watchRequests } from "./requests";

/** What the page tells outside its own frame: title, icon, theme, a question before closing, screen kept awake, announcements. */
export function PageSignals() {
  const step = useStudio((s) => STEPS.find(({ id }) => id === s.step)!.label);
  const [busy, percent] = useStudio(useShallow((s) => {
    const jobs = Object.values(s.running);
    const reading = s.queue.some((item) => item.state === "reading" || item.state === "waiting");
    const latest = jobs.at(-1);
    return [jobs.length > 0 || reading || s.measuring !== undefined, latest ? progressPercent(latest.fraction) : undefined] as const;
  }));
  const theme = useStudio((s) => s.theme);
  const store = useStudioStore();

  useEffect(() => {
    document.title = percent === undefined ? `${step} · Tributary` : `${percent} % · ${step} · Tributary`;
  }, [step, percent]);

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

  useEffect(() => (busy ? keepAwake() : undefined), [busy]);
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
      lock = await navigator.wakeLock?.request("screen");
      if (over) void lock?.release();
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

/** To screen readers: the phase of a copy as it starts, its percent at most every ten seconds, and the verdict of the check. */
function Announcer() {
  const progress = useStudio((s) => Object.values(s.running).find((job) => job.kind === "ingest"));
  const verdict = useStudio((s) => s.preflight?.verdict);
  const [text, setText] = useState("");
  const last = useRef({ phase: "", time: 0 });
  const phase = progress?.phases.find((p) => p.state === "now");
  const percent = progressPercent(progress?.fraction);
  useEffect(() => {
    const now = Date.now();
    if (!phase || (phase.id === last.current.phase && now - last.current.time < 10_000)) return;
    last.current = { phase: phase.id, time: now };
    setText(`${phase.label}, ${percent}%`);
  }, [phase, percent]);
  useEffect(() => {
    if (verdict) setText(verdict === "ok" ? "The check found no blockers." : "The check found a blocker.");
  }, [verdict]);
  return <p className="vh" role="status">{text}</p>;
}
