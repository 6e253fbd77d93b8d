import { pairState } from "../../state";
import { useShallow, useStudio } from "../../state/useStudio";
import { capitalised, plural, progressPercent, words } from "../../ui/format";
import { ActionBar } from "../../ui/ActionBar";
import { Icon } from "../../ui/icons";
import { Shell } from "../../ui/Shell";
import { useFolders } from "../shell/Folders";
import { Role } from "../../ui/marks";
import { AddingChoice } from "./AddingChoice";
import { ModelPanel } from "./ModelPanel";
import { QueuePanel } from "./QueuePanel";
import { StoredModels } from "./StoredModels";
import { UnfinishedBanners } from "./UnfinishedBanners";

/** What is read and what is ready, in the order base, fine-tuned, then folders that have no role yet. */
export function LoadedScreen() {
  const [baseId, modelIds] = useStudio(useShallow((s) => [s.baseId, s.modelIds] as const));
  const unclaimed = useStudio(useShallow((s) => s.queue.filter((item) => (item.modelId === undefined || item.state === "failed") && item.state !== "cancelled" && item.state !== "done")));
  const ready = useStudio((s) => pairState(s).ready);
  const reading = useStudio((s) => s.queue.some((item) => item.state === "reading" || item.state === "waiting"));
  const copying = useStudio((s) => s.queue.some((item) => item.state === "reading" && item.adding === "copy"));
  const locked = useStudio((s) => s.models.some((m) => m.state === "locked" && (m.id === s.baseId || s.modelIds.includes(m.id))));
  const stored = useStudio((s) => s.models.filter((m) => (m.id === s.baseId || s.modelIds.includes(m.id)) && (m.backend === "copy" || m.backend === "opfs")).length);
  const chunk = useStudio((s) => continueFrom(s.models.find((m) => s.queue.some((item) => item.state === "reading" && item.modelId === m.id))?.chunksDone, s.running));
  const linkable = useStudio((s) => s.queue.find((item) => item.state === "reading" && item.adding === "copy" && item.modelId !== undefined)?.jobId);
  const linkInstead = useStudio((s) => s.linkInstead);
  const roles = unclaimed.map((_, i) => (baseId === undefined && i === 0 ? ("base" as const) : ("tuned" as const)));
  const missing = unclaimed.some((item) => item.state !== "failed") ? undefined : baseId === undefined ? ("base" as const) : modelIds.length === 0 ? ("tuned" as const) : undefined;
  return (
    <Shell
      title={reading ? "Reading your checkpoints" : missing ? "One more checkpoint" : ready ? "Your checkpoints" : locked ? "Linked folders need your permission" : "A copy is unfinished"}
      intro={reading
        ? copying ? "Each file is copied into this browser's storage in chunks, then read back and hashed." : "Each file is read once where it lies and hashed; nothing is copied."
        : missing === "base" ? "Drop the folder of the base, the model that the fine-tuned one started from."
          : missing === "tuned" ? "Drop the folder of a fine-tuned model that started from this base."
            : ready ? `${placed(1 + modelIds.length, stored)} Nothing has left this machine.`
              : locked ? "After a reload the browser asks before it hands linked folders over again. Nothing of them was copied."
              : "What is copied is kept. It continues with the first missing chunk."}
      aside={<RoleTools />}
      actions={<LoadActions reading={reading} />}
    >
      <UnfinishedBanners />
      {baseId !== undefined && <ModelPanel of="base" id={baseId} />}
      {modelIds.map((id) => <ModelPanel key={id} of="tuned" id={id} />)}
      {unclaimed.map((item, i) => <QueuePanel key={item.jobId} item={item} of={roles[i]!} />)}
      {missing && <MissingPanel of={missing} />}
      {missing && <StoredModels only={missing} />}
      {reading && (
        <div className="note-line">
          <Icon name="info" />
          <span>
            {copying
              ? <>You can switch tabs. If you close this one, the copy stops and continues {chunk === undefined ? "where it stopped" : `from chunk ${chunk + 1}`} when you drop the same folder again.</>
              : "You can switch tabs. If you close this one, drop the folder again."}
            {copying && linkable !== undefined && <> <button type="button" className="link" onClick={() => void linkInstead(linkable)}>Link instead of copying</button> uses no disk space, but the browser will ask for the folder after a reload.</>}
          </span>
        </div>
      )}
    </Shell>
  );
}

