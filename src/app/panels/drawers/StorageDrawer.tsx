import { useState } from "react";
import type { StoredModel } from "../../../engine/api";
import { useStudio } from "../../state/useStudio";
import { bytes, percent } from "../../ui/format";
import { Drawer } from "../../ui/Drawer";
import { Icon } from "../../ui/icons";
import { describe, storedBytes } from "../load/place";

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
  const inPlace = model.backend === "link" || model.backend === "session";
  return (
    <div className="item">
      <div>
        <b>{role && <span className={`role ${role}`} aria-hidden="true" />}{model.name}</b>
        <div className="tiny muted">{describe(model, reading)}</div>
      </div>
      <span className="num">{bytes(storedBytes(model))}</span>
      <button type="button" className="btn icon s" disabled={busy} aria-label={`Delete ${model.name}`} aria-expanded={asking} onClick={() => setAsking(!asking)}><Icon name="trash" small /></button>
      {asking && (
        <div className="confirm">
          <span className="grow small">{role ? "This model is in use; the pair is released. " : ""}{inPlace ? "Forget this folder? Its files stay where they are." : `Delete the ${model.backend === "opfs" ? "result" : "copy"} and free ${bytes(storedBytes(model))}?`}</span>
          <button type="button" className="btn s danger" onClick={() => void deleteModel(model.id)}>{inPlace ? "Forget" : "Delete"}</button>
          <button type="button" className="btn s ghost" onClick={() => setAsking(false)}>Keep</button>
        </div>
      )}
    </div>
  );
}
