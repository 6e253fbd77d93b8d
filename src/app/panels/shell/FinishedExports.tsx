import { useState } from "react";
import type { FinishedExport } from "../../../engine/api";
import { useShallow, useStudio } from "../../state/useStudio";
import { bytes, plural } from "../../ui/format";
import { Banner } from "../../ui/marks";
import { downloadedSoFar, writtenWhen } from "../save/saveModel";

/** Merged models that wait for their downloads, from this visit or an earlier one; not the one that Save has open. */
export function FinishedExports() {
  const finished = useStudio(useShallow((s) => s.finished.filter((f) => f.id !== s.exportReport?.staged?.id)));
  const busy = useStudio((s) => Object.values(s.running).some((job) => job.kind === "export"));
  if (busy) return null;
  return finished.map((each) => <Waiting key={each.id} finished={each} />);
}

function Waiting({ finished }: { finished: FinishedExport }) {
  const show = useStudio((s) => s.showFinished);
  const remove = useStudio((s) => s.deleteFinished);
  const [asking, setAsking] = useState(false);
  const { id, report, downloaded } = finished;
  const { paths, bytes: size } = report.staged!;
  if (asking)
    return (
      <Banner
        tone="warn" icon="warn" lead={`Delete ${report.name}?`}
        actions={<><button type="button" className="btn s danger" onClick={() => void remove(id).finally(() => setAsking(false))}>Delete</button><button type="button" className="btn s" onClick={() => setAsking(false)}>Keep</button></>}
      >
        {downloaded.length === 0 ? "It was not downloaded. " : downloaded.length < paths.length ? `${downloaded.length} of ${plural(paths.length, "file")} were downloaded. ` : ""}Frees {bytes(size)}.
      </Banner>
    );
  return (
    <Banner
      icon="check" lead="Merged model."
      actions={<><button type="button" className="btn s primary" aria-label={`Download ${report.name}`} onClick={() => show(id)}>Download</button><button type="button" className="btn s" aria-label={`Delete ${report.name}`} onClick={() => setAsking(true)}>Delete</button></>}
    >
      {report.name}, {writtenWhen(finished)}, {bytes(size)}, {downloadedSoFar(finished)}. Kept in this browser until you delete it.
    </Banner>
  );
}
