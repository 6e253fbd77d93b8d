/** Number boxes: what is typed, what it means, and the sentence when it means nothing. */
import type { NumberOrWordSpec, NumberSpec } from "../../../core/params";

type Numeric = Pick<NumberSpec, "min" | "max" | "step" | "integer"> | Pick<NumberOrWordSpec, "min" | "max" | "step">;

const decimalsOf = (value: number): number => /\.(\d+)$/.exec(String(value))?.[1]?.length ?? 0;
const isInteger = (spec: Numeric): boolean => ("integer" in spec && spec.integer === true) || false;

/** As shown in the box: whole numbers plain, tiny ones with an exponent, others with two decimals or as many as they have. */
export function numberText(value: number, spec: Numeric): string {
  if (!Number.isFinite(value)) return "";
  if (isInteger(spec) || /e/.test(String(value))) return String(value);
  if (value !== 0 && Math.abs(value) < 1e-4) return value.toExponential();
  return value.toFixed(Math.max(2, Math.min(6, Math.max(decimalsOf(value), decimalsOf(spec.step ?? 0.01)))));
}

export type Parsed = { ok: true; value: number } | { ok: false; sentence: string };

/** Reads a box. Takes a comma or U+2212 as people type them; refuses what is not a number in [min, max]. */
export function parseNumber(text: string, spec: Numeric): Parsed {
  const clean = text.trim().replace("−", "-").replace(/^(-?\d*),(\d+)$/, "$1.$2");
  const value = clean === "" ? NaN : Number(clean);
  const range = Number.isFinite(spec.max) ? `Between ${show(spec.min)} and ${show(spec.max)}.` : `${show(spec.min)} or more.`;
  if (!Number.isFinite(value)) return { ok: false, sentence: `A number. ${range}` };
  if (value < spec.min || value > spec.max) return { ok: false, sentence: range };
  if (isInteger(spec) && !Number.isInteger(value)) return { ok: false, sentence: `A whole number. ${range}` };
  return { ok: true, value };
}

const show = (value: number): string => (value < 0 ? `−${-value}` : String(value));

/** Step of the slider: the spec's, or a hundredth of its range. */
export const sliderStep = (spec: Numeric): number => spec.step ?? (isInteger(spec) ? 1 : (spec.max - spec.min) / 100);

/** A slider helps where the whole range is worth travelling; a seed is only typed. */
export const hasSlider = (spec: Numeric): boolean => !isInteger(spec) && Number.isFinite(spec.min) && Number.isFinite(spec.max) && (spec.max - spec.min) / sliderStep(spec) <= 1000;

/** Place of a value on the slider, 0 to 100. */
export const sliderPercent = (value: number, spec: Numeric): number => Math.max(0, Math.min(100, ((value - spec.min) / (spec.max - spec.min)) * 100));
