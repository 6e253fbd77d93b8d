import { useEffect } from "react";
import type { Forecast } from "../../../engine/api";
import { useStudio } from "../../state/useStudio";
import { bytes, duration, UNKNOWN } from "../../ui/format";

/** Memory, traffic and time of the whole merge, before anything runs. */
export function TakesPanel() {
  const recipe = useStudio((s) => s.recipe);
  const forecast = useStudio((s) => s.forecast);
  const refreshForecast = useStudio((s) => s.refreshForecast);
  const openDrawer = useStudio((s) => s.openDrawer);
  const method = useStudio((s) => s.methods.find((m) => m.id === s.recipe?.method)?.label);
  const current = forecast?.recipe === recipe ? forecast : undefined;
  useEffect(() => {
    if (recipe && !current) void refreshForecast();
  }, [recipe, current, refreshForecast]);
  if (!recipe) return null;
  return (
    <section className="panel" aria-labelledby="check-takes">
      <div className="ph">
        <h2 id="check-takes">What it will take</h2>
        <span className="sub">{method && `${method}, as set now`}</span>
        <button type="button" className="btn s quiet" onClick={() => openDrawer("gpu")}>Budgets</button>
      </div>
      <div className="pb stack gap-1">
        {current?.value ? <Numbers forecast={current.value} /> : <p className="muted">{current?.refused ?? "Planning from the headers."}</p>}
      </div>
    </section>
  );
}

function Numbers({ forecast }: { forecast: Forecast }) {
  const { budgets, seconds } = forecast;
  return (
    <>
      <dl className="facts wide">
        <dt>GPU memory, at most</dt><dd>{bytes(forecast.gpuBytes)} of {bytes(budgets.gpuBytes)}</dd>
        <dt>memory beside it, at most</dt><dd>{bytes(forecast.hostBytes)} of {bytes(budgets.hostBytes)}</dd>
        <dt>to read</dt><dd>{bytes(forecast.readBytes)}</dd>
        <dt>to write</dt><dd>{bytes(forecast.writeBytes)}</dd>
        <dt>time</dt><dd>{seconds ? `${duration(1000 * seconds[0])} to ${duration(1000 * seconds[1])}` : UNKNOWN}</dd>
      </dl>
      {!seconds && <p className="small muted">Time is known after a first run here has shown how fast this machine is.</p>}
      {forecast.notes.map((note) => <p className="small" key={note}>{note}</p>)}
    </>
  );
}
