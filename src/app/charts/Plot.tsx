import { memo, type ReactNode } from "react";
import { ComposedChart, DefaultZIndexes, usePlotArea, useYAxisScale, XAxis, YAxis, ZIndexLayer } from "recharts";
import { layerTicks, pendingRanges, type Axis } from "./axes";
import { useLayerCursor } from "./cursor";
import { LayerHit } from "./LayerHit";
import { layerRange } from "./numbers";
import { useWidth } from "./useWidth";

/** Gutters shared by all layer charts, so that their layers stand under each other. */
export const GUTTER = { left: 46, right: 14, bottom: 22 } as const;
/** Below this width a chart is drawn for a phone. */
export const NARROW = 560;

/** Where a layer and a value lie, for what is drawn by hand inside a chart. */
export function usePlane(layers: number) {
  const area = usePlotArea();
  const scale = useYAxisScale();
  if (!area || !scale || layers === 0) return undefined;
  const band = area.width / layers;
  return {
    left: area.x,
    right: area.x + area.width,
    top: area.y,
    bottom: area.y + area.height,
    band,
    x: (layer: number) => area.x + (layer + 0.5) * band,
    y: (value: number) => scale(value) as number,
  };
}

/** What the cursor reads of a row: the number that is marked, and its words. Kept in one object for as long as it means the same. */
export interface Reading<Row> {
  value(row: Row): number | undefined;
  text(row: Row): string;
}

export interface PlotProps<Row extends { layer: number }> {
  rows: Row[];
  read: Reading<Row>;
  /** Name of the chart for the slider over it. */
  name: string;
  /** One sentence with extremes. */
  summary: string;
  height: number;
  top?: number;
  right?: number;
  /** Undefined: nothing is known yet. */
  axis: Axis | undefined;
  log?: boolean;
  tickLabel(value: number): string;
  /** Lines between the labelled ones. */
  minor?: number[];
  /** Fill unmeasured layers with a flat tint and say which are to come. */
  pending?: boolean;
  /** Mark the value under the cursor with a ring (lines) or a darker bar. */
  mark: "ring" | "bar" | "none";
  /** Share of a layer's band that a bar takes. */
  barShare?: number;
  /** recharts series. */
  children?: ReactNode;
  /** Drawn under the series: band, mean line. */
  under?: ReactNode;
  /** Drawn over the series. */
  over?: ReactNode;
}

/** A layer chart: common x axis, grid, tint for what is to come, linked cursor. The series are the children. */
export function Plot<Row extends { layer: number }>(props: PlotProps<Row>) {
  const [ref, width] = useWidth();
  const { layer } = useLayerCursor();
  const { left, right, height } = { left: GUTTER.left, right: props.right ?? GUTTER.right, height: props.height };
  const row = props.rows[layer];
  return (
    <div className="chart plotbox" ref={ref} style={{ height }}>
      {width > 0 && <Drawing {...(props as unknown as AnyPlot)} width={width} />}
      <LayerHit name={props.name} text={`layer ${layer}, ${row ? props.read.text(row) : "not known"}`} left={left} width={Math.max(0, width - left - right)} height={height - GUTTER.bottom} />
    </div>
  );
}

type AnyPlot = PlotProps<{ layer: number }>;

// The drawing does not depend on the cursor: moving it redraws only <CursorMark>.
const Drawing = memo(function Drawing({ rows, width, height, top = 8, right = GUTTER.right, axis, log, summary, children, under, over, ...rest }: AnyPlot & { width: number }) {
  return (
    <ComposedChart
      width={width}
      height={height}
      data={rows}
      margin={{ left: GUTTER.left, right, top, bottom: GUTTER.bottom }}
      accessibilityLayer={false}
      role="img"
      aria-label={summary}
      barCategoryGap={`${(1 - (rest.barShare ?? 0.5)) * 50}%`}
    >
      <XAxis dataKey="layer" type="category" scale="band" hide />
      <YAxis type="number" domain={axis?.domain ?? [0, 1]} scale={log && axis ? "log" : "linear"} allowDataOverflow hide />
      {axis && under}
      <Frame rows={rows} axis={axis} tickLabel={rest.tickLabel} minor={rest.minor} pending={rest.pending} read={rest.read} />
      {axis && children}
      <ZIndexLayer zIndex={DefaultZIndexes.cursorLine}>
        {axis && over}
        {axis && <CursorMark rows={rows} read={rest.read} mark={rest.mark} barShare={rest.barShare ?? 0.5} />}
      </ZIndexLayer>
    </ComposedChart>
  );
});

