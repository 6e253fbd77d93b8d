import { StudioError } from "../../core/errors";
import type { Varying } from "../../core/recipe";
import type { RecipeFinding } from "../../core/recipeFinding";
import { lineAndColumn } from "../../formats/json";
import { parseYaml, YamlSyntaxError, type YamlEntry, type YamlNode } from "../../formats/yaml";

/** A value and where it stands: "models[1].parameters.weight". */
export interface Spot { node: YamlNode; path: string }

/** Reads a mergekit file: every fault and every finding has its path, line and column. */
export class Reader {
  readonly findings: RecipeFinding[] = [];
  readonly root: Spot;

  constructor(private readonly text: string) {
    try {
      this.root = { node: parseYaml(text), path: "" };
    } catch (error) {
      if (error instanceof YamlSyntaxError) throw this.fault({ node: { at: error.at, kind: "scalar", value: null, text: "" }, path: "" }, `is no YAML that can be used: ${error.reason}`);
      throw error;
    }
  }

  fault({ node, path }: Spot, problem: string, todo?: string): StudioError {
    const { line, column } = lineAndColumn(this.text, node.at);
    const sentence = `Reading the mergekit YAML: ${path ? `${path} ` : "the file "}${problem}, at line ${line} column ${column}.`;
    return new StudioError("bad-recipe", todo ? `${sentence} ${todo}` : sentence, { title: "The YAML cannot be used", where: `${path || "file"}, line ${line} column ${column}`, path, line, column, found: problem, ...(todo ? { todo } : {}) });
  }

  note(severity: RecipeFinding["severity"], code: string, sentence: string, { node, path }: Spot): void {
    this.findings.push({ severity, code, sentence, path, ...lineAndColumn(this.text, node.at) });
  }

  /** Entries of a map; none where nothing is said. */
  entries(spot: Spot, what: string): { key: string; spot: Spot; keySpot: Spot }[] {
    if (spot.node.kind === "scalar" && spot.node.value === null) return [];
    if (spot.node.kind !== "map") throw this.fault(spot, `is ${shown(spot.node)}, expected ${what}`);
    return spot.node.entries.map((entry: YamlEntry) => {
      const path = spot.path ? `${spot.path}.${entry.key}` : entry.key;
      return { key: entry.key, spot: { node: entry.value, path }, keySpot: { node: { ...entry.value, at: entry.keyAt }, path } };
    });
  }

  items(spot: Spot, what: string): Spot[] {
    if (spot.node.kind !== "list") throw this.fault(spot, `is ${shown(spot.node)}, expected ${what}`);
    return spot.node.items.map((node, i) => ({ node, path: `${spot.path}[${i}]` }));
  }

  word(spot: Spot, what: string): string {
    if (spot.node.kind !== "scalar" || spot.node.value === null || typeof spot.node.value === "boolean") throw this.fault(spot, `is ${shown(spot.node)}, expected ${what}`);
    return typeof spot.node.value === "string" ? spot.node.value : spot.node.text;
  }

  /** true, false, and the 1 and 0 that older files have for them. */
  flag(spot: Spot): boolean {
    const value = spot.node.kind === "scalar" ? spot.node.value : undefined;
    if (value === true || value === 1) return true;
    if (value === false || value === 0) return false;
    throw this.fault(spot, `is ${shown(spot.node)}, expected true or false for all tensors`);
  }

  number(spot: Spot): number {
    const value = spot.node.kind === "scalar" ? spot.node.value : undefined;
    if (typeof value === "number" && Number.isFinite(value)) return value;
    throw this.fault(spot, `is ${shown(spot.node)}, expected a number${typeof value === "string" && value.trim() !== "" && Number.isFinite(Number(value)) ? " without quotes" : ""}`);
  }

  /** A number, a list of numbers over depth, or rules; a rule that no tensor reaches is told. */
  varying(spot: Spot): Varying {
    if (spot.node.kind === "scalar") return this.number(spot);
    const items = spot.node.kind === "map" ? [spot] : this.items(spot, "a number, a list or rules");
    if (items.length === 0) throw this.fault(spot, "is an empty list, expected at least one number");
    if (items.every(({ node }) => node.kind !== "map")) return one(items.map((item) => this.number(item)));
    const rules: Exclude<Varying, number | number[]> = [];
    let holdsForAll = false;
    for (const item of items) {
      if (item.node.kind !== "map") throw this.fault(item, `is ${shown(item.node)}, expected a rule { filter, value } as the others`);
      let filter: string | undefined;
      let value: number | number[] | undefined;
      for (const { key, spot: child, keySpot } of this.entries(item, "a rule { filter, value }")) {
        if (key === "filter") filter = child.node.kind === "scalar" && child.node.value === null ? undefined : this.word(child, "part of a tensor's name");
        else if (key === "value") value = child.node.kind === "scalar" ? this.number(child) : one(this.items(child, "a number or a list of numbers").map((v) => this.number(v)));
        else this.note("warn", "unknown-key", `"${key}" is no key of a rule${key === "pattern" ? "; mergekit calls it filter, and takes a rule without one for every tensor" : ""}.`, keySpot);
      }
      if (value === undefined) throw this.fault(item, "has no value");
      if (holdsForAll) {
        this.note("info", "idle-rule", "A rule before this one holds for every tensor, so this one holds for none.", item);
        continue;
      }
      holdsForAll = filter === undefined || filter === "*";
      rules.push(holdsForAll ? { value } : { filter: filter!, value });
    }
    return rules.length === 1 && holdsForAll ? rules[0]!.value : rules;
  }
}

/** A list of one number is that number, at every depth. */
const one = (numbers: number[]): number | number[] => (numbers.length === 1 ? numbers[0]! : numbers);

export const holdsForAll = (varying: Varying): boolean => typeof varying === "number" || varying.some((entry) => typeof entry === "number" || entry.filter === undefined);

/** First what the one says, then, for tensors that it has no rule for, what the other says. */
export function withFallback(first: Varying | undefined, second: Varying | undefined): Varying | undefined {
  if (first === undefined || second === undefined || holdsForAll(first)) return first ?? second;
  const more = typeof second === "number" || typeof second[0] === "number" ? [{ value: second as number | number[] }] : (second as Exclude<Varying, number | number[]>);
  return [...(first as Exclude<Varying, number | number[]>), ...more];
}

export function shown(node: YamlNode): string {
  if (node.kind === "map") return "a map";
  if (node.kind === "list") return "a list";
  return node.value === null ? "nothing" : typeof node.value === "string" ? JSON.stringify(node.value).slice(0, 60) : node.text;
}
