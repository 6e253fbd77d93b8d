import { useMemo, useState } from "react";
import type { ExpertShape, TensorRow } from "../../../engine/api";
import { ChartPanel } from "../../charts/ChartPanel";
import { TENSOR_COLUMNS } from "../../charts/columns";
import { saveText, toCsv, type Column } from "../../charts/csv";
import { useLayerCursor } from "../../charts/cursor";
import { HEAT, heatDomain, heatRows, KINDS, type HeatQuantity, type HeatRow } from "../../charts/heat";
import { HEAT_HEIGHT, KindHeatmap } from "../../charts/KindHeatmap";
import { TableTwin } from "../../charts/TableTwin";
import { count } from "../../ui/format";
import { Icon } from "../../ui/icons";
import { Select } from "../../ui/Select";

const columnsOf = (q: HeatQuantity): Column<HeatRow>[] => [
  { id: "layer", label: "Layer", value: (r) => r.layer, show: (r) => `${r.layer}` },
  ...KINDS.map((kind): Column<HeatRow> => ({ id: kind, label: kind, value: (r) => r.values[kind], show: (r) => HEAT[q].show(r.values[kind]) })),
];

/** Heat map of one quantity over tensor kinds and layers, and every tensor in a table. */
export function KindView({ expert, layers, name }: { expert: ExpertShape; layers: number; name: string }) {
  const known = useMemo(() => (Object.keys(HEAT) as HeatQuantity[]).filter((q) => expert.tensors.some((t) => t.layer !== undefined && t[q] !== undefined)), [expert]);
  const [chosen, setChosen] = useState<HeatQuantity>("fisherMean");
  const quantity = known.includes(chosen) ? chosen : (known[0] ?? chosen);
  const rows = useMemo(() => heatRows(expert.tensors, layers, quantity), [expert, layers, quantity]);
  const [table, setTable] = useState(false);
  const { label, tick, csv } = HEAT[quantity];
  const domain = heatDomain(rows, quantity);
  const columns = columnsOf(quantity);
  const drawable = layers > 0 && domain !== undefined;
  return (
    <>
      {layers > 0 && (
        <ChartPanel
          title={`${label} by tensor kind`}
          legend={domain && <span className="tiny muted nowrap">{tick(domain[0])}<span className="ramp"><i /><i /><i /><i /><i /><i /><i /></span>{tick(domain[1])}</span>}
          tools={known.length > 1 && <Select small label="Quantity of the heat map" width={112} value={quantity} onChange={(q) => setChosen(q as HeatQuantity)} options={known.map((q) => ({ value: q, label: HEAT[q].label }))} />}
          table={table && drawable}
          onTable={setTable}
          empty={!drawable}
          csv={() => ({ name: `${name}-${csv}-by-kind.csv`, text: toCsv(columns, rows) })}
        >
          {table && drawable ? (
            <div style={{ height: HEAT_HEIGHT + 40 }}><TableTwin columns={columns} rows={rows} rowKey={(r) => r.layer} layerOf={(r) => r.layer} label={`${label} of each kind per layer`} height={HEAT_HEIGHT + 40} follow /></div>
          ) : (
            <KindHeatmap rows={rows} quantity={quantity} />
          )}
        </ChartPanel>
      )}
      <TensorTable tensors={expert.tensors} name={name} layers={layers} />
    </>
  );
}

const tensorKey = (t: TensorRow) => t.name;
const tensorLayer = (t: TensorRow) => t.layer;

function TensorTable({ tensors, name, layers }: { tensors: TensorRow[]; name: string; layers: number }) {
  const { layer } = useLayerCursor();
  const [only, setOnly] = useState(false);
  const shown = only ? tensors.filter((t) => t.layer === layer) : tensors;
  // Kind and layer are parts of the name; the file has them as columns of their own.
  const columns = useMemo(() => TENSOR_COLUMNS.filter((c) => c.id !== "kind" && c.id !== "layer" && (c.text || tensors.some((t) => c.value(t) !== undefined))), [tensors]);
  return (
    <section className="panel" aria-label="Every tensor">
      <div className="ph">
        <h2>Tensors</h2>
        <span className="sub">{only ? `${count(shown.length)} in layer ${layer}` : `${count(tensors.length)}; those of layer ${layer} are marked`}</span>
        <span className="acts">
          {layers > 0 && (
            <span className="seg" role="group" aria-label="Tensors shown">
              <button type="button" aria-pressed={!only} onClick={() => setOnly(false)}>All</button>
              <button type="button" aria-pressed={only} onClick={() => setOnly(true)}>Layer {layer}</button>
            </span>
          )}
          <button type="button" className="btn s ghost" disabled={tensors.length === 0} onClick={() => saveText(`${name}-tensors.csv`, toCsv(TENSOR_COLUMNS, tensors))}><Icon name="download" small />CSV</button>
        </span>
      </div>
      <TableTwin columns={columns} rows={shown} rowKey={tensorKey} layerOf={only ? () => undefined : tensorLayer} label="Rows of the tensors" fine height={260} follow={!only} />
    </section>
  );
}
