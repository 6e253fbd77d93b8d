import { useStudio } from "../../state/useStudio";
import { bytes, capitalised, count, duration } from "../../ui/format";
import { Icon } from "../../ui/icons";
import { Chip, Role } from "../../ui/marks";
import { PauseButton } from "../shell/PauseButton";
import { AllowButton } from "./AllowButton";
import { placeOf } from "./place";
import { IngestBody } from "./QueuePanel";

/** One chosen model: its numbers once it is stored, its progress while it is read. */
export function ModelPanel({ of: role, id }: { of: "base" | "tuned"; id: string }) {
  const model = useStudio((s) => s.models.find((m) => m.id === id));
  const item = useStudio((s) => s.queue.findLast((q) => q.modelId === id));
  const chooseBase = useStudio((s) => s.chooseBase);
  const modelIds = useStudio((s) => s.modelIds);
  const chooseModels = useStudio((s) => s.chooseModels);
  const cancel = useStudio((s) => s.cancel);
  const retry = useStudio((s) => s.retry);
  const reading = item?.state === "reading";
  const anyReading = useStudio((s) => s.queue.some((q) => q.state === "reading" || q.state === "waiting"));
  if (!model) return null;
  if (item?.state === "failed") return null;
  const release = (): void => (role === "base" ? chooseBase(undefined) : chooseModels(modelIds.filter((m) => m !== id)));
  return (
    <section className={`panel sc-${role}`} aria-label={model.name}>
      <div className="ph">
        <Role of={role} /><h2>{model.name}</h2><span className="sub" />
        <span className="acts">
          {reading && <PauseButton jobId={item.jobId} small />}
          {reading && <button type="button" className="btn s" onClick={() => void cancel(item.jobId)}><Icon name="close" small />Cancel</button>}
          {!reading && model.state === "ready" && <Chip tone="ok">{{ link: "Linked in place", session: "Read in place", copy: model.hash ? "Stored and verified" : "Stored", opfs: "Stored result" }[model.backend]}</Chip>}
          {model.state === "locked" && <><Chip tone="warn">Needs your permission</Chip><AllowButton model={model} primary /></>}
          {!reading && model.state === "ingesting" && <Chip tone="warn">Unfinished, {model.chunksDone} of {model.chunks} chunks</Chip>}
          {!anyReading && model.state === "ingesting" && item?.state === "cancelled" && <button type="button" className="btn s" onClick={() => void retry(item.jobId)}>Continue the copy</button>}
          {!reading && model.state === "evicted" && <Chip tone="warn">Deleted by the browser</Chip>}
          {!anyReading && <button type="button" className="btn icon s" aria-label={`Release ${model.name} from its role`} onClick={release}><Icon name="close" small /></button>}
        </span>
      </div>
      <div className="pb stack">
        {reading ? <IngestBody jobId={item.jobId} role={role} name={model.name} /> : (
          <div className="stats">
            <div><span>size</span><span className="v">{bytes(model.bytes)}</span></div>
            <div><span>files</span><span className="v">{count(model.files)}</span></div>
            <div><span>tensors</span><span className="v">{count(model.facts.tensors)}</span></div>
            {item?.tookMs !== undefined && <div><span>took</span><span className="v">{duration(item.tookMs)}</span></div>}
            {model.hash && <div className="grow only-wide"><span>XXH3-128</span><span className="v">{model.hash.slice(0, 4)} {model.hash.slice(4, 8)} … {model.hash.slice(-4)}</span></div>}
          </div>
        )}
        {!reading && <p className="tiny muted place">{capitalised(placeOf(model))}</p>}
      </div>
    </section>
  );
}
