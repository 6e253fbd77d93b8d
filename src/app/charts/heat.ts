import type { TensorRow } from "../../engine/api";
import { decadeAxis, linearAxis } from "./axes";
import { fixed, percent, scientific } from "../ui/format";
import { scientificTick } from "./numbers";

/** The seven weights of a block; the space in the drawing separates attention from MLP. */
export const KINDS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"] as const;
export type Kind = (typeof KINDS)[number];

export type HeatQuantity = "fisherMean" | "delta2Mean" | "alpha" | "kept" | "delta2ShareKept" | "rho";

export const HEAT: Record<HeatQuantity, { label: string; csv: string; log: boolean; show(v: number | undefined): string; tick(v: number): string }> = {
  fisherMean: { label: "F", csv: "fisher", log: true, show: (v) => scientific(v), tick: scientificTick },
  delta2Mean: { label: "mean δ²", csv: "mean_delta2", log: true, show: (v) => scientific(v), tick: scientificTick },
  alpha: { label: "α", csv: "alpha", log: false, show: (v) => fixed(v, 3), tick: (v) => fixed(v, 2) },
  kept: { label: "kept", csv: "kept", log: false, show: (v) => percent(v, 2), tick: (v) => percent(v, 1) },
  delta2ShareKept: { label: "share of δ²", csv: "delta2_share_kept", log: false, show: (v) => percent(v, 0), tick: (v) => percent(v, 0) },
  rho: { label: "norm ρ", csv: "rho", log: false, show: (v) => fixed(v, 3), tick: (v) => fixed(v, 2) },
};

export interface HeatRow {
  layer: number;
  values: Partial<Record<Kind, number>>;
}

/** One row per layer with the value of each kind. */
export function heatRows(tensors: readonly TensorRow[], layers: number, quantity: HeatQuantity): HeatRow[] {
  const rows: HeatRow[] = Array.from({ length: layers }, (_, layer) => ({ layer, values: {} }));
  for (const t of tensors) {
    const row = t.layer === undefined ? undefined : rows[t.layer];
    const kind = KINDS.find((k) => k === t.role);
    const value = t[quantity];
    // Biases share the role of their weight; the weight is the larger of the two and comes first in every layout.
    if (row && kind && value !== undefined && !t.name.endsWith(".bias")) row.values[kind] = value;
  }
  return rows;
}

/** Ends of the colour scale: whole decades for F and δ², nice ends otherwise. Undefined when nothing can be placed. */
export function heatDomain(rows: readonly HeatRow[], quantity: HeatQuantity): [number, number] | undefined {
  const values = rows.flatMap((r) => Object.values(r.values));
  const axis = HEAT[quantity].log ? decadeAxis(values) : linearAxis(values, { count: 7 });
  return axis?.domain;
}

/** One sentence: the kinds with the highest and lowest mean (geometric on a log scale). */
export function heatSummary(rows: readonly HeatRow[], quantity: HeatQuantity): string {
  const { label, log, show } = HEAT[quantity];
  const means = KINDS.flatMap((kind) => {
    const values = rows.map((r) => r.values[kind]).filter((v): v is number => v !== undefined && (!log || v > 0));
    if (values.length === 0) return [];
    const mean = log ? Math.exp(values.reduce((a, v) => a + Math.log(v), 0) / values.length) : values.reduce((a, v) => a + v, 0) / values.length;
    return [{ kind, mean }];
  }).sort((a, b) => b.mean - a.mean);
  const [high, low] = [means[0], means.at(-1)];
  if (!high || !low) return `${label} by tensor kind and layer. Not known yet.`;
  return `${label} by tensor kind and layer. Over all layers ${high.kind} is highest with ${show(high.mean)}, ${low.kind} lowest with ${show(low.mean)}.`;
}
