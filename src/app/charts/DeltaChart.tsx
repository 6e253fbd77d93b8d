import { memo, useMemo } from "react";
import { Bar } from "recharts";
import type { LayerRow } from "../../engine/api";
import { linearAxis } from "./axes";
import { READINGS } from "./columns";
import { scientificTick } from "./numbers";
import { MAX_BAR, Plot } from "./Plot";
import { deltaSummary } from "./summaries";

/** Mean squared change per layer: linear bars from 0. */
export const DeltaChart = memo(function DeltaChart({ rows, height, pending }: { rows: LayerRow[]; height: number; pending?: boolean }) {
  const axis = useMemo(() => linearAxis(rows.map((r) => r.delta2), { fromZero: true, count: 5 }), [rows]);
  return (
    <Plot rows={rows} read={READINGS.delta2} name="mean δ² per layer" summary={deltaSummary(rows)} height={height} axis={axis} tickLabel={scientificTick} mark="bar" pending={pending}>
      <Bar dataKey="delta2" fill="var(--measured)" maxBarSize={MAX_BAR} isAnimationActive={false} activeBar={false} />
    </Plot>
  );
});
