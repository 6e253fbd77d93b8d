import type { IngestItem } from "../../state";
import { useStudio } from "../../state/useStudio";
import { bytes, bytesOf, clock, plural, progressPercent, rate, timeLeft } from "../../ui/format";
import { Icon } from "../../ui/icons";
import { Chip, Role } from "../../ui/marks";
import { Phases } from "../shape/ProgressBlock";
import { PauseButton } from "../shell/PauseButton";

/** A folder that has no entry in the store yet: waiting, or reading its headers, or unreadable. */
export function QueuePanel({ item, of: role }: { item: IngestItem; of: "base" | "tuned" }) {
  const cancel = useStudio((s) => s.cancel);
  const retry = useStudio((s) => s.retry);
  const linkInstead = useStudio((s) => s.linkInstead);
  return (
    <section className={`panel sc-${role}`} aria-label={item.name}>
      <div className="ph">
        <Role of={role} /><h2>{item.name}</h2><span className="sub">{plural(item.files, "file")}, {bytes(item.bytes)}</span>
        <span className="acts">
          {item.state === "waiting" && <Chip tone="plain">Waiting</Chip>}
          {item.state === "failed" ? (
            <>
              {item.failure === "storage-full" ? <Chip tone="warn">No room</Chip> : item.failure === "busy" ? <Chip tone="warn">Busy</Chip> : <Chip tone="block">Unreadable</Chip>}
              <button type="button" className="btn s" onClick={() => void retry(item.jobId)}>Read again</button>
              <button type="button" className="btn s ghost" onClick={() => void linkInstead(item.jobId)}>Link in place</button>
              <button type="button" className="btn icon s" aria-label={`Remove ${item.name}`} onClick={() => void cancel(item.jobId)}><Icon name="close" small /></button>
            </>
          ) : (
            <>
              {item.state === "reading" && <PauseButton jobId={item.jobId} small />}
              <button type="button" className="btn s" onClick={() => void cancel(item.jobId)}><Icon name="close" small />Cancel</button>
            </>
          )}
        </span>
      </div>
      <div className="pb stack">{item.state === "reading" && <IngestBody jobId={item.jobId} role={role} name={item.name} />}</div>
    </section>
  );
}

/** Headline numbers, bar, one cell per chunk, phases. */
export function IngestBody({ jobId, role, name }: { jobId: string; role: "base" | "tuned"; name: string }) {
  const progress = useStudio((s) => s.running[jobId]);
  const linked = useStudio((s) => s.queue.find((item) => item.jobId === jobId)?.adding === "link");
  const [part, whole] = bytesOf(progress?.bytesDone, progress?.bytesTotal);
  const left = timeLeft(progress?.secondsLeft);
  const percent = progressPercent(progress?.fraction);
  const cells = progress?.strips?.[0]?.cells ?? [];
  const n = (state: string): number => cells.filter((cell) => cell === state).length;
  const key = linked ? `${n("full")} of ${plural(cells.length, "chunk")} read` : `${n("half") + n("full")} of ${plural(cells.length, "chunk")} stored, ${n("full")} verified`;
  return (
    <>
      <div className="stats">
        <div><span>{linked ? "read" : "copied"}</span><span className="big">{part} <span className="muted">{whole && `of ${whole}`}</span></span></div>
        <div><span>rate</span><span className="big">{rate(progress?.bytesPerSecond)}</span></div>
        <div><span>left</span><span className="big">{left.about} {left.range && <span className="muted range">{left.range}</span>}</span></div>
        <div><span>elapsed</span><span className="big">{clock(progress?.elapsedMs ?? 0)}</span></div>
      </div>
      <div className={`bar ${role}`} role="progressbar" aria-valuenow={percent} aria-valuemin={0} aria-valuemax={100} aria-label={`${linked ? "Reading" : "Copying"} ${name}`}><i style={{ width: `${(progress?.fraction ?? 0) * 100}%` }} /></div>
      {cells.length > 0 && (
        <>
          <div className="strip fine" role="img" aria-label={key}>{cells.map((cell, i) => <i key={i} className={{ empty: "", now: "now", half: "stored", full: "ok" }[cell]} />)}</div>
          <div className="keyline">
            {linked
              ? <><span><i className="ok" />read {n("full")}</span><span><i />to come {n("empty")}</span></>
              : <><span><i className="ok" />verified {n("full")}</span><span><i className="stored" />stored {n("half")}</span><span><i className="now" />copying</span><span><i />to come {n("empty")}</span></>}
            <span className="only-wide end">{plural(cells.length, "chunk")}</span>
          </div>
        </>
      )}
      <p className="tiny muted place">{linked ? "Read where it lies: takes no space in this browser’s storage." : `Copied: takes ${whole || bytes(progress?.bytesTotal)} of this browser’s storage.`}</p>
      {progress && <Phases phases={progress.phases} paused={progress.paused} />}
    </>
  );
}
