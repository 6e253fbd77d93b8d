import type { NumberSpec, Params, ParamSpec } from "../../core/params";
import type { Varying } from "../../core/recipe";
import { suggest } from "../../core/suggest";
import type { MergeMethod } from "../methods";
import { DIALECTS, HARMLESS, type Dialect, type Key } from "./dialect";
import { withFallback, type Reader, type Spot } from "./reader";
import type { Source } from "./sources";

/** Settings of one `parameters` map, with where each stands. */
export type Level = ReadonlyMap<string, Spot>;

/** Every name that a method of mergekit has a setting by. */
const KNOWN = new Set([...HARMLESS, "weight", ...DIALECTS.flatMap((d) => [...Object.keys(d.shared), ...Object.keys(d.own)])]);

const plainSet = (names: Iterable<string>): string => [...names].join(", ") || "none";

/** A `parameters` map: what the method reads there; all else becomes a finding. */
export function readLevel(reader: Reader, dialect: Dialect, spot: Spot | undefined, of: "model" | "file"): Level {
  const level = new Map<string, Spot>();
  if (!spot) return level;
  const own = [...Object.keys(dialect.own), ...(dialect.weights ? ["weight"] : [])];
  const shared = Object.keys(dialect.shared);
  for (const { key, spot: child, keySpot } of reader.entries(spot, "a map of settings")) {
    if (own.includes(key) || (of === "file" && shared.includes(key))) level.set(key, child);
    else if (HARMLESS.includes(key)) reader.note("info", "ignored-key", `"${key}" saves memory in mergekit and changes no number; it is left out.`, keySpot);
    else if (shared.includes(key)) reader.note("warn", "ignored-key", `"${key}" stands with one model, but mergekit reads it only under the parameters of the whole file; it is left out.`, keySpot);
    else if (KNOWN.has(key)) reader.note("info", "ignored-key", `"${key}" has no effect with ${dialect.name}, in mergekit either; it is left out.`, keySpot);
    else {
      const near = suggest(key, [...own, ...shared]);
      reader.note("warn", "unknown-key", `"${key}" is no setting of ${dialect.name}${near ? `; did you mean "${near}"?` : `, which has ${plainSet([...own, ...shared])}.`} It is left out.`, keySpot);
    }
  }
  return level;
}

/** Numbers within the range of our parameter, and alike for all tensors where it is one for all. */
function check(reader: Reader, spec: ParamSpec | undefined, varying: Varying, spot: Spot): Varying {
  const range = spec as (NumberSpec & { varies?: "tensor" | "model" }) | undefined;
  if (typeof varying !== "number" && range && !range.varies) throw reader.fault(spot, "differs from tensor to tensor; here it is one number for the whole merge");
  const numbers = typeof varying === "number" ? [varying] : varying.flatMap((entry) => (typeof entry === "number" ? entry : entry.value));
  for (const value of numbers) if (range && (value < range.min || value > range.max || (range.integer && !Number.isInteger(value)))) throw reader.fault(spot, `holds ${value}, expected ${range.integer ? "a whole number" : "a number"} from ${range.min} to ${range.max}`);
  return varying;
}

/** The first level that has the key decides; rules that not every tensor fits go on in the next. */
function lookUp(reader: Reader, key: string, levels: readonly Level[], spec: ParamSpec | undefined): { value: Varying | undefined; spot: Spot | undefined } {
  let value: Varying | undefined;
  let spot: Spot | undefined;
  for (const level of levels) {
    const here = level.get(key);
    if (!here) continue;
    value = withFallback(value, check(reader, spec, reader.varying(here), here));
    spot ??= here;
  }
  return { value, spot };
}

/** Takes a number into `params` where it is one, and into `vary` where tensors differ. */
export function put(params: Params, vary: Record<string, Varying>, name: string, value: Varying): void {
  if (typeof value === "number") params[name] = value;
  else vary[name] = value;
}

/** Settings for all models. Throws where mergekit has a choice that we do not, and where a needed one is missing. */
export function sharedSettings(reader: Reader, dialect: Dialect, method: MergeMethod, levels: readonly Level[], at: Spot): { params: Params; vary: Record<string, Varying> } {
  const params: Params = { ...dialect.fixed };
  const vary: Record<string, Varying> = {};
  for (const [key, { param, default: initial, words }] of Object.entries(dialect.shared)) {
    const spot = levels.map((level) => level.get(key)).find((s) => s !== undefined);
    if (typeof initial === "boolean") {
      const value = spot ? reader.flag(spot) : initial;
      params[param!] = words ? words[value ? 0 : 1] : value;
      continue;
    }
    const { value = initial } = lookUp(reader, key, levels, param ? method.params[param] : undefined);
    if (value === undefined) throw reader.fault(at, `has no "${key}", which ${dialect.name} needs`);
    if (param) put(params, vary, param, value);
    else if (spot && value !== initial) throw reader.fault(spot, `is ${JSON.stringify(value)}, but ${method.label} takes ${initial} here`);
  }
  return { params, vary };
}

/** A setting that each model has for itself, one value per source. `read` is what the source says, or the file, or mergekit's default. */
export function ownSetting(reader: Reader, key: string, { param, default: initial }: Key, method: MergeMethod, sources: readonly Source[], levels: (source: Source) => readonly Level[]): { values: Varying[]; said: boolean } {
  const spec = param ? method.params[param] : undefined;
  const found = sources.map((source) => lookUp(reader, key, levels(source), spec));
  const values = found.map(({ value }) => withFallback(value, initial as number)!);
  const first = JSON.stringify(values[0]);
  const other = found.find((_, i) => JSON.stringify(values[i]) !== first);
  if (other?.spot && (spec as NumberSpec & { varies?: string })?.varies !== "model") throw reader.fault(other.spot, `differs between the models; ${method.label} has one "${param}" for all here`);
  return { values, said: found.some(({ value }) => value !== undefined) };
}

/** The weight of a model. Throws where there is none, or none for tensors that no rule fits, as mergekit does. */
export function weightOf(reader: Reader, source: Source, levels: readonly Level[]): Varying {
  const { value, spot } = lookUp(reader, "weight", levels, undefined);
  if (value === undefined || !spot) throw reader.fault(source.spot, "has no weight, and the parameters of the file have none either", "Give it a weight.");
  if (typeof value !== "number" && typeof value[0] !== "number" && !value.some((rule) => typeof rule === "object" && rule.filter === undefined))
    throw reader.fault(spot, "has only rules with a filter, so tensors that none fits have no weight", "Add a rule without a filter at the end.");
  return value;
}
