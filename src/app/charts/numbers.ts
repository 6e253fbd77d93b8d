/** Labels that only axes need; values are written by `ui/format`. */
import { fixed } from "../ui/format";

/** Tick of a scientific axis, as short as it can be exactly: 1e−6, 1.5e−4, 0. */
export function scientificTick(value: number): string {
  if (value === 0) return "0";
  const [mantissa, exponent] = value.toExponential(2).split("e");
  return `${Number(mantissa)}e${Number(exponent)}`.replaceAll("-", "−");
}

/** Tick of a linear axis with the decimals its step needs. */
export function linearTick(ticks: readonly number[]): (value: number) => string {
  const step = ticks.length > 1 ? Math.abs(ticks[1]! - ticks[0]!) : 1;
  const digits = Math.max(0, Math.min(6, -Math.floor(Math.log10(step) + 1e-9)));
  return (value) => fixed(value, digits);
}

/** "0–10", or "3" for a single layer. */
export const layerRange = ([first, last]: readonly [number, number]): string => (first === last ? `${first}` : `${first}–${last}`);
