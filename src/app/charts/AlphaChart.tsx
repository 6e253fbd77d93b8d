import { memo, useMemo } from "react";
import { Line } from "recharts";
import type { LayerRow } from "../../engine/api";
import { alphaAxis, meanOf } from "./axes";
import { READINGS } from "./columns";
import { fixed } from "../ui/format";
import { linearTick } from "./numbers";
import { dotRadius, GUTTER, NARROW, Plot, usePlane } from "./Plot";
import { alphaSummary } from "./summaries";
import { useWidth } from "./useWidth";

/** Room for "0.731 max" at the right edge. */
const LABELS = 74;

/** α of an earlier run, by layer. */
export interface AlphaOverlay {
  id: string;
  label: string;
  values: readonly number[];
}
/** Dashes of the second to the fourth series. */
export const OVERLAY_DASHES = ["6 3", "2 3", "8 3 2 3"];
const NO_OVERLAYS: readonly AlphaOverlay[] = [];
const valuesOf = (rows: readonly LayerRow[], overlays: readonly AlphaOverlay[]): (number | undefined)[] => [...rows.map((r) => r.alpha), ...overlays.flatMap((o) => o.values)];

/** "axis 0.48–0.75 of 0–1": the words beside the title that mark the axis as zoomed. */
export function alphaAxisWords(rows: LayerRow[], reachable?: readonly [number, number], overlays = NO_OVERLAYS): string {
  const values = valuesOf(rows, overlays);
  if (!reachable && !values.some((v) => v !== undefined)) return "share of the fine-tuned change a layer takes";
  const [low, high] = alphaAxis(values, reachable).domain;
  return `share of the fine-tuned change a layer takes; axis ${fixed(low, 2)}–${fixed(high, 2)} of 0–1`;
}

/**
 * α per layer. The axis is zoomed to what the method can reach; the ruler at the left shows which part of 0 to 1 that is,
 * the band and its named ends show the range, the dotted line is the mean. Earlier runs lie under it, dashed.
 */
export const AlphaChart = memo(function AlphaChart({ rows, reachable, height, pending, overlays = NO_OVERLAYS }: { rows: LayerRow[]; reachable?: [number, number]; height: number; pending?: boolean; overlays?: readonly AlphaOverlay[] }) {
  const [ref, width] = useWidth();
  const narrow = width < NARROW;
  const mean = useMemo(() => meanOf(rows.map((r) => r.alpha)), [rows]);
  const axis = useMemo(() => {
    const values = valuesOf(rows, overlays);
    return reachable || values.some((v) => v !== undefined) ? alphaAxis(values, reachable) : undefined;
  }, [rows, reachable, overlays]);
  const hasValues = mean !== undefined;
  return (
    <div ref={ref}>
      <Plot
        rows={rows}
        read={READINGS.alpha}
        name="α per layer"
        summary={[alphaSummary(rows), ...overlays.map((o) => `${o.label}: ${fixed(Math.min(...o.values), 3)} to ${fixed(Math.max(...o.values), 3)}.`)].join(" ")}
        height={height}
        top={14}
        right={narrow ? GUTTER.right : LABELS}
        axis={axis}
        tickLabel={useMemo(() => linearTick([0, 0.05]), [])}
        mark="ring"
        pending={pending && !hasValues}
        under={useMemo(
          () => axis && <Range layers={rows.length} domain={axis.domain} reachable={reachable} mean={mean} narrow={narrow} />,
          [axis, rows.length, reachable, mean, narrow],
        )}
      >
        {overlays.map((o, i) => <Line key={o.id} dataKey={(row: LayerRow) => o.values[row.layer]} type="linear" stroke={`var(--series-${i + 2})`} strokeWidth={1.5} strokeDasharray={OVERLAY_DASHES[i]!} dot={false} activeDot={false} isAnimationActive={false} />)}
        <Line dataKey="alpha" type="linear" stroke="var(--decided)" strokeWidth={1.5} dot={{ r: dotRadius(rows.length, 3), fill: "var(--decided)", stroke: "none" }} activeDot={false} isAnimationActive={false} />
      </Plot>
    </div>
  );
});

interface RangeProps {
  layers: number;
  domain: [number, number];
  reachable: [number, number] | undefined;
  mean: number | undefined;
  narrow: boolean;
}

function Range({ layers, domain, reachable, mean, narrow }: RangeProps) {
  const plane = usePlane(layers);
  if (!plane) return null;
  const { left, right, y, top, bottom } = plane;
  const labels = narrow ? [] : spread([
    ...(reachable ? [{ y: y(reachable[1]), text: `${fixed(reachable[1], 3)} max` }, { y: y(reachable[0]), text: `${fixed(reachable[0], 3)} min` }] : []),
    ...(mean === undefined ? [] : [{ y: y(mean), text: `mean ${fixed(mean, 3)}` }]),
  ]);
  return (
    <g>
      {reachable && (
        <>
          <rect className="band" x={left} y={y(reachable[1])} width={right - left} height={y(reachable[0]) - y(reachable[1])} />
          {reachable.map((v) => (
            <line key={v} className="bandline" x1={left} x2={right} y1={y(v)} y2={y(v)} />
          ))}
        </>
      )}
      {mean !== undefined && <line className="meanline" x1={left} x2={right} y1={y(mean)} y2={y(mean)} />}
      {labels.map((l) => (
        <text key={l.text} className="note" x={right + 6} y={l.y + 4}>
          {l.text}
        </text>
      ))}
      {narrow && reachable && (
        <text className="note" x={right - 2} y={y(reachable[0]) - 5} textAnchor="end">
          reachable {fixed(reachable[0], 3)}–{fixed(reachable[1], 3)}
        </text>
      )}
      <Ruler top={top} bottom={bottom} domain={domain} />
    </g>
  );
}

/** Moves labels that would touch apart, in reading order. */
function spread<T extends { y: number }>(labels: T[]): T[] {
  const sorted = [...labels].sort((a, b) => a.y - b.y);
  return sorted.map((label, i) => {
    const above = sorted[i - 1];
    if (above && label.y - above.y < 13) label.y = above.y + 13;
    return label;
  });
}

/** The whole of 0 to 1 (or more, when α leaves it) as a line, the part on the axis as a bar. */
function Ruler({ top, bottom, domain }: { top: number; bottom: number; domain: [number, number] }) {
  const low = Math.min(0, domain[0]);
  const high = Math.max(1, domain[1]);
  const at = (v: number) => bottom - ((v - low) / (high - low)) * (bottom - top);
  return (
    <g className="ruler">
      <text className="tick" x={4} y={top - 4} textAnchor="middle">
        {fixed(high, Number.isInteger(high) ? 0 : 2)}
      </text>
      <line x1={4} x2={4} y1={top} y2={bottom} />
      <rect x={2} y={at(domain[1])} width={4} height={at(domain[0]) - at(domain[1])} rx={1} />
      <text className="tick" x={4} y={bottom + 15} textAnchor="middle">
        {fixed(low, Number.isInteger(low) ? 0 : 2)}
      </text>
    </g>
  );
}
