import { ComposedChart, usePlotArea, useXAxisScale, useYAxisScale, XAxis, YAxis } from "recharts";
import type { MeanInterval } from "../../core/trying";
import { percent } from "../ui/format";
import { accuracyAxes, type AccuracyPoint } from "./accuracyAxes";
import { Marker } from "./AccuracyLength";
import { shortened, spread } from "./labels";
import { NARROW } from "./Plot";
import { useWidth } from "./useWidth";

export interface MajorityCurve {
  id: string;
  role: AccuracyPoint["role"];
  label: string;
  curve: { n: number; accuracy: MeanInterval }[];
}

const HEIGHT = 240;
/** Room for the names at the ends of the lines. */
const room = (width: number): { right: number; chars: number } => (width < NARROW ? { right: 104, chars: 13 } : { right: 190, chars: 26 });
const LINE = 15;

/** Accuracy of the most common of n answers, n on a log axis, one line per model, 95 % bars. */
export function MajorityChart({ curves }: { curves: MajorityCurve[] }) {
  const [ref, width] = useWidth();
  const counts = [...new Set(curves.flatMap((c) => c.curve.map((p) => p.n)))].sort((a, b) => a - b);
  const y = accuracyAxes(curves.flatMap((c) => c.curve.map((p) => ({ id: "", role: c.role, label: "", accuracy: p.accuracy, length: { mean: p.n } })))).y;
  const text = `Accuracy of the majority of n answers. ${curves.map((c) => `${c.label}: ${c.curve.map((p) => `${percent(p.accuracy.mean, 1)} at ${p.n}`).join(", ")}`).join("; ")}.`;
  return (
    <div className="chart plotbox" ref={ref} style={{ height: HEIGHT }}>
      {width > 0 && (
        <ComposedChart width={width} height={HEIGHT} data={counts.map((n) => ({ n }))} margin={{ left: 46, right: room(width).right, top: 14, bottom: 36 }} accessibilityLayer={false} role="img" aria-label={text}>
          <XAxis dataKey="n" type="number" scale="log" domain={[1, Math.max(2, ...counts)]} allowDataOverflow hide />
          <YAxis type="number" domain={y.domain} allowDataOverflow hide />
          <Drawing curves={curves} counts={counts} ticks={y.ticks} chars={room(width).chars} />
        </ComposedChart>
      )}
    </div>
  );
}

function Drawing({ curves, counts, ticks, chars }: { curves: MajorityCurve[]; counts: number[]; ticks: number[]; chars: number }) {
  const area = usePlotArea();
  const [scaleX, scaleY] = [useXAxisScale(), useYAxisScale()];
  if (!area || !scaleX || !scaleY) return null;
  const [left, right, top, bottom] = [area.x, area.x + area.width, area.y, area.y + area.height];
  const [px, py] = [(v: number): number => Number(scaleX(v)), (v: number): number => Number(scaleY(v))];
  const ends = spread(curves.map(({ curve }) => py(curve.at(-1)!.accuracy.mean)), LINE, top + 4, bottom);
  return (
    <g>
      {ticks.map((v) => (
        <g key={v}>
          <line className="grid" x1={left} x2={right} y1={py(v)} y2={py(v)} />
          <text className="tick" x={left - 8} y={py(v) + 4} textAnchor="end">{percent(v)}</text>
        </g>
      ))}
      <line className="axisline" x1={left} x2={right} y1={bottom} y2={bottom} />
      {counts.map((n) => (
        <g key={n}>
          <line className="axisline" x1={px(n)} x2={px(n)} y1={bottom} y2={bottom + 3} />
          <text className="tick" x={px(n)} y={bottom + 15} textAnchor="middle">{n}</text>
        </g>
      ))}
      <text className="axislabel" x={right} y={bottom + 32} textAnchor="end">answers per problem, n</text>
      {curves.map(({ id, role, label, curve }, i) => (
        <g key={id} className={`pt ${role === "other" ? "o" : role}`}>
          <polyline className={`maj ${role}`} points={curve.map((p) => `${px(p.n)},${py(p.accuracy.mean)}`).join(" ")} />
          {curve.map((p) => (
            <g key={p.n}>
              <line className="err" x1={px(p.n)} x2={px(p.n)} y1={py(p.accuracy.low)} y2={py(p.accuracy.high)} />
              <Marker role={role} x={px(p.n)} y={py(p.accuracy.mean)} scale={0.7} />
            </g>
          ))}
          <text className="ptl" x={right + 12} y={ends[i]! + 4}>{shortened(label, chars)}</text>
        </g>
      ))}
    </g>
  );
}
