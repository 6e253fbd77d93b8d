import type { Varying } from "../../core/recipe";
import type { TensorRow } from "../../core/shape";

/** What stands behind the number of the layer in a tensor's name: "self_attn.q_proj.weight". */
const LAYERS = /^(.*?\blayers)\.(\d+)\.(.+)$/;
/** Exact in float32, which is what is multiplied. */
const rounded = (value: number): number => Number(value.toPrecision(9));
const same = (a: number | number[], b: number | number[]): boolean => JSON.stringify(a) === JSON.stringify(b);

/**
 * Numbers per tensor as mergekit's rules: a list with a value per layer for each kind of tensor that has its own, then for all
 * that stand in layers, then what is outside by name. A filter is a part of the name; the first that fits holds.
 * Undefined where `of` knows a tensor's number not.
 */
export function rulesPerLayer(rows: readonly TensorRow[], of: (row: TensorRow) => number | undefined): Varying | undefined {
  const layers = Math.max(0, ...rows.map((row) => (row.layer ?? -1) + 1));
  const kinds = new Map<string, (number | undefined)[]>();
  const outside: { filter: string; value: number }[] = [];
  let prefix = "layers";
  for (const row of rows) {
    const value = of(row);
    if (value === undefined) return undefined;
    const [, before, , kind] = LAYERS.exec(row.name) ?? [];
    if (row.layer === undefined || kind === undefined) outside.push({ filter: row.name, value: rounded(value) });
    else {
      prefix = before!;
      const list = kinds.get(kind) ?? new Array<number | undefined>(layers).fill(undefined);
      list[row.layer] = rounded(value);
      kinds.set(kind, list);
    }
  }
  // A kind that some layers lack takes there what is next to it; no tensor reads it.
  const lists = [...kinds].map(([filter, list]): { filter: string; value: number | number[] } => {
    const whole = list.map((v, i) => v ?? list.slice(i).find((x) => x !== undefined) ?? list.slice(0, i).findLast((x) => x !== undefined)!);
    return { filter, value: whole.every((v) => v === whole[0]) ? whole[0]! : whole };
  });
  const inLayers = mostCommon(lists.map((l) => l.value));
  const beyond = mostCommon(outside.map((o) => o.value)) ?? inLayers;
  if (beyond === undefined) return undefined;
  const rules = [
    ...outside.filter((o) => !same(o.value, beyond)),
    ...lists.filter((l) => !same(l.value, inLayers!)),
    ...(inLayers !== undefined && !same(inLayers, beyond) ? [{ filter: `${prefix}.`, value: inLayers }] : []),
  ];
  // Without a value outside, all layers alike need no rule.
  return rules.length === 0 ? beyond : [...rules, { value: beyond }];
}

function mostCommon<T extends number | number[]>(values: readonly T[]): T | undefined {
  const counts = new Map<string, { value: T; count: number }>();
  for (const value of values) {
    const key = JSON.stringify(value);
    const entry = counts.get(key) ?? { value, count: 0 };
    entry.count++;
    counts.set(key, entry);
  }
  return [...counts.values()].reduce<{ value: T; count: number } | undefined>((best, entry) => (!best || entry.count > best.count ? entry : best), undefined)?.value;
}
