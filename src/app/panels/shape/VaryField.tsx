import { useId, useMemo, useState, type ReactNode } from "react";
import { varyingText } from "../../../core/varying";
import type { VaryPlace } from "../../state/types";
import { meanCurve } from "../../charts/curves";
import { Spark } from "../../charts/Spark";
import { useStudio } from "../../state/useStudio";
import { Icon } from "../../ui/icons";
import { numberAt, placeText, varyingAt, type VarySpec } from "./varying";
import { useLayers } from "./useTensors";
import { VaryEditor } from "./VaryEditor";

interface Props {
  /** Its name on the page. */
  label: string;
  spec: VarySpec;
  place: VaryPlace;
  /** The number where it differs nowhere. */
  plain: number;
  /** Its control while it is one number; takes the button that opens the editor. */
  children(button: ReactNode): ReactNode;
}

/** A number that may differ: its control while it is one number, else its curve in small; below, on request, the editor. */
export function VaryField({ label, spec, place, plain, children }: Props) {
  const recipe = useStudio((s) => s.recipe)!;
  const method = useStudio((s) => s.methods.find((m) => m.id === s.recipe?.method));
  const layers = useLayers();
  const setVarying = useStudio((s) => s.setVarying);
  const [open, setOpen] = useState(false);
  const id = useId();
  const value = varyingAt(recipe, place);
  const differs = value !== undefined;
  const own = place.param !== undefined && place.model === undefined ? placeText(recipe, place.param) : value === undefined ? "" : varyingText(value);
  const tensors = useStudio((s) => s.shape?.experts[0]?.tensors);
  const curve = useMemo(() => (method && differs ? meanCurve(tensors ?? [], layers, (t) => numberAt(recipe, method.params, place, { name: t.name, layer: t.layer, layers })) : []), [recipe, method, place, layers, differs, tensors]);
  const reset = () => {
    setVarying(place, undefined);
    if (place.param !== undefined && place.model === undefined) recipe.models.forEach((m, model) => m.params?.[place.param] !== undefined && setVarying({ param: place.param, model }, undefined));
  };
  const button = (
    <button type="button" className={open ? "btn icon s on" : "btn icon s"} aria-label={`${label}: differ by layer or tensor`} aria-expanded={open} aria-controls={open ? id : undefined} onClick={() => setOpen(!open)}>
      <Icon name="curve" small />
    </button>
  );
  return (
    <>
      {differs ? (
        <div className="field">
          <div className="fieldline">
            <span className="lab">{label}<small className="vary-text">{own}</small></span>
            <span className="row gap-1">
              <Spark values={curve} width={64} />
              <button type="button" className="btn icon s" aria-label={`Reset ${label} to one number`} onClick={reset}><Icon name="undo" small /></button>
              {button}
            </span>
          </div>
        </div>
      ) : (
        <>
          {children(button)}
          {own !== "" && <p className="tiny muted vary-text">{own}</p>}
        </>
      )}
      {open && <VaryEditor id={id} label={label} spec={spec} place={place} plain={plain} onClose={() => setOpen(false)} />}
    </>
  );
}
