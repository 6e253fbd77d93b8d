import { StudioError } from "../core/errors";
import type { ParamValue, PostStage } from "../core/recipe";

export interface FlagSpec {
  /** Takes a value; `repeat` collects every occurrence. */
  value?: boolean;
  repeat?: boolean;
}

/** Parses `--flag value` and `--flag=value`. Unknown flags, missing values and values too many are "bad-request" sentences. */
export function parseArgs(args: string[], specs: Record<string, FlagSpec>): Record<string, string[]> {
  const found: Record<string, string[]> = {};
  for (let i = 0; i < args.length; i++) {
    const [head, ...rest] = args[i]!.split("=");
    const name = head!.replace(/^--/, "");
    const spec = Object.hasOwn(specs, name) ? specs[name] : undefined;
    if (!head!.startsWith("--") || !spec) throw new StudioError("bad-request", `Unknown argument "${args[i]}"; there are ${Object.keys(specs).map((s) => `--${s}`).join(", ")}.`);
    if (!spec.value) {
      if (rest.length > 0) throw new StudioError("bad-request", `The argument --${name} takes no value.`);
      found[name] = ["true"];
      continue;
    }
    const value = rest.length > 0 ? rest.join("=") : args[++i];
    if (value === undefined || (rest.length === 0 && value.startsWith("--"))) throw new StudioError("bad-request", `The argument --${name} needs a value.`);
    if (found[name] && !spec.repeat) throw new StudioError("bad-request", `The argument --${name} was given twice.`);
    (found[name] ??= []).push(value);
  }
  return found;
}

/** `key=value` pairs of --set, or of another flag; numbers and true/false become such, everything else stays text. */
export function parseSettings(pairs: readonly string[], flag = "set"): Record<string, ParamValue> {
  const out: Record<string, ParamValue> = {};
  for (const pair of pairs) {
    const at = pair.indexOf("=");
    if (at < 1) throw new StudioError("bad-request", `--${flag} ${pair}: expected key=value.`);
    const text = pair.slice(at + 1);
    out[pair.slice(0, at)] = text === "true" ? true : text === "false" ? false : text !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
  }
  return out;
}

/** The number of a flag, or `fallback` without it. Throws "bad-request" for anything else, and below `least`. */
export function numberFlag(flags: Record<string, string[]>, name: string, fallback: number, least = -Infinity): number {
  const text = flags[name]?.[0];
  if (text === undefined) return fallback;
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value) || value < least) throw new StudioError("bad-request", `--${name} ${text}: expected a number${least > -Infinity ? ` of at least ${least}` : ""}.`);
  return value;
}

/** The same for whole numbers from 1 on. */
export function wholeFlag(flags: Record<string, string[]>, name: string, fallback: number): number {
  const value = numberFlag(flags, name, fallback, 1);
  if (!Number.isSafeInteger(value)) throw new StudioError("bad-request", `--${name} ${flags[name]![0]!}: expected a whole number.`);
  return value;
}

/** "aim:omega=0.3,layout=blocks" */
export function parseStage(text: string, flag = "set"): PostStage {
  const [method = "", settings] = text.split(/:(.*)/s);
  return { method, params: parseSettings(settings ? settings.split(",") : [], flag) };
}
