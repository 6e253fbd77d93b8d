/**
 * Numbers as the page shows them: fixed digits per quantity, U+2212 as minus, decimal sizes, "–" for what is not known.
 * CSV and the clipboard take the numbers themselves, not these.
 */
export const UNKNOWN = "–";
const MINUS = "−";

type Maybe = number | undefined | null;
const known = (value: Maybe): value is number => typeof value === "number" && Number.isFinite(value);

/** Fixed decimals; a negative zero loses its sign. */
export function fixed(value: Maybe, digits: number): string {
  if (!known(value)) return UNKNOWN;
  const text = Math.abs(value).toFixed(digits);
  return value < 0 && Number(text) !== 0 ? MINUS + text : text;
}

/** α and gate α: 3 decimals. */
export const alpha = (value: Maybe): string => fixed(value, 3);
/** The score s: 2 decimals. */
export const score = (value: Maybe): string => fixed(value, 2);

/** F and δ²: three digits and a power of ten, `4.17e−5`. */
export function scientific(value: Maybe, digits = 2): string {
  if (!known(value)) return UNKNOWN;
  if (value === 0) return "0";
  const [mantissa, exponent] = value.toExponential(digits).split("e") as [string, string];
  const power = Number(exponent);
  return `${mantissa.replace("-", MINUS)}e${power < 0 ? MINUS : ""}${Math.abs(power)}`;
}

/** Share 0..1 as percent without a space. */
export function percent(share: Maybe, digits = 0): string {
  return known(share) ? `${fixed(share * 100, digits)}%` : UNKNOWN;
}

/** Progress in whole percent; below the end it never reads 100. */
export function progressPercent(fraction: Maybe): number {
  if (!known(fraction)) return 0;
  return fraction >= 1 ? 100 : Math.min(99, Math.max(0, Math.floor(fraction * 100)));
}

/** Whole number with commas above 9,999; config values and table cells take `commas: true` from 1,000 on. */
export function count(value: Maybe, commas = false): string {
  if (!known(value)) return UNKNOWN;
  const whole = Math.round(Math.abs(value));
  const text = whole > 9999 || (commas && whole > 999) ? String(whole).replace(/\B(?=(\d{3})+$)/g, ",") : String(whole);
  return value < 0 && whole !== 0 ? MINUS + text : text;
}

/** Three digits: 1.78, 15.2, 123. */
function threeDigits(value: number): string {
  return value < 9.995 ? value.toFixed(2) : value < 99.95 ? value.toFixed(1) : value.toFixed(0);
}

/** Decimal unit whose number, once rounded to three digits, stays below 1,000. */
function scaled(value: number, units: readonly string[]): string {
  let rest = value;
  let unit = 0;
  while (rest >= 999.5 && unit < units.length - 1) {
    rest /= 1000;
    unit++;
  }
  return unit === 0 ? `${Math.round(rest)}${units[0]}` : `${threeDigits(rest)}${units[unit]}`;
}

/** Parameters in a card: 1.78 B, 487 k. */
export function shortCount(value: Maybe): string {
  return known(value) ? scaled(value, ["", " k", " M", " B", " T"]) : UNKNOWN;
}

/** Size on disk, decimal: 0 B, 975 kB, 3.09 GB. */
export function bytes(value: Maybe): string {
  return known(value) ? scaled(value, [" B", " kB", " MB", " GB", " TB"]) : UNKNOWN;
}

/** `2.17 of 3.55 GB`: both in the unit of the whole. */
export function bytesOf(done: Maybe, total: Maybe): [string, string] {
  if (!known(total)) return [bytes(done), ""];
  const text = bytes(total);
  const unit = text.split(" ")[1] ?? "B";
  const power = ["B", "kB", "MB", "GB", "TB"].indexOf(unit);
  const part = known(done) ? done / 1000 ** power : undefined;
  return [part === undefined ? UNKNOWN : power === 0 ? String(Math.round(part)) : threeDigits(part), text];
}

/** GPU limits and chunks, binary: 128 MiB. */
export function mebibytes(value: Maybe): string {
  if (!known(value)) return UNKNOWN;
  const units = ["B", "KiB", "MiB", "GiB"];
  let rest = value;
  let unit = 0;
  while (rest >= 1024 && unit < units.length - 1) {
    rest /= 1024;
    unit++;
  }
  return `${Number.isInteger(rest) ? rest : threeDigits(rest)} ${units[unit]}`;
}

export const rate = (bytesPerSecond: Maybe): string => (known(bytesPerSecond) ? `${bytes(bytesPerSecond)}/s` : UNKNOWN);

/** 0:13, 12:05, 1:02:09. */
export function clock(ms: Maybe): string {
  if (!known(ms)) return UNKNOWN;
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const two = (n: number): string => String(n).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

/** A finished phase: `0.04 s` below three seconds, then the clock. */
export function duration(ms: Maybe): string {
  if (!known(ms)) return UNKNOWN;
  return ms < 2995 ? `${(ms / 1000).toFixed(2)} s` : clock(ms);
}

/** Time left, a range because one rate is a guess: `about 6 s`, `about 2 min`, and its ends. */
export function timeLeft(range: readonly [number, number] | undefined): { about: string; range: string } {
  if (!range || !known(range[0]) || !known(range[1])) return { about: UNKNOWN, range: "" };
  const unit = range[1] >= 5400 ? 3600 : range[1] >= 120 ? 60 : 1;
  const name = unit === 3600 ? "h" : unit === 60 ? "min" : "s";
  const round = (seconds: number): string => {
    const n = seconds / unit;
    return unit === 3600 ? n.toFixed(1) : String(Math.max(1, Math.round(n)));
  };
  const [low, high] = [round(range[0]), round(range[1])];
  return { about: `about ${round(Math.sqrt(range[0] * range[1]))} ${name}`, range: low === high ? "" : `${low}–${high} ${name}` };
}

/** First 4 … last 4 of a hash. */
export function shortHash(hash: string | undefined): string {
  return hash ? (hash.length > 9 ? `${hash.slice(0, 4)}…${hash.slice(-4)}` : hash) : UNKNOWN;
}

/** A parameter's value in a line of text: two decimals for a fraction, words as they are. */
export function paramValue(value: number | string | boolean): string {
  if (typeof value === "boolean") return value ? "on" : "off";
  if (typeof value === "string") return value;
  return Number.isInteger(value) && Math.abs(value) > 1 ? count(value) : Math.abs(value) >= 0.01 || value === 0 ? fixed(value, 2) : scientific(value);
}

/** Number words up to twelve, for sentences: "Four things differ." */
export function words(n: number): string {
  return ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"][n] ?? count(n);
}

export const capitalised = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
export const plural = (n: number, one: string, many = `${one}s`): string => `${count(n)} ${n === 1 ? one : many}`;
