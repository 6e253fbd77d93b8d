import { memo, useMemo } from "react";
import { Line } from "recharts";
import type { LayerRow } from "../../engine/api";
import { crossings, linearAxis } from "./axes";
import { READINGS } from "./columns";
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
    <Plot rows={rows} read={READINGS.s} name="score s per layer" summary={scoreSummary(rows, { median })} height={height} axis={axis} tickLabel={tickLabel} mark="ring" pending={pending} over={over}>
      <Line dataKey="s" type="linear" stroke="var(--decided)" strokeWidth={1.5} dot={{ r: dotRadius(rows.length, 2.5), fill: "var(--decided)", stroke: "none" }} activeDot={false} isAnimationActive={false} />
    </Plot>
  );
});

/** The label stands at the end of the line, above or below, or at its start: where the points leave most room. */
function Median({ rows, median }: { rows: LayerRow[]; median: number }) {
  const plane = usePlane(rows.length);
  if (!plane) return null;
  const y = plane.y(median);
  const text = `median ${fixed(median, 2)}`;
  const width = text.length * 6.6;
  const line = rows.flatMap((r) => (r.s === undefined ? [] : [{ x: plane.x(r.layer), y: plane.y(r.s) }]));
  const places = [
    { x: plane.right - 2, anchor: "end", from: plane.right - width, above: true },
    { x: plane.right - 2, anchor: "end", from: plane.right - width, above: false },
    { x: plane.left + 4, anchor: "start", from: plane.left, above: true },
    { x: plane.left + 4, anchor: "start", from: plane.left, above: false },
  ] as const;
  const crowd = places.map(({ from, above }) => crossings(line, from, from + width, above ? y - 17 : y + 1, above ? y - 1 : y + 17));
  const place = places[crowd.indexOf(Math.min(...crowd))]!;
  return (
    <g>
      <line className="meanline" x1={plane.left} x2={plane.right} y1={y} y2={y} />
      <text className="note" x={place.x} y={place.above ? y - 4 : y + 13} textAnchor={place.anchor}>
        {text}
      </text>
    </g>
  );
}
