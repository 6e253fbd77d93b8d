import { useState } from "react";
import { useShallow, useStudio } from "../../state/useStudio";
import { Icon } from "../../ui/icons";
import { CheckpointCard } from "./CheckpointCard";

/** Where the rail is hidden: the checkpoints as one row that opens. */
export function Peek() {
  const [open, setOpen] = useState(false);
  const [baseId, modelIds] = useStudio(useShallow((s) => [s.baseId, s.modelIds] as const));
  const models = useStudio((s) => s.models);
  const name = (id: string | undefined): string => models.find((m) => m.id === id)?.name ?? "–";
  return (
    <>
      <section className="panel peek" aria-label="Checkpoints">
        <span>
          <span className="role base" aria-hidden="true" /> <b>{name(baseId)}</b>
          {modelIds.map((id) => <span key={id}><br /><span className="role tuned" aria-hidden="true" /> <b>{name(id)}</b></span>)}
        </span>
        <button type="button" className="btn icon" aria-label="Checkpoints" aria-expanded={open} onClick={() => setOpen(!open)}><Icon name="chevronDown" /></button>
      </section>
      {open && <div className="peek-cards"><CheckpointCard of="base" id={baseId} />{modelIds.map((id) => <CheckpointCard key={id} of="tuned" id={id} />)}</div>}
    </>
  );
}
