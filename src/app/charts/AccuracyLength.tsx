import { memo } from "react";
import { ComposedChart, usePlotArea, useXAxisScale, useYAxisScale, XAxis, YAxis } from "recharts";
import { count, fixed, percent } from "../ui/format";
import { accuracyAxes, type AccuracyPoint } from "./accuracyAxes";
import type { Axis } from "./axes";
import { grouped, groupLabel, placeLabels, type Box } from "./labels";
import { useWidth } from "./useWidth";

const HEIGHT = 306;
/** Plots below this width have room for short names only. */
const PHONE = 360;
const RADIUS = { base: 5, tuned: 5, merged: 7, other: 6 } as const;

/** Accuracy against mean length, one point per model and recipe, 95 % bars on both axes, labels beside the points. */
export const AccuracyLength = memo(function AccuracyLength({ points }: { points: AccuracyPoint[] }) {
  const [ref, width] = useWidth();
  const axes = accuracyAxes(points);
  return (
    <div className="chart plotbox" ref={ref} style={{ height: HEIGHT }}>
      {width > 0 && (
        <ComposedChart width={width} height={HEIGHT} data={points} margin={{ left: 46, right: 16, top: 24, bottom: 36 }} accessibilityLayer={false} role="img" aria-label={summary(points)}>
          <XAxis dataKey="length.mean" type="number" domain={axes.x.domain} allowDataOverflow hide />
          <YAxis dataKey="accuracy.mean" type="number" domain={axes.y.domain} allowDataOverflow hide />
          <Drawing points={points} x={axes.x} y={axes.y} />
        </ComposedChart>
      )}
    </div>
  );
});

function Drawing({ points, x, y }: { points: AccuracyPoint[]; x: Axis; y: Axis }) {
  const area = usePlotArea();
  const [scaleX, scaleY] = [useXAxisScale(), useYAxisScale()];
  if (!area || !scaleX || !scaleY) return null;
  const [left, right, top, bottom] = [area.x, area.x + area.width, area.y, area.y + area.height];
  const [px, py] = [(v: number): number => Number(scaleX(v)), (v: number): number => Number(scaleY(v))];
  const at = points.map((p) => ({ p, x: px(p.length.mean), y: py(p.accuracy.mean) }));
  const groups = grouped(at, 9).map((group) => group.filter((i) => !points[i]!.minor)).filter((group) => group.length > 0);
  // Two pixels each, so that a label on a line counts as little as it covers.
  const bars = at.flatMap(({ p, x: cx, y: cy }): Box[] => p.minor ? [] : [
    ...("low" in p.accuracy ? [{ left: cx - 1, right: cx + 1, top: py(p.accuracy.high), bottom: py(p.accuracy.low) }] : []),
    ...("low" in p.length ? [{ left: px(p.length.low), right: px(p.length.high), top: cy - 1, bottom: cy + 1 }] : []),
  ]);
  const label = (group: number[]): string => groupLabel(group.map((i) => points[i]!), area.width < PHONE ? 17 : 26);
  const places = placeLabels(groups.map((group) => ({ x: at[group[0]!]!.x, y: at[group[0]!]!.y, text: label(group), radius: RADIUS[points[group[0]!]!.role] })), { left, right, top: 4, bottom }, bars);
  // Earlier recipes lie under the models of this merge.
  const order = at.toSorted((a, b) => Number(b.p.role === "other") - Number(a.p.role === "other"));
  return (
    <g>
      {y.ticks.map((v) => (
        <g key={v}>
          <line className="grid" x1={left} x2={right} y1={py(v)} y2={py(v)} />
          <text className="tick" x={left - 8} y={py(v) + 4} textAnchor="end">{percent(v)}</text>
        </g>
      ))}
      {x.ticks.map((v) => (
        <g key={v}>
          <line className="grid" x1={px(v)} x2={px(v)} y1={top} y2={bottom} />
          <text className="tick" x={px(v)} y={bottom + 15} textAnchor="middle">{count(v)}</text>
        </g>
      ))}
      <line className="axisline" x1={left} x2={right} y1={bottom} y2={bottom} />
      <line className="axisline" x1={left} x2={left} y1={top} y2={bottom} />
      <text className="axislabel" x={right} y={bottom + 32} textAnchor="end">mean response length, tokens</text>
      {points.length === 0 && <text className="note" x={(left + right) / 2} y={(top + bottom) / 2} textAnchor="middle">nothing evaluated yet</text>}
      {order.map(({ p, x: cx, y: cy }) => (
        <g key={p.id} className={`pt ${p.role === "other" ? "o" : p.role}${p.progress ? " live" : ""}${p.minor ? " minor" : ""}`} data-point={p.label}>
          {!p.minor && "low" in p.accuracy && <line className="err" x1={cx} x2={cx} y1={py(p.accuracy.low)} y2={py(p.accuracy.high)} />}
          {!p.minor && "low" in p.length && <line className="err" x1={px(p.length.low)} x2={px(p.length.high)} y1={cy} y2={cy} />}
          <Marker role={p.role} x={cx} y={cy} {...(p.minor ? { scale: 0.6 } : {})} />
        </g>
      ))}
      {groups.map((group, i) => (
        <g key={points[group[0]!]!.id} className={`pt ${points[group[0]!]!.role}`}>
          <text className="ptl" x={places[i]!.x} y={places[i]!.y} textAnchor={places[i]!.anchor}>{label(group)}</text>
        </g>
      ))}
    </g>
  );
}

/** The shape of a role: circle, square, diamond, and a triangle for others. */
export function Marker({ role, x, y, scale = 1 }: { role: AccuracyPoint["role"]; x: number; y: number; scale?: number }) {
  const [r, d] = [5 * scale, 7 * scale];
  switch (role) {
    case "base": return <circle cx={x} cy={y} r={r} />;
    case "tuned": return <rect x={x - r} y={y - r} width={2 * r} height={2 * r} rx={1} />;
    case "merged": return <path d={`M${x} ${y - d}l${d} ${d}l${-d} ${d}l${-d} ${-d}z`} />;
    case "other": return <path d={`M${x} ${y - 5.5 * scale}l${5.5 * scale} ${9.5 * scale}h${-11 * scale}z`} />;
  }
}

function summary(points: AccuracyPoint[]): string {
  if (points.length === 0) return "Accuracy against mean response length: nothing evaluated yet.";
  const minor = points.filter((p) => p.minor).length;
  return `Accuracy against mean response length. ${minor > 0 ? `${minor} cells of sweeps, and ` : ""}${points.filter((p) => !p.minor).map((p) => `${p.label}${p.note ? `, ${p.note}` : ""}: ${percent(p.accuracy.mean, 1)} at ${fixed(p.length.mean, 1)} tokens${p.progress ? `, ${p.progress} so far` : ""}`).join("; ")}.`;
}
