import { memo, useMemo } from "react";
import { Line } from "recharts";
import type { LayerRow } from "../../engine/api";
import { decadeAxis, minorDecades } from "./axes";
import { READINGS } from "./columns";
import { scientificTick } from "./numbers";
import { dotRadius, Plot } from "./Plot";
import { fisherSummary } from "./summaries";

/** A zero has no place on a log axis; its layer stays empty and the summary says so. */
const positive = (row: LayerRow): number | null => (row.fisher !== undefined && row.fisher > 0 ? row.fisher : null);

/** F per layer on a log axis of whole decades; minor lines only when the plot is taller than 150. */
export const FisherChart = memo(function FisherChart({ rows, height, pending }: { rows: LayerRow[]; height: number; pending?: boolean }) {
  const axis = useMemo(() => decadeAxis(rows.map((r) => r.fisher)), [rows]);
  const minor = useMemo(() => (axis && height > 150 ? minorDecades(axis.domain) : undefined), [axis, height]);
  return (
    <Plot rows={rows} read={READINGS.fisher} name="F per layer" summary={fisherSummary(rows)} height={height} axis={axis} log tickLabel={scientificTick} minor={minor} mark="ring" pending={pending}>
      <Line dataKey={positive} type="linear" stroke="var(--measured)" strokeWidth={1.5} dot={{ r: dotRadius(rows.length, 2.5), fill: "var(--measured)", stroke: "none" }} activeDot={false} isAnimationActive={false} />
    </Plot>
  );
});
