import { memo, useMemo } from "react";
import { Bar } from "recharts";
import type { LayerRow } from "../../engine/api";
import { keptTicks } from "./axes";
import { READINGS } from "./columns";
import { percent } from "../ui/format";
import { barWidth, MAX_BAR, Plot, usePlane } from "./Plot";
import { keptSummary } from "./summaries";

const BAR = 0.6;
const label = (value: number): string => percent(value, 0);

/** Kept entries as bars on a pale track that is the whole tensor; the teal tick is the share of δ² those entries carry. */
export const KeptChart = memo(function KeptChart({ rows, height, pending }: { rows: LayerRow[]; height: number; pending?: boolean }) {
  const axis = useMemo(() => {
    const kept = rows.map((r) => r.kept);
    return kept.some((v) => v !== undefined) ? { domain: [0, 1] as [number, number], ticks: keptTicks(kept) } : undefined;
  }, [rows]);
  return (
    <Plot
      rows={rows}
      read={READINGS.kept}
      name="kept per layer"
      summary={keptSummary(rows)}
      height={height}
      axis={axis}
      tickLabel={label}
      mark="bar"
      barShare={BAR}
      pending={pending}
      under={useMemo(() => <Tracks rows={rows} />, [rows])}
      over={useMemo(() => <Shares rows={rows} />, [rows])}
    >
      <Bar dataKey="kept" fill="var(--measured)" maxBarSize={MAX_BAR} isAnimationActive={false} activeBar={false} />
    </Plot>
  );
});

function Tracks({ rows }: { rows: LayerRow[] }) {
  const plane = usePlane(rows.length);
  if (!plane) return null;
  const w = barWidth(plane.band, BAR);
  return (
    <g>
      {rows.map((r) => (r.kept === undefined ? null : <rect key={r.layer} className="trimmed" x={plane.x(r.layer) - w / 2} y={plane.top} width={w} height={plane.bottom - plane.top} />))}
    </g>
  );
}

function Shares({ rows }: { rows: LayerRow[] }) {
  const plane = usePlane(rows.length);
  if (!plane) return null;
  const w = barWidth(plane.band, BAR);
  return (
    <g>
      {rows.map((r) => (r.delta2ShareKept === undefined ? null : <path key={r.layer} className="tickmark" d={`M${plane.x(r.layer) - w / 2} ${plane.y(r.delta2ShareKept)}h${w}`} />))}
    </g>
  );
}
