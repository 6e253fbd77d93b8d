import { useStudio } from "../../state/useStudio";
import { Icon } from "../../ui/icons";

/** Pause, and while the job waits Continue, in the same place: the focus stays. */
export function PauseButton({ jobId, small = false, disabled = false }: { jobId: string; small?: boolean; disabled?: boolean }) {
  const paused = useStudio((s) => s.running[jobId]?.paused === true);
  const running = useStudio((s) => s.running[jobId] !== undefined);
  const pause = useStudio((s) => s.pause);
  const resume = useStudio((s) => s.resume);
  return (
    <button type="button" className={small ? "btn s ghost" : "btn"} disabled={disabled || !running} onClick={() => void (paused ? resume(jobId) : pause(jobId))}>
      <Icon name={paused ? "play" : "pause"} small={small} />
      {paused ? "Continue" : "Pause"}
    </button>
  );
}
