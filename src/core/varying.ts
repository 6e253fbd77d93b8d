import type { Varying } from "./recipe";

/** Where a tensor is: its name, and its layer out of how many. */
export interface Place {
  name: string;
  /** Undefined for embedding, final norm and head. */
  layer: number | undefined;
  layers: number;
}

/** How near to a whole number a position counts as one, so that a list with a value per layer is a table. */
const WHOLE = 1e-9;

/**
 * Depth of a tensor from 0 to 1: layer / (layers - 1), 1 in a model of one layer, 0 outside the layers, also for what
 * comes behind them. Source: mergekit (METHODS 0.3).
 */
export function depthOf({ layer, layers }: Pick<Place, "layer" | "layers">): number {
  if (layer === undefined) return 0;
  return layers > 1 ? Math.min(1, layer / (layers - 1)) : 1;
}

/** Value of a list at a depth, piecewise linear: position = depth (length - 1), exact where the position is whole. */
export function gradientAt(list: readonly number[], depth: number): number {
  const position = depth * (list.length - 1);
  const nearest = Math.round(position);
  if (Math.abs(position - nearest) < WHOLE) return list[nearest]!;
  const below = Math.floor(position);
  const part = position - below;
  return (1 - part) * list[below]! + part * list[below + 1]!;
}

/** Whether a rule holds for a tensor: it has no filter, "*", or a part of the name. */
export const ruleFits = (filter: string | undefined, name: string): boolean => filter === undefined || filter === "*" || name.includes(filter);

/** The number of a tensor; undefined where there are rules and none of them fits. Source: mergekit (METHODS 0.3). */
export function valueAt(varying: Varying, place: Place): number | undefined {
  if (typeof varying === "number") return varying;
  const rule = varying.find((entry) => typeof entry === "number" || ruleFits(entry.filter, place.name));
  if (rule === undefined) return undefined;
  if (typeof rule === "number") return gradientAt(varying as number[], depthOf(place));
  return typeof rule.value === "number" ? rule.value : gradientAt(rule.value, depthOf(place));
}

/** Every number that a setting is made of. */
export function numbersIn(varying: Varying): number[] {
  if (typeof varying === "number") return [varying];
  return varying.flatMap((entry) => (typeof entry === "number" ? entry : entry.value));
}

const listText = (value: number | readonly number[]): string => (typeof value === "number" ? String(value) : value.length === 1 ? String(value[0]) : `${value.join(" → ")} over depth`);

/** A setting in words, for the card and the page: "0.1 → 0.9 over depth", "self_attn: 0 → 1 over depth; others: 0.5". */
export function varyingText(varying: Varying): string {
  if (typeof varying === "number" || typeof varying[0] === "number") return listText(varying as number | number[]);
  const rules = varying as Exclude<Varying, number | number[]>;
  return rules.map(({ filter, value }) => (filter === undefined || filter === "*" ? (rules.length > 1 ? `others: ${listText(value)}` : listText(value)) : `${filter}: ${listText(value)}`)).join("; ");
}
