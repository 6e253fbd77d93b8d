/**
 * YAML as a tree that keeps where each value stands, like json.ts does for JSON. YAML 1.1, as PyYAML reads it (`yes` is true),
 * one document; aliases and merge keys (`<<`) are followed. And a writer for the small part of YAML that settings need.
 */
import { isAlias, isMap, isScalar, isSeq, parseAllDocuments, type Document, type Node } from "yaml";

export type YamlNode = { at: number } & (
  | { kind: "map"; entries: YamlEntry[] }
  | { kind: "list"; items: YamlNode[] }
  /** `text`: as it is written, for values that are meant as words. */
  | { kind: "scalar"; value: string | number | boolean | null; text: string }
);
export interface YamlEntry { key: string; keyAt: number; value: YamlNode }

/** `at` is the offset in UTF-16 units. */
export class YamlSyntaxError extends Error {
  constructor(readonly reason: string, readonly at: number) {
    super(reason);
  }
}

/** More than any settings file has; an alias that holds itself would never end. */
const MAX_NODES = 100_000;
const MAX_DEPTH = 64;

/** The one document of a text. Throws YamlSyntaxError, also for none, several, keys given twice, and keys that are no words. */
export function parseYaml(text: string): YamlNode {
  const found = parseAllDocuments(text, { version: "1.1", logLevel: "silent", prettyErrors: false });
  const all: Document.Parsed[] = "empty" in found ? [] : found.filter((d) => d.contents !== null || d.errors.length > 0);
  for (const { errors } of all) if (errors[0]) throw new YamlSyntaxError(errors[0].message.replace(/\s+/g, " ").replace(/[.:]$/, ""), errors[0].pos[0]);
  const [root, second] = all;
  if (!root?.contents) throw new YamlSyntaxError("there is nothing in it", 0);
  if (second) throw new YamlSyntaxError(`it holds ${all.length} documents, expected one`, second.contents?.range?.[0] ?? 0);

  let nodes = 0;
  const convert = (node: Node | null, at: number, depth: number): YamlNode => {
    if (++nodes > MAX_NODES || depth > MAX_DEPTH) throw new YamlSyntaxError("its aliases make it larger than settings can be", at);
    if (node === null) return { at, kind: "scalar", value: null, text: "" };
    const from = node.range?.[0] ?? at;
    if (isAlias(node)) return convert(node.resolve(root) ?? null, from, depth + 1);
    if (isSeq<Node | null>(node)) return { at: from, kind: "list", items: node.items.map((item) => convert(item, from, depth + 1)) };
    if (isMap<Node, Node | null>(node)) {
      const entries: YamlEntry[] = [];
      const merged: YamlEntry[] = [];
      for (const { key, value } of node.items) {
        if (!isScalar(key)) throw new YamlSyntaxError("a key is a list or a map, expected a word", key.range?.[0] ?? from);
        const keyAt = key.range?.[0] ?? from;
        const child = convert(value, keyAt, depth + 1);
        if (isMerge(key.value)) merged.push(...mergedEntries(child));
        else entries.push({ key: key.source ?? String(key.value), keyAt, value: child });
      }
      for (const entry of merged) if (!entries.some((e) => e.key === entry.key)) entries.push(entry);
      return { at: from, kind: "map", entries };
    }
    const { value, source } = node as { value: unknown; source?: string };
    const plain = typeof value === "string" || typeof value === "number" || typeof value === "boolean" || value === null;
    // A date, and what else YAML has names for, is a word here.
    return { at: from, kind: "scalar", value: plain ? value : (source ?? String(value)), text: source ?? String(value) };
  };
  return convert(root.contents, 0, 0);
}

const isMerge = (key: unknown): boolean => key === "<<" || (typeof key === "symbol" && key.description === "<<");

function mergedEntries(node: YamlNode): YamlEntry[] {
  if (node.kind === "map") return node.entries;
  if (node.kind === "list") return node.items.flatMap(mergedEntries);
  throw new YamlSyntaxError("what `<<` takes in is no map", node.at);
}

export type YamlValue = string | number | boolean | YamlValue[] | { [key: string]: YamlValue | undefined };

/** Words that YAML 1.1 reads as something else. */
const RESERVED = /^(?:true|false|yes|no|on|off|y|n|null|~)$/i;
const PLAIN = /^[A-Za-z_./][\w./@+-]*$/;

/** A map of settings as YAML: two spaces, lists of numbers on one line, keys with the value undefined left out. */
export function writeYaml(value: { [key: string]: YamlValue | undefined }): string {
  return `${mapLines(value).join("\n")}\n`;
}

function mapLines(map: { [key: string]: YamlValue | undefined }): string[] {
  return Object.entries(map).flatMap(([key, value]) => {
    if (value === undefined) return [];
    const inline = scalarText(value);
    if (inline !== undefined) return [`${word(key)}: ${inline}`];
    const nested = Array.isArray(value) ? value.flatMap((item) => listItem(item)) : mapLines(value as { [key: string]: YamlValue });
    return [`${word(key)}:`, ...nested.map((line) => `  ${line}`)];
  });
}

function listItem(item: YamlValue): string[] {
  const inline = scalarText(item);
  if (inline !== undefined) return [`- ${inline}`];
  const lines = Array.isArray(item) ? item.flatMap(listItem) : mapLines(item as { [key: string]: YamlValue });
  return lines.map((line, i) => (i === 0 ? `- ${line}` : `  ${line}`));
}

/** A value that stands on one line: a scalar, or a list of numbers. */
function scalarText(value: YamlValue): string | undefined {
  if (typeof value === "string") return word(value);
  if (typeof value === "number") return numberText(value);
  if (typeof value === "boolean") return String(value);
  if (Array.isArray(value) && value.every((v) => typeof v === "number")) return `[${value.map((v) => numberText(v as number)).join(", ")}]`;
  return undefined;
}

const word = (text: string): string => (PLAIN.test(text) && !RESERVED.test(text) ? text : JSON.stringify(text));

/** PyYAML takes an exponent for a number only after a dot and with a sign. */
function numberText(value: number): string {
  const [mantissa, exponent] = String(value).split("e");
  return exponent === undefined ? mantissa! : `${mantissa!.includes(".") ? mantissa : `${mantissa}.0`}e${/^[+-]/.test(exponent) ? exponent : `+${exponent}`}`;
}
