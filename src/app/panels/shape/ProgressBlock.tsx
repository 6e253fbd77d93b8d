import { useEffect, useRef, useState } from "react";
import type { PhaseState, Progress, StripCell } from "../../../core/progress";
import { layerTicks } from "../../charts/axes";
import { useWidth } from "../../charts/useWidth";
import { useStudio } from "../../state/useStudio";
import { bytes, bytesOf, clock, duration, progressPercent, rate, timeLeft } from "../../ui/format";
import { Icon } from "../../ui/icons";
import { PauseButton } from "../shell/PauseButton";

const CELL: Record<StripCell, string> = { empty: "", now: "now", half: "stored", full: "ok" };

/** Headline numbers, bar, strips, phases, Pause and Cancel of a long job. A number that is not known yet keeps its place. */
export function ProgressBlock({ jobId, progress, label, reading, stripUnit }: { jobId: string; progress: Progress | undefined; label: string; reading: string; stripUnit: string }) {
  const cancel = useStudio((s) => s.cancel);
  const [stopping, setStopping] = useState(false);
  const done = progressPercent(progress?.fraction);
  const left = timeLeft(progress?.secondsLeft);
  const [part, whole] = bytesOf(progress?.bytesDone, progress?.bytesTotal);
  return (
    <section className="panel" aria-label={label}>
      <div className="pb stack gap-4" style={{ paddingTop: 14 }}>
        <div className="row top between progress-head">
          <div className="stats">
            <Stat name="done" value={`${done}%`} />
            <Stat name="left" value={left.about} note={left.range.replace(/ .*/, "")} />
            <Stat name="elapsed" value={clock(progress?.elapsedMs ?? 0)} />
            {progress?.bytesTotal !== undefined && progress.kind !== "measure" && <Stat name="bytes" value={part} note={`of ${whole}`} />}
            <Stat name={reading} value={rate(progress?.bytesPerSecond)} />
            {progress?.kind !== "export" && <Stat name="GPU memory" value={bytes(progress?.gpuBytes)} />}
          </div>
          <div className="row">
            <PauseButton jobId={jobId} disabled={stopping} />
            <button type="button" className="btn" disabled={stopping} onClick={() => { setStopping(true); void cancel(jobId); }}>
              <Icon name="close" />
              {stopping ? "Stopping" : "Cancel"}
            </button>
          </div>
        </div>
        <div className="bar" role="progressbar" aria-valuenow={done} aria-valuemin={0} aria-valuemax={100} aria-label={label}>
          <i style={{ width: `${(progress?.fraction ?? 0) * 100}%` }} />
        </div>
        {progress?.note !== undefined && <p className="note-line"><Icon name="info" /> <span>{progress.note}</span></p>}
        {progress?.strips && progress.strips.length > 0 && <Strips strips={progress.strips} unit={stripUnit} />}
        {progress && <Phases phases={progress.phases} paused={progress.paused} />}
        <Announce progress={progress} label={label} />
      </div>
    </section>
  );
}

function Stat({ name, value, note }: { name: string; value: string; note?: string }) {
  return (
    <div>
      <span>{name}</span>
      <span className="big">{value}{note && <span className="muted stat-note"> {note}</span>}</span>
    </div>
  );
}

function Strips({ strips, unit }: { strips: NonNullable<Progress["strips"]>; unit: string }) {
  const [ref, width] = useWidth();
  const cells = strips[0]?.cells.length ?? 0;
  const every = cells > 0 && (width - 74) / cells >= 20;
  const shown = every ? undefined : new Set(layerTicks(cells, Math.max(1, width - 74)));
  return (
    <div className="strip-rows" ref={ref}>
      {strips.map((strip) => {
        const full = strip.cells.filter((c) => c === "full" || c === "half").length;
        const now = strip.cells.indexOf("now");
        return (
          <div key={strip.label} style={{ display: "contents" }}>
            <span className="tiny muted">{strip.label}</span>
            <div className={`strip tall${cells > 60 ? " fine" : ""}`} role="img" aria-label={`${strip.label}: ${full} of ${strip.cells.length} done${now >= 0 ? `, ${unit} ${now} running` : ""}`}>
              {strip.cells.map((cell, i) => <i key={i} className={CELL[cell]} />)}
            </div>
          </div>
        );
      })}
      <span />
      <div className="strip lbls" aria-hidden="true">
        {strips[0]?.cells.map((_, i) => <span key={i}>{!shown || shown.has(i) ? i : ""}</span>)}
      </div>
    </div>
  );
}

const MARK = { done: "check", now: "running", todo: "clock" } as const;

export function Phases({ phases, paused = false }: { phases: PhaseState[]; paused?: boolean | undefined }) {
  return (
    <ol className="phases">
      {phases.map((p) => (
        <li key={p.id} className={p.state === "todo" ? undefined : p.state}>
          <Icon name={paused && p.state === "now" ? "pause" : MARK[p.state]} />
          <span>{p.label}<span className="vh">{p.state === "done" ? ", done" : p.state === "now" ? (paused ? ", paused" : ", running") : ", to come"}</span></span>
          <span className="num">{p.count ?? ""}</span>
          <span className="num">{p.state === "todo" ? "" : p.state === "now" ? clock(p.elapsedMs ?? 0) : duration(p.elapsedMs)}</span>
        </li>
      ))}
    </ol>
  );
}

/** To screen readers: each phase as it starts, a pause and its end, and the percent at most every ten seconds. */
function Announce({ progress, label }: { progress: Progress | undefined; label: string }) {
  const [text, setText] = useState("");
  const last = useRef({ phase: "", paused: false, time: 0 });
  const paused = progress?.paused === true;
  const phase = progress?.phases.find((p) => p.state === "now");
  const percent = progressPercent(progress?.fraction);
  useEffect(() => {
    const now = Date.now();
    if (!phase || (phase.id === last.current.phase && paused === last.current.paused && now - last.current.time < 10_000)) return;
    last.current = { phase: phase.id, paused, time: now };
    setText(paused ? `${label}: paused at ${percent}%` : `${label}: ${phase.label}, ${percent}%`);
  }, [phase, paused, percent, label]);
  return <p className="vh" role="status">{text}</p>;
}
