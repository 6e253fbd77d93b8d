import { memo } from "react";
import { layerTicks, rampStep } from "./axes";
import { useLayerCursor } from "./cursor";
import { HEAT, heatDomain, heatSummary, KINDS, type HeatQuantity, type HeatRow } from "./heat";
import { LayerHit } from "./LayerHit";
import { useWidth } from "./useWidth";

const LEFT = 84;
const RIGHT = 14;
const ROW = 15;
/** Between attention and MLP. */
const GAP = 6;
const top = (row: number): number => row * ROW + (row >= 4 ? GAP : 0);
const BOTTOM = top(KINDS.length);
export const HEAT_HEIGHT = BOTTOM + 22;

/** Tensor kinds × layers on the sequential ramp; the cursor is an outlined column. Unknown cells are hollow. */
export function KindHeatmap({ rows, quantity }: { rows: HeatRow[]; quantity: HeatQuantity }) {
  const [ref, width] = useWidth();
  const { layer } = useLayerCursor();
  const plot = Math.max(0, width - LEFT - RIGHT);
  const band = rows.length > 0 ? plot / rows.length : 0;
  const { label, show } = HEAT[quantity];
  const here = rows[layer];
  const text = here ? KINDS.map((k) => `${k} ${here.values[k] === undefined ? "not known" : show(here.values[k])}`).join(", ") : "";
  return (
    <div className="chart plotbox" ref={ref} style={{ height: HEAT_HEIGHT }}>
      {width > 0 && (
        <svg width={width} height={HEAT_HEIGHT} viewBox={`0 0 ${width} ${HEAT_HEIGHT}`} role="img" aria-label={heatSummary(rows, quantity)}>
          <Cells rows={rows} quantity={quantity} plot={plot} />
          <rect className="cellcursor" aria-hidden="true" x={LEFT + layer * band} y={-0.5} width={band} height={BOTTOM + 0.5} rx={2} />
        </svg>
      )}
      <LayerHit name={`${label} by tensor kind`} text={`layer ${layer}: ${text}`} left={LEFT} width={plot} height={BOTTOM} />
    </div>
  );
}

const Cells = memo(function Cells({ rows, quantity, plot }: { rows: HeatRow[]; quantity: HeatQuantity; plot: number }) {
  const domain = heatDomain(rows, quantity);
  const band = plot / Math.max(1, rows.length);
  const gap = band > 5 ? 1 : 0.4;
  return (
    <g>
      {KINDS.map((kind, k) => (
        <g key={kind}>
          <text className="tick" x={LEFT - 8} y={top(k) + 11.5} textAnchor="end">
            {kind}
          </text>
          {rows.map((row) => {
            const step = domain && rampStep(row.values[kind], domain, HEAT[quantity].log);
            return <rect key={row.layer} className={step === undefined ? "hollow" : `q${step}`} x={LEFT + row.layer * band + gap / 2} y={top(k) + 0.5} width={Math.max(0.5, band - gap)} height={ROW - 1} rx={band > 5 ? 1.5 : 0} />;
          })}
        </g>
      ))}
      {layerTicks(rows.length, plot).map((l) => (
        <text key={l} className="tick" x={LEFT + (l + 0.5) * band} y={BOTTOM + 15} textAnchor="middle">
          {l}
        </text>
      ))}
    </g>
  );
});
