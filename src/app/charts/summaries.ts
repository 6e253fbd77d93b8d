import type { ExpertShape, LayerRow } from "../../engine/api";
import { meanOf } from "./axes";
import { fixed, percent, scientific } from "../ui/format";

type Key = Exclude<keyof LayerRow, "layer">;

interface Extremes {
  low: number;
  lowLayer: number;
  high: number;
  highLayer: number;
  count: number;
}

/** Lowest and highest known value of a quantity and the first layers that have them. */
export function extremes(rows: readonly LayerRow[], key: Key): Extremes | undefined {
  let found: Extremes | undefined;
  for (const row of rows) {
    const value = row[key];
    if (value === undefined || !Number.isFinite(value)) continue;
    if (!found) found = { low: value, lowLayer: row.layer, high: value, highLayer: row.layer, count: 1 };
    else {
      found.count++;
      if (value < found.low) [found.low, found.lowLayer] = [value, row.layer];
      if (value > found.high) [found.high, found.highLayer] = [value, row.layer];
    }
  }
  return found;
}

/** One sentence with extremes, or what is missing. */
function sentence(rows: readonly LayerRow[], key: Key, name: string, write: (v: number) => string, tail = ""): string {
  const e = extremes(rows, key);
  if (!e) return `${name}. Not known yet.`;
  const missing = rows.length - e.count;
  const rest = missing > 0 ? ` ${missing} of ${rows.length} layers are not known.` : "";
  if (e.low === e.high) return e.count === 1 ? `${name}. ${write(e.low)} at layer ${e.lowLayer}${tail}.${rest}` : `${name}. ${write(e.low)} at every known layer${tail}.${rest}`;
  return `${name}. Lowest ${write(e.low)} at layer ${e.lowLayer}, highest ${write(e.high)} at layer ${e.highLayer}${tail}.${rest}`;
}

export function alphaSummary(rows: readonly LayerRow[]): string {
  const mean = meanOf(rows.map((r) => r.alpha));
  return sentence(rows, "alpha", "Alpha per layer", (v) => fixed(v, 3), mean === undefined ? "" : `, mean ${fixed(mean, 3)}`);
}

export function fisherSummary(rows: readonly LayerRow[]): string {
  const zero = rows.filter((r) => r.fisher === 0).length;
  return sentence(rows, "fisher", "Fisher per layer, log scale", scientific) + (zero > 0 ? ` ${zero} of ${rows.length} are exactly 0 and have no place on a log scale.` : "");
}

export const deltaSummary = (rows: readonly LayerRow[]): string => sentence(rows, "delta2", "Mean squared change per layer", scientific);

export function scoreSummary(rows: readonly LayerRow[], expert?: Pick<ExpertShape, "median">): string {
  return sentence(rows, "s", "Score per layer", (v) => fixed(v, 2), expert?.median === undefined ? "" : `, median ${fixed(expert.median, 2)}`);
}

export function keptSummary(rows: readonly LayerRow[]): string {
  const share = extremes(rows, "delta2ShareKept");
  const tail = share ? `, carrying ${percent(share.low, 0)} to ${percent(share.high, 0)} of the squared change` : "";
  return sentence(rows, "kept", "Entries kept after trimming", (v) => percent(v, 1), tail);
}
