import type { OnProgress } from "../core/progress";

/** Progress as lines on stderr: one when a phase begins, then one every two seconds. */
export function progressLines(): OnProgress {
  let last = 0;
  let phase = "";
  let note: string | undefined;
  return (progress) => {
    if (progress.note !== note && progress.note !== undefined) process.stderr.write(`${progress.note}\n`);
    note = progress.note;
    const now = progress.phases.find((p) => p.state === "now");
    if (!now || (now.label === phase && performance.now() - last < 2000)) return;
    phase = now.label;
    last = performance.now();
    const left = progress.secondsLeft ? `, about ${Math.round(progress.secondsLeft[0])} to ${Math.round(progress.secondsLeft[1])} s left` : "";
    process.stderr.write(`${String(Math.round(progress.fraction * 100)).padStart(3)} %  ${now.label}${now.count ? ` · ${now.count}` : ""}${left}\n`);
  };
}