function Frame({ rows, axis, tickLabel, minor, pending, read }: Pick<AnyPlot, "rows" | "axis" | "tickLabel" | "minor" | "pending" | "read">) {
  const plane = usePlane(rows.length);
  if (!plane) return null;
  const { left, right, top, bottom, band } = plane;
  return (
    <g>
      {axis && minor?.map((v) => <line key={v} className="grid minor" x1={left} x2={right} y1={plane.y(v)} y2={plane.y(v)} />)}
      {axis?.ticks.map((v) => (
        <g key={v}>
          <line className="grid" x1={left} x2={right} y1={plane.y(v)} y2={plane.y(v)} />
          <text className="tick" x={left - 8} y={plane.y(v) + 4} textAnchor="end">
            {tickLabel(v)}
          </text>
        </g>
      ))}
      {pending &&
        pendingRanges(rows.map((r) => read.value(r))).map((range) => {
          const x1 = left + range[0] * band;
          const x2 = left + (range[1] + 1) * band;
          const text = `${layerRange(range)} to come`;
          return (
            <g key={range[0]}>
              <rect className="notyet" x={x1} y={top} width={x2 - x1} height={bottom - top} />
              {range[1] < rows.length - 1 && <line className="sweep" x1={x2} x2={x2} y1={top} y2={bottom} />}
              {x2 - x1 > text.length * 7 && (
                <text className="note" x={(x1 + x2) / 2} y={(top + bottom) / 2 + 4} textAnchor="middle">
                  {text}
                </text>
              )}
            </g>
          );
        })}
      {!pending && !axis && (
        <>
          <rect className="notyet" x={left} y={top} width={right - left} height={bottom - top} />
          <text className="note" x={(left + right) / 2} y={(top + bottom) / 2 + 4} textAnchor="middle">
            not measured
          </text>
        </>
      )}
      <line className="axisline" x1={left} x2={right} y1={bottom} y2={bottom} />
      {layerTicks(rows.length, right - left).map((l) => (
        <g key={l}>
          <line className="axisline" x1={plane.x(l)} x2={plane.x(l)} y1={bottom} y2={bottom + 3} />
          <text className="tick" x={plane.x(l)} y={bottom + 15} textAnchor="middle">
            {l}
          </text>
        </g>
      ))}
    </g>
  );
}

/** Width of a bar: its share of the band, and never a slab when there are few layers. */
export const barWidth = (band: number, share: number): number => Math.min(band * share, MAX_BAR);
export const MAX_BAR = 44;

function CursorMark({ rows, read, mark, barShare }: Pick<AnyPlot, "rows" | "read" | "mark"> & { barShare: number }) {
  const plane = usePlane(rows.length);
  const { layer } = useLayerCursor();
  if (!plane || layer >= rows.length) return null;
  const x = plane.x(layer);
  const value = rows[layer] && read.value(rows[layer]);
  const y = value === undefined || mark === "none" ? undefined : plane.y(value);
  const visible = y !== undefined && Number.isFinite(y);
  const w = barWidth(plane.band, barShare);
  return (
    <g className="cursor" aria-hidden="true">
      {visible && mark === "bar" && <rect className="colbar on" x={x - w / 2} width={w} y={Math.min(y, plane.bottom)} height={Math.max(0, plane.bottom - y)} />}
      <line x1={x} x2={x} y1={Math.max(0, plane.top - 12)} y2={plane.bottom} />
      {visible && mark === "ring" && <circle cx={x} cy={y} r={5} />}
    </g>
  );
}

/** Dots shrink when layers stand close together. */
export const dotRadius = (layers: number, base: number): number => (layers > 64 ? base - 1 : layers > 40 ? base - 0.5 : base);
