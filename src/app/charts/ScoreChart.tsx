import { memo, useMemo } from "react";
import { Line } from "recharts";
import type { LayerRow } from "../../engine/api";
import { linearAxis } from "./axes";
import { fixed } from "../ui/format";
import { linearTick } from "./numbers";
import { dotRadius, Plot, usePlane } from "./Plot";
import { scoreSummary } from "./summaries";

/** Score s per layer; the dotted median is for reading only, α does not use it. */
export const ScoreChart = memo(function ScoreChart({ rows, median, height, pending }: { rows: LayerRow[]; median?: number; height: number; pending?: boolean }) {
  const axis = useMemo(() => linearAxis(rows.map((r) => r.s), { count: 5 }), [rows]);
  const tickLabel = useMemo(() => linearTick(axis?.ticks ?? []), [axis]);
  // Over the series, so that no grid line crosses the words.
  const over = useMemo(() => (median === undefined ? undefined : <Median rows={rows} median={median} />), [rows, median]);
  return (
    <Plot rows={rows} quantity="s" name="score s per layer" summary={scoreSummary(rows, { median })} height={height} axis={axis} tickLabel={tickLabel} mark="ring" pending={pending} over={over}>
      <Line dataKey="s" type="linear" stroke="var(--decided)" strokeWidth={1.5} dot={{ r: dotRadius(rows.length, 2.5), fill: "var(--decided)", stroke: "none" }} activeDot={false} isAnimationActive={false} />
    </Plot>
  );
});

/** The label goes to the end of the line, and to the side of it that the points leave free. */
function Median({ rows, median }: { rows: LayerRow[]; median: number }) {
  const plane = usePlane(rows.length);
  if (!plane) return null;
  const y = plane.y(median);
  const last = rows.slice(-Math.ceil(rows.length / 3)).filter((r) => r.s !== undefined);
  const above = last.filter((r) => r.s! > median).length * 2 <= last.length;
  return (
    <g>
      <line className="meanline" x1={plane.left} x2={plane.right} y1={y} y2={y} />
      <text className="note" x={plane.right - 2} y={above ? y - 4 : y + 13} textAnchor="end">
        median {fixed(median, 2)}
      </text>
    </g>
  );
}
