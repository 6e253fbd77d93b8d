import type { LayerRow, TensorRow } from "../../engine/api";
import type { Column } from "./csv";
import type { Reading } from "./Plot";
import { count, fixed, percent, scientific, UNKNOWN } from "../ui/format";

type Quantity = Exclude<keyof LayerRow, "layer">;

/** Every number of a layer: its name on screen and in a file, and how it is written. */
export const QUANTITIES: Record<Quantity, { label: string; csv: string; show(value: number | undefined): string; table(value: number | undefined): string }> = {
  alpha: { label: "α", csv: "alpha", show: (v) => fixed(v, 3), table: (v) => fixed(v, 3) },
  gateAlpha: { label: "gate α", csv: "gate_alpha", show: (v) => fixed(v, 3), table: (v) => fixed(v, 3) },
  fisher: { label: "F", csv: "fisher", show: (v) => scientific(v), table: (v) => scientific(v) },
  delta2: { label: "mean δ²", csv: "mean_delta2", show: (v) => scientific(v), table: (v) => scientific(v) },
  s: { label: "score s", csv: "s", show: (v) => fixed(v, 2), table: (v) => fixed(v, 2) },
  kept: { label: "kept", csv: "kept", show: (v) => percent(v, 2), table: (v) => percent(v, 2) },
  delta2ShareKept: { label: "share of δ²", csv: "delta2_share_kept", show: (v) => percent(v, 0), table: (v) => percent(v, 0) },
};
export type { Quantity };

/** What the cursor of a chart reads of a layer. */
export const READINGS = Object.fromEntries(
  Object.entries(QUANTITIES).map(([key, { label, show }]) => {
    const value = (row: LayerRow): number | undefined => row[key as Quantity];
    return [key, { value, text: (row: LayerRow) => `${label} ${value(row) === undefined ? "not known" : show(value(row))}` }];
  }),
) as Record<Quantity, Reading<LayerRow>>;

/** Layer number and the given quantities, in this order. */
export function layerColumns(keys: readonly Quantity[]): Column<LayerRow>[] {
  return [
    { id: "layer", label: "Layer", value: (r) => r.layer, show: (r) => `${r.layer}` },
    ...keys.map((key): Column<LayerRow> => ({
      id: QUANTITIES[key].csv,
      label: key === "s" ? "s" : QUANTITIES[key].label,
      value: (r) => r[key],
      show: (r) => QUANTITIES[key].table(r[key]),
    })),
  ];
}

/** The per-tensor table. */
export const TENSOR_COLUMNS: Column<TensorRow>[] = [
  { id: "tensor", label: "Tensor", value: (r) => r.name, show: (r) => r.name, text: true },
  { id: "kind", label: "Kind", value: (r) => r.role, show: (r) => r.role, text: true },
  { id: "layer", label: "Layer", value: (r) => r.layer, show: (r) => (r.layer === undefined ? UNKNOWN : `${r.layer}`) },
  { id: "elements", label: "Entries", value: (r) => r.elements, show: (r) => count(r.elements) },
  { id: "alpha", label: "α", value: (r) => r.alpha, show: (r) => fixed(r.alpha, 3) },
  { id: "fisher_mean", label: "F", value: (r) => r.fisherMean, show: (r) => scientific(r.fisherMean) },
  { id: "delta2_mean", label: "mean δ²", value: (r) => r.delta2Mean, show: (r) => scientific(r.delta2Mean) },
  { id: "threshold", label: "threshold", value: (r) => r.threshold, show: (r) => scientific(r.threshold) },
  { id: "kept", label: "kept", value: (r) => r.kept, show: (r) => percent(r.kept, 2) },
  { id: "delta2_share_kept", label: "share of δ²", value: (r) => r.delta2ShareKept, show: (r) => percent(r.delta2ShareKept, 0) },
  { id: "rho", label: "norm ρ", value: (r) => r.rho, show: (r) => (r.rho === undefined ? UNKNOWN : `${fixed(r.rho, 3)}${r.calibrated ? " ÷" : ""}`) },
];
