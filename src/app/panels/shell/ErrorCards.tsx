import { FindingCard } from "../../ui/FindingCard";
import { useStudio } from "../../state/useStudio";
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
  const unread = useStudio((s) => s.queue.findLast((item) => item.state === "failed" && context === `Reading ${item.name}`)?.jobId);
  const linkInstead = useStudio((s) => s.linkInstead);
  if (code === "storage-full")
    return (
      <>
        <button type="button" className="btn s primary" onClick={() => openDrawer("storage")}>Free space…</button>
        {unread !== undefined && <button type="button" className="btn s" onClick={() => void linkInstead(unread)}>Link in place, no copy</button>}
      </>
    );
  if (code === "gpu-lost" && context.startsWith("Measuring")) return <button type="button" className="btn s primary" onClick={() => { dismiss(id); void measure(); }}>Measure again</button>;
  if (code === "gpu-unavailable" || code === "gpu-limit") return <button type="button" className="btn s" onClick={() => openDrawer("gpu")}>Show the GPU</button>;
  if ((code === "bad-file" || code === "file-changed") && step !== "load") return <button type="button" className="btn s primary" onClick={() => { dismiss(id); go("load"); }}>Choose the folder again</button>;
  return null;
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
