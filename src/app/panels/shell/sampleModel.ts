import type { StudioState } from "../../state";
import { setKey } from "../../state/contenders";
import { progressPercent, timeLeft } from "../../ui/format";

/** What the sample run does, one after the other, as its line shows it. */
export interface SampleStep {
  label: string;
  state: "done" | "now" | "todo";
  /** "12 of 60": how far the one at work is. */
  count?: string;
  /** "about 6 s". */
  left?: string;
}

type Facts = Pick<StudioState, "sampleRun" | "queue" | "measuring" | "trying" | "running" | "evaluated" | "baseId" | "modelIds" | "problemSet" | "problemCount">;

export function sampleSteps(s: Facts): SampleStep[] {
  const run = s.sampleRun;
  if (!run) return [];
  const answering = [`model ${s.baseId}`, `model ${s.modelIds[0]}`, "merge"];
  const set = setKey(s);
  const answered = (key: string): boolean => s.evaluated[key]?.score.set === set;
  const asked = s.trying?.kind === "evaluate" ? answering.indexOf(s.trying.key) : answering.findIndex((key) => !answered(key));
  const at = { copy: 0, check: 1, measure: 2, evaluate: 3 + Math.max(0, asked) }[run.part];
  const jobId = { copy: s.queue.find((item) => item.state === "reading")?.jobId, check: undefined, measure: s.measuring, evaluate: s.trying?.jobId }[run.part];
  const progress = jobId === undefined ? undefined : s.running[jobId];
  const phase = progress?.phases.find((p) => p.state === "now");
  const count = run.part === "evaluate" ? phase?.count : progress && `${progressPercent(progress.fraction)}%`;
  const left = progress?.secondsLeft && timeLeft(progress.secondsLeft).about;
  return ["Copy", "Check", "Fisher", "Base", "Fine-tuned", "Merged"].map((label, i) => ({
    label, state: i < at ? "done" : i > at ? "todo" : "now", ...(i === at && count ? { count } : {}), ...(i === at && left ? { left } : {}),
  }));
}
