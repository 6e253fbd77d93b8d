import { useState } from "react";
import type { StoredModel } from "../../../engine/api";
import { useStudio } from "../../state/useStudio";
import { bytes, percent, plural } from "../../ui/format";
import { Drawer } from "../../ui/Drawer";
import { Icon } from "../../ui/icons";

export function StorageDrawer({ onClose }: { onClose: () => void }) {
  const models = useStudio((s) => s.models);
  const storage = useStudio((s) => s.storage);
  const next = useStudio((s) => s.exportPlan?.totalBytes);
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
      {models.length === 0 && <p className="small muted">No model is stored. A dropped folder is copied here.</p>}
      {models.map((model) => <StoredItem key={model.id} model={model} />)}
    </Drawer>
  );
}

function StoredItem({ model }: { model: StoredModel }) {
  const role = useStudio((s) => (s.baseId === model.id ? "base" : s.modelIds.includes(model.id) ? "tuned" : undefined));
  const reading = useStudio((s) => s.queue.some((item) => item.modelId === model.id && item.state === "reading"));
  const deleteModel = useStudio((s) => s.deleteModel);
  const busy = useStudio((s) => reading || (role !== undefined && Object.keys(s.running).length > 0));
  const [asking, setAsking] = useState(false);
  return (
    <div className="item">
      <div>
        <b>{role && <span className={`role ${role}`} aria-hidden="true" />}{model.name}</b>
        <div className="tiny muted">{describe(model, reading)}</div>
      </div>
      <span className="num">{bytes(model.backend === "session" ? 0 : model.bytes)}</span>
      <button type="button" className="btn icon s" disabled={busy} aria-label={`Delete ${model.name}`} aria-expanded={asking} onClick={() => setAsking(!asking)}><Icon name="trash" small /></button>
      {asking && (
        <div className="confirm">
          <span className="grow small">{role ? "This model is in use; the pair is released. " : ""}{model.backend === "session" ? "Forget this folder? Its files stay where they are." : `Delete the copy and free ${bytes(model.bytes)}?`}</span>
          <button type="button" className="btn s danger" onClick={() => void deleteModel(model.id)}>{model.backend === "session" ? "Forget" : "Delete"}</button>
          <button type="button" className="btn s ghost" onClick={() => setAsking(false)}>Keep</button>
        </div>
      )}
    </div>
  );
}

export function describe(model: StoredModel, reading: boolean): string {
  const sample = model.sample ? ", sample" : "";
  if (model.state === "evicted") return "deleted by the browser, drop the folder again";
  if (model.state === "ingesting") return `${reading ? "copying" : "unfinished copy"}, ${model.chunksDone} of ${plural(model.chunks, "chunk")}`;
  if (model.backend === "session") return `linked in place, asks again after a restart${sample}`;
  return `copied${model.hash ? ", verified" : ""}${sample}`;
}
