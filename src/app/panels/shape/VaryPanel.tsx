import { useMemo, useState } from "react";
import type { Recipe } from "../../../core/recipe";
import type { MethodInfo, TensorRow } from "../../../engine/api";
import { ChartPanel } from "../../charts/ChartPanel";
import { CurveChart, CurveMark } from "../../charts/CurveChart";
import { curveColumns, curvesOf, outsideText } from "../../charts/curves";
import { toCsv } from "../../charts/csv";
import { TableTwin } from "../../charts/TableTwin";
import { Select } from "../../ui/Select";
import { numberAt, variedPlaces } from "./varying";

const HEIGHT = 124;
const none: TensorRow[] = [];

/** What the person made differ, as the merge takes it: one number at a time, a line for each kind of tensors. */
export function VaryPanel({ recipe, method, tensors = none, layers, name }: { recipe: Recipe; method: MethodInfo; tensors: TensorRow[] | undefined; layers: number; name: string }) {
  const [chosen, setChosen] = useState("");
  const [table, setTable] = useState(false);
  const places = useMemo(() => variedPlaces(recipe, method), [recipe, method]);
  const current = places.find((p) => p.id === chosen) ?? places[0];
  const curves = useMemo(() => current && curvesOf(tensors, layers, (t) => numberAt(recipe, method.params, current.place, { name: t.name, layer: t.layer, layers })), [current, tensors, layers, recipe, method]);
  if (!current || !curves || curves.series.length === 0) return null;
  const { rows, series, outside, mixed } = curves;
  const columns = curveColumns(curves);
  const sub = ["set by hand", outsideText(outside), mixed ? "mean over a kind’s entries" : ""].filter(Boolean).join("; ");
  return (
    <ChartPanel
      title={current.name}
      sub={sub}
      legend={<span className="legend">{series.map(({ key, label }, i) => <span key={key}><CurveMark at={i} series={series.length} />{label}</span>)}</span>}
      tools={places.length > 1 && <Select small label="Number in this chart" width={150} value={current.id} options={places.map((p) => ({ value: p.id, label: p.name }))} onChange={setChosen} />}
      table={table}
      onTable={setTable}
      csv={() => ({ name: `${name}-${current.id.replace(/\W+/g, "-")}.csv`, text: toCsv(columns, rows) })}
    >
      {table ? <div style={{ height: HEIGHT }}><TableTwin columns={columns} rows={rows} rowKey={(r) => r.layer} layerOf={(r) => r.layer} label={`${current.name} per layer, table`} height={HEIGHT} follow /></div> : <CurveChart name={current.name} curves={curves} height={HEIGHT} />}
    </ChartPanel>
  );
}