/** "Two models are stored in this browser.", or how many of them, the others being read where they lie. */
function placed(models: number, stored: number): string {
  if (stored === models) return `${capitalised(words(models))} models are stored in this browser.`;
  if (stored === 0) return `${capitalised(words(models))} models are read where they lie.`;
  return `${capitalised(words(stored))} of ${words(models)} models ${stored === 1 ? "is" : "are"} stored in this browser, the rest ${models - stored === 1 ? "is" : "are"} read where ${models - stored === 1 ? "it lies" : "they lie"}.`;
}

/** Chunks that are stored, from the strip of the running copy where there is one. */
function continueFrom(stored: number | undefined, running: Record<string, { kind: string; strips?: { cells: string[] }[] }>): number | undefined {
  const cells = Object.values(running).find((job) => job.kind === "ingest")?.strips?.[0]?.cells;
  return cells ? cells.filter((cell) => cell === "half" || cell === "full").length : stored;
}

function RoleTools() {
  const both = useStudio((s) => pairState(s).known);
  const swapRoles = useStudio((s) => s.swapRoles);
  const busy = useStudio((s) => s.queue.some((item) => item.state === "reading" || item.state === "waiting"));
  const { choose } = useFolders();
  if (!both || busy) return null;
  return (
    <div className="row wrap">
      <button type="button" className="btn" onClick={swapRoles}><Icon name="swap" />Swap roles</button>
      <button type="button" className="btn" onClick={() => choose()}><Icon name="plus" />Add a fine-tuned model…</button>
    </div>
  );
}

function MissingPanel({ of: role }: { of: "base" | "tuned" }) {
  const { choose, over } = useFolders();
  return (
    <section className={over ? "drop missing over" : "drop missing"} aria-label="Drop area">
      <div><Role of={role} /><p className="muted">{role === "base" ? "where the fine-tuned model started" : "one or more; same layers, same widths"}</p></div>
      <div className="row wrap choose">
        <button type="button" className="btn primary" onClick={() => choose()}><Icon name="folder" />Choose a folder…</button>
        <span className="muted">or drop it anywhere on this page</span>
      </div>
      <AddingChoice />
    </section>
  );
}

function LoadActions({ reading }: { reading: boolean }) {
  const startOver = useStudio((s) => s.startOver);
  const go = useStudio((s) => s.go);
  const pair = useStudio(useShallow((s) => pairState(s)));
  const done = useStudio((s) => copiedShare(s.queue, s.running));
  const preflight = useStudio((s) => s.preflight);
  const copying = useStudio((s) => s.queue.some((item) => item.state === "reading" && item.adding === "copy"));
  const locked = useStudio((s) => s.models.some((m) => m.state === "locked" && (m.id === s.baseId || s.modelIds.includes(m.id))));
  const paused = useStudio((s) => Object.values(s.running).some((job) => job.kind === "ingest" && job.paused));
  const blocks = preflight?.findings.filter((f) => f.severity === "block").length ?? 0;
  const text = reading
    ? `${paused ? "Paused at " : copying ? "Copying, " : "Reading, "}${progressPercent(done)}%. ${pair.known ? "The check needs only headers and can start now." : "The check needs the headers of both models."}`
    : !pair.known ? "Check opens when a base and a fine-tuned model are here."
      : locked ? "Check opens when the linked folders are allowed."
      : !pair.ready ? "A copy is unfinished. The check needs only headers and can start now."
        : preflight === undefined ? "Both are here. The check reads config and headers only."
          : preflight.verdict === "ok" ? "Stored and checked: nothing blocks the merge." : `Stored. ${plural(blocks, "finding")} in Check ${blocks === 1 ? "blocks" : "block"} the merge.`;
  return (
    <ActionBar
      icon={reading ? (paused ? "pause" : "running") : pair.ready ? "check" : "info"} text={text}
      secondary={{ label: "Start over", quiet: true, onClick: () => void startOver() }}
      primary={{ label: "Continue to Check", disabled: !pair.known || locked, onClick: () => go("check") }}
    />
  );
}

/** Share of all bytes of this visit's folders that is copied. */
function copiedShare(queue: { jobId: string; bytes: number; state: string }[], running: Record<string, { fraction: number }>): number {
  const open = queue.filter((item) => item.state === "waiting" || item.state === "reading" || item.state === "done");
  const total = open.reduce((sum, item) => sum + item.bytes, 0);
  const done = open.reduce((sum, item) => sum + item.bytes * (item.state === "done" ? 1 : (running[item.jobId]?.fraction ?? 0)), 0);
  return total > 0 ? done / total : 0;
}
