import { memo, useMemo } from "react";
import { Line } from "recharts";
import { linearAxis, type Axis } from "./axes";
import { curveReading, curveSummary, type Curves } from "./curves";
import { linearTick } from "./numbers";
import { dotRadius, Plot } from "./Plot";

/** In the order of the series: colour, dash and marker tell them apart each for itself. */
const STYLES = ["", "6 3", "2 3", "8 3 2 3"];
const curveColour = (at: number, series: number): string => (series === 1 ? "var(--edited)" : `var(--series-${at + 1})`);

/** Line and colour of a series, for the legend. */
export const CurveMark = ({ at, series }: { at: number; series: number }) => (
  <svg className="curve-mark" width={22} height={8} aria-hidden="true"><line x1={1} x2={21} y1={4} y2={4} stroke={curveColour(at, series)} strokeWidth={2} strokeDasharray={STYLES[at]} /></svg>
);

/** Numbers set by hand often lie on the ends of the axis; their dots need a little room. */
const withRoom = (axis: Axis | undefined): Axis | undefined => axis && { ...axis, domain: [axis.domain[0] - ROOM * (axis.domain[1] - axis.domain[0]), axis.domain[1] + ROOM * (axis.domain[1] - axis.domain[0])] };
const ROOM = 0.06;

/** A number set by hand, per layer; one line for each kind of tensors that have numbers of their own. */
export const CurveChart = memo(function CurveChart({ name, curves, height }: { name: string; curves: Curves; height: number }) {
  const { rows, series } = curves;
  const axis = useMemo(() => withRoom(linearAxis(rows.flatMap((r) => series.map(({ key }) => r[key])), { count: 5 })), [rows, series]);
  const tickLabel = useMemo(() => linearTick(axis?.ticks ?? []), [axis]);
  const read = useMemo(() => curveReading(curves), [curves]);
  return (
    <Plot rows={rows} read={read} name={`${name} per layer`} summary={curveSummary(name, curves)} height={height} axis={axis} tickLabel={tickLabel} mark="ring">
      {series.map(({ key }, i) => {
        const colour = curveColour(i, series.length);
        return <Line key={key} dataKey={key} type="linear" stroke={colour} strokeWidth={1.5} strokeDasharray={STYLES[i]} dot={{ r: dotRadius(rows.length, 2.5), fill: colour, stroke: "none", strokeDasharray: "" }} activeDot={false} isAnimationActive={false} />;
      })}
    </Plot>
  );
});
