import type { MeanInterval } from "../../core/trying";
import { linearAxis, niceStep, type Axis } from "./axes";

/** A measured point, or one that is on its way: then it has no interval yet. */
export interface AccuracyPoint {
  id: string;
  role: "base" | "tuned" | "merged" | "other";
  label: string;
  /** Told after the label where it is needed: "greedy". */
  note?: string;
  accuracy: MeanInterval | { mean: number };
  length: MeanInterval | { mean: number };
  /** "12 of 60", while it is measured. */
  progress?: string;
  /** One of many, such as a cell of a sweep: drawn small, named in the table alone. */
  minor?: true;
}

const low = (v: AccuracyPoint["accuracy"]): number => ("low" in v ? v.low : v.mean);
const high = (v: AccuracyPoint["accuracy"]): number => ("high" in v ? v.high : v.mean);

/** Accuracy up to 100 %, down to the tens below the lowest bar; from 0 when that is low. Length from 0. */
export function accuracyAxes(points: readonly AccuracyPoint[]): { x: Axis; y: Axis } {
  const floor = points.length === 0 ? 0 : Math.max(0, Math.floor((Math.min(...points.map((p) => low(p.accuracy))) - 0.02) * 10) / 10);
  const bottom = floor <= 0.2 ? 0 : floor;
  const step = niceStep((1 - bottom) / 5);
  const ticks = Array.from({ length: Math.floor((1 - bottom) / step + 1e-9) + 1 }, (_, i) => Math.round((1 - i * step) * 1e6) / 1e6).reverse();
  const x = linearAxis(points.map((p) => high(p.length) * 1.04), { fromZero: true });
  return { x: x ?? { domain: [0, 100], ticks: [0, 20, 40, 60, 80, 100] }, y: { domain: [bottom, 1], ticks } };
}

/** "axis 30–100%": said where accuracy does not start at 0. */
export const zoomNote = (points: readonly AccuracyPoint[]): string => {
  const [bottom] = accuracyAxes(points).y.domain;
  return bottom > 0 ? `, axis ${Math.round(bottom * 100)}–100%` : "";
};
