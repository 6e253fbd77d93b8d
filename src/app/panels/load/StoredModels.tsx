import { useShallow, useStudio } from "../../state/useStudio";
import { bytes } from "../../ui/format";
import { AllowButton } from "./AllowButton";
import { describe, storedBytes } from "./place";

/** Models of earlier visits that have no role now; also those that wait for a click, or for their folder. */
export function StoredModels({ only }: { only?: "base" | "tuned" }) {
  const free = useStudio(useShallow((s) => s.models.filter((m) => m.state !== "ingesting" && m.id !== s.baseId && !s.modelIds.includes(m.id))));
  const modelIds = useStudio((s) => s.modelIds);
  const deleteModel = useStudio((s) => s.deleteModel);
  const chooseBase = useStudio((s) => s.chooseBase);
  const chooseModels = useStudio((s) => s.chooseModels);
  if (free.length === 0) return null;
  return (
    <section className="panel stored" aria-label="Stored in this browser">
      <div className="ph"><h2>Stored in this browser</h2></div>
      <div className="pb">
        {free.map((model) => (
          <div className="item" key={model.id}>
            <div><b>{model.name}</b><div className="tiny muted">{describe(model, false)}</div></div>
            <span className="num">{bytes(storedBytes(model))}</span>
            {model.state === "locked" && <span className="row gap-1"><AllowButton model={model} /></span>}
            {model.state === "evicted" && <span className="row gap-1"><button type="button" className="btn s" aria-label={`Forget ${model.name}`} onClick={() => void deleteModel(model.id)}>Forget</button></span>}
            {model.state === "ready" && <span className="row gap-1">
              {only !== "tuned" && <button type="button" className="btn s" aria-label={`Use ${model.name} as base`} onClick={() => chooseBase(model.id)}>As base</button>}
              {only !== "base" && <button type="button" className="btn s" aria-label={`Use ${model.name} as fine-tuned`} onClick={() => chooseModels([...modelIds, model.id])}>As fine-tuned</button>}
            </span>}
          </div>
        ))}
      </div>
    </section>
  );
}
