import { useState } from "react";
import { FindingCard } from "../../ui/FindingCard";
import { bytes } from "../../ui/format";
import { storedBytes } from "../load/place";
import { useShallow, useStudio } from "../../state/useStudio";
import type { JobsSlice } from "../../state/types";

/** What went wrong, one card each, above the step's content until it is dismissed or remedied. */
export function ErrorCards() {
  const errors = useStudio((s) => s.errors);
  return <>{errors.map((entry) => <ErrorCard key={entry.id} entry={entry} />)}</>;
}

function ErrorCard({ entry }: { entry: JobsSlice["errors"][number] }) {
  const dismiss = useStudio((s) => s.dismissError);
  const { details, message, code } = entry.error;
  const rows = { where: details.where, found: details.found, expected: details.expected, why: details.why, todo: details.todo };
  const empty = Object.values(rows).every((row) => row === undefined);
  return (
    <FindingCard
      tone="block" code={code} title={details.title ?? TITLES[code] ?? "The work stopped"} context={entry.context}
      rows={empty ? { found: message } : rows} {...(details.official ? { official: details.official } : {})} onDismiss={() => dismiss(entry.id)}
    >
      <Remedy code={code} id={entry.id} context={entry.context} />
    </FindingCard>
  );
}

/** The one thing to try first, where the page itself can do it. */
function Remedy({ code, id, context }: { code: string; id: string; context: string }) {
  const dismiss = useStudio((s) => s.dismissError);
  const openDrawer = useStudio((s) => s.openDrawer);
  const measure = useStudio((s) => s.measure);
  const go = useStudio((s) => s.go);
  const step = useStudio((s) => s.step);
  const retry = useStudio((s) => s.retry);
  const unread = useStudio((s) => s.queue.findLast((item) => item.state === "failed" && context === `Reading ${item.name}`)?.jobId);
  const unwritten = useStudio((s) => s.unfinished.find((u) => context === `Writing ${u.target.name}`)?.id);
  const proceed = useStudio((s) => s.continueExport);
  const discard = useStudio((s) => s.discardExport);
  if (unwritten !== undefined)
    return (
      <>
        <button type="button" className="btn s primary" onClick={() => void proceed(unwritten)}>Continue writing</button>
        {code === "storage-full" && <button type="button" className="btn s" onClick={() => openDrawer("storage")}>Free space…</button>}
        <button type="button" className="btn s" onClick={() => void discard(unwritten)}>Discard what is written</button>
      </>
    );
  if (code === "storage-full") return unread === undefined ? <button type="button" className="btn s primary" onClick={() => openDrawer("storage")}>Free space…</button> : <RoomForCopy jobId={unread} />;
  if (code === "busy" && unread !== undefined) return <button type="button" className="btn s primary" onClick={() => void retry(unread)}>Try again</button>;
  if (code === "gpu-lost" && context.startsWith("Measuring")) return <button type="button" className="btn s primary" onClick={() => { dismiss(id); void measure(); }}>Continue measuring</button>;
  if (code === "gpu-unavailable" || code === "gpu-limit") return <button type="button" className="btn s" onClick={() => openDrawer("gpu")}>Show the GPU</button>;
  // Problems, texts and recipes are no folders: the step where they were dropped asks for another.
  const dropped = /^Reading (?:problems|calibration text|.*\.(?:jsonl|ndjson|txt|ya?ml|json))$/i.test(context);
  if ((code === "bad-file" || code === "file-changed") && step !== "load" && !dropped) return <button type="button" className="btn s primary" onClick={() => { dismiss(id); go("load"); }}>Choose the folder again</button>;
  return null;
}

/** What can be done when a copy finds no room: make room, or do without a copy. */
function RoomForCopy({ jobId }: { jobId: string }) {
  const retry = useStudio((s) => s.retry);
  const linkInstead = useStudio((s) => s.linkInstead);
  const linkRest = useStudio((s) => s.linkRest);
  const deleteModel = useStudio((s) => s.deleteModel);
  const openDrawer = useStudio((s) => s.openDrawer);
  const own = useStudio((s) => s.queue.find((item) => item.jobId === jobId)?.modelId);
  const rest = useStudio((s) => s.queue.filter((item) => item.state === "waiting" || (item.state === "failed" && item.failure === "storage-full")).length);
  const largest = useStudio(useShallow((s) => s.models.filter((m) => m.id !== own && storedBytes(m) > 0).sort((a, b) => storedBytes(b) - storedBytes(a)).slice(0, 2)));
  const [deleting, setDeleting] = useState<string>();
  return (
    <>
      <button type="button" className="btn s primary" disabled={deleting !== undefined} onClick={() => void retry(jobId)}>Try again</button>
      <button type="button" className="btn s" onClick={() => void linkInstead(jobId)}>Link in place, no copy</button>
      {rest > 1 && <button type="button" className="btn s" onClick={() => void linkRest()}>Link the rest, no copies</button>}
      {largest.map((model) => (
        <button key={model.id} type="button" className="btn s" disabled={deleting !== undefined} onClick={() => { setDeleting(model.id); void deleteModel(model.id).finally(() => setDeleting(undefined)); }}>
          {deleting === model.id ? "Deleting…" : `Delete ${model.name}, ${bytes(storedBytes(model))}`}
        </button>
      ))}
      <button type="button" className="btn s ghost" onClick={() => openDrawer("storage")}>Free space…</button>
    </>
  );
}

const TITLES: Record<string, string> = {
  "bad-file": "This file cannot be read",
  "bad-request": "This cannot be asked now",
  "shape-mismatch": "The tensors do not fit together",
  "bad-recipe": "This recipe cannot be used",
  "unknown-architecture": "The architecture is not known",
  "gpu-unavailable": "There is no GPU to compute on",
  "gpu-limit": "The GPU's limits are too small",
  "gpu-lost": "The GPU went away",
  "storage-full": "Not enough browser storage",
  "file-changed": "The file has changed since it was dropped",
  permission: "The browser did not allow it",
  busy: "Another piece of work is running",
  internal: "Something unexpected",
};
