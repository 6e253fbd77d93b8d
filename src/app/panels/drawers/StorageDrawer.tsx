import { useState } from "react";
import type { StoredModel } from "../../../engine/api";
import { allDownloaded } from "../../state/finished";
import { useShallow, useStudio } from "../../state/useStudio";
import { bytes, percent } from "../../ui/format";
import { Drawer } from "../../ui/Drawer";
import { Icon } from "../../ui/icons";
import { describe, storedBytes } from "../load/place";
import { downloadedSoFar, writtenWhen } from "../save/saveModel";

export function StorageDrawer({ onClose }: { onClose: () => void }) {
  const models = useStudio((s) => s.models);
  const storage = useStudio((s) => s.storage);
  const next = useStudio((s) => s.exportPlan?.totalBytes);
  const results = useStudio((s) => s.finished.length + s.unfinished.length);
  const askPersist = useStudio((s) => s.askPersist);
  const free = storage?.freeBytes;
  const whole = (storage?.usedBytes ?? 0) + (free ?? 0);
  const need = next !== undefined && free !== undefined ? Math.min(next, free) : 0;
  const head = (
    <>
      {whole > 0 && free !== undefined && (
        <div className="meter thick" aria-hidden="true">
          <i className="used" style={{ width: percent((storage?.usedBytes ?? 0) / whole, 1) }} />
          {need > 0 && <i className="need" style={{ width: percent(need / whole, 1) }} />}
        </div>
      )}
      <div className="keyline">
        <span><i className="used" />Used {bytes(storage?.usedBytes)}</span>
        {next !== undefined && <span><i className="now" />Next export {bytes(next)}</span>}
        <span><i />Free {free === undefined ? "not told by the browser" : bytes(free)}</span>
      </div>
    </>
  );
  const footer = storage?.persistent
    ? <span className="grow small">The browser keeps this data until you delete it.</span>
    : <><span className="grow small">The browser may delete this data when the disk runs low.</span><button type="button" className="btn s" onClick={() => void askPersist()}>Ask to keep it</button></>;
  return (
    <Drawer title="Storage" onClose={onClose} head={head} footer={footer} flush>
      {models.length === 0 && results === 0 && <p className="small muted">No model is stored. A dropped folder is copied here.</p>}
      {models.map((model) => <StoredItem key={model.id} model={model} />)}
      <Results />
    </Drawer>
  );
}

function StoredItem({ model }: { model: StoredModel }) {
  const role = useStudio((s) => (s.baseId === model.id ? "base" : s.modelIds.includes(model.id) ? "tuned" : undefined));
  const reading = useStudio((s) => s.queue.some((item) => item.modelId === model.id && item.state === "reading"));
  const deleteModel = useStudio((s) => s.deleteModel);
  const busy = useStudio((s) => reading || (role !== undefined && Object.keys(s.running).length > 0));
  const inPlace = model.backend === "link" || model.backend === "session";
  return (
    <Item
      name={model.name} of={role} text={describe(model, reading)} size={storedBytes(model)} busy={busy} word={inPlace ? "Forget" : "Delete"} onDelete={() => void deleteModel(model.id)}
      question={`${role ? "This model is in use; the pair is released. " : ""}${inPlace ? "Forget this folder? Its files stay where they are." : `Delete the ${model.backend === "opfs" ? "result" : "copy"} and free ${bytes(storedBytes(model))}?`}`}
    />
  );
}

/** Merged models that wait for their downloads, and what is written of those that were cut off. */
function Results() {
  const finished = useStudio((s) => s.finished);
  const unfinished = useStudio(useShallow((s) => s.unfinished.filter((u) => u.target.kind !== "folder")));
  const deleteFinished = useStudio((s) => s.deleteFinished);
  const discardExport = useStudio((s) => s.discardExport);
  return (
    <>
      {finished.map((f) => (
        <Item
          key={f.id} name={f.report.name} of="merged" text={`${writtenWhen(f)}, ${downloadedSoFar(f)}`} size={f.report.staged!.bytes} onDelete={() => void deleteFinished(f.id)}
          question={`${allDownloaded(f) ? "" : "Not all of it was downloaded. "}Delete the merged model and free ${bytes(f.report.staged!.bytes)}?`}
        />
      ))}
      {unfinished.map((u) => (
        <Item key={u.id} name={u.target.name} of="merged" text={`unfinished export, ${bytes(u.bytesDone)} of ${bytes(u.bytesTotal)} written`} size={u.bytesDone} question="Discard what is written?" onDelete={() => void discardExport(u.id)} />
      ))}
    </>
  );
}

/** A line of the list; the button asks before anything goes. */
function Item({ name, of: role, text, size, busy = false, question, word = "Delete", onDelete }: { name: string; of: "base" | "tuned" | "merged" | undefined; text: string; size: number; busy?: boolean; question: string; word?: string; onDelete: () => void }) {
  const [asking, setAsking] = useState(false);
  return (
    <div className="item">
      <div>
        <b>{role && <span className={`role ${role}`} aria-hidden="true" />}{name}</b>
        <div className="tiny muted">{text}</div>
      </div>
      <span className="num">{bytes(size)}</span>
      <button type="button" className="btn icon s" disabled={busy} aria-label={`Delete ${name}`} aria-expanded={asking} onClick={() => setAsking(!asking)}><Icon name="trash" small /></button>
      {asking && (
        <div className="confirm">
          <span className="grow small">{question}</span>
          <button type="button" className="btn s danger" onClick={onDelete}>{word}</button>
          <button type="button" className="btn s ghost" onClick={() => setAsking(false)}>Keep</button>
        </div>
      )}
    </div>
  );
}
