/**
 * JSON as a tree that keeps what JSON.parse loses: the spelling of numbers, duplicate keys, and where each value stands.
 * Accepts exactly RFC 8259, and no lone surrogates, no number beyond f64, at most 127 levels: the rules of serde_json,
 * which the official safetensors reader uses.
 */
export type JsonNode = { at: number } & (
  | { kind: "object"; entries: JsonEntry[] }
  | { kind: "array"; items: JsonNode[] }
  | { kind: "string"; value: string }
  | { kind: "number"; text: string }
  | { kind: "literal"; value: boolean | null }
);
export interface JsonEntry { key: string; keyAt: number; value: JsonNode }

/** `at` is the offset in UTF-16 units; `reason` has no position in it. */
export class JsonSyntaxError extends Error {
  constructor(readonly reason: string, readonly at: number, text: string) {
    const { line, column } = lineAndColumn(text, at);
    super(`${reason} at line ${line} column ${column}`);
  }
}

/** Both count from 1. */
export function lineAndColumn(text: string, at: number): { line: number; column: number } {
  const before = text.slice(0, at);
  const start = before.lastIndexOf("\n") + 1;
  return { line: before.split("\n").length, column: at - start + 1 };
}

const MAX_DEPTH = 127;
const numberPattern = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
/** A run of characters that stand for themselves inside a string. */
// eslint-disable-next-line no-control-regex
const plainPattern = /[^"\\\u0000-\u001f]*/y;
const escapes: Record<string, string> = { '"': '"', "\\": "\\", "/": "/", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" };

class Parser {
  private at = 0;
  constructor(private readonly text: string) {}

  parse(): JsonNode {
    const node = this.value(0);
    this.space();
    if (this.at < this.text.length) this.fail("unexpected characters after the end of the JSON value");
    return node;
  }

  private fail(reason: string, at = this.at): never {
    throw new JsonSyntaxError(reason, at, this.text);
  }

  private space(): void {
    for (;;) {
      const c = this.text.charCodeAt(this.at);
      if (c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09) return;
      this.at++;
    }
  }

  private value(depth: number): JsonNode {
    this.space();
    const at = this.at;
    const c = this.text[at];
    if (c === undefined) this.fail("the text ends where a value should be");
    if (c === "{" || c === "[") {
      if (depth === MAX_DEPTH) this.fail(`nested deeper than ${MAX_DEPTH} levels`);
      this.at++;
      return c === "{" ? { at, kind: "object", entries: this.entries(depth + 1) } : { at, kind: "array", items: this.items(depth + 1) };
    }
    if (c === '"') return { at, kind: "string", value: this.string() };
    if (c === "-" || (c >= "0" && c <= "9")) return { at, kind: "number", text: this.number() };
    for (const [word, value] of [["true", true], ["false", false], ["null", null]] as const) {
      if (this.text.startsWith(word, at)) {
        this.at += word.length;
        return { at, kind: "literal", value };
      }
    }
    this.fail(`expected a value, found ${JSON.stringify(c)}`);
  }

  private entries(depth: number): JsonEntry[] {
    const entries: JsonEntry[] = [];
    this.space();
    if (this.take("}")) return entries;
    for (;;) {
      this.space();
      const keyAt = this.at;
      if (this.text[keyAt] !== '"') this.fail(this.text[keyAt] === "}" ? "trailing comma" : "expected a key in double quotes");
      const key = this.string();
      this.space();
      if (!this.take(":")) this.fail(`expected ":" after the key ${JSON.stringify(key)}`);
      entries.push({ key, keyAt, value: this.value(depth) });
      this.space();
      if (this.take("}")) return entries;
      if (!this.take(",")) this.fail('expected "," or "}"');
    }
  }

  private items(depth: number): JsonNode[] {
    const items: JsonNode[] = [];
    this.space();
    if (this.take("]")) return items;
    for (;;) {
      this.space();
      if (this.text[this.at] === "]") this.fail("trailing comma");
      items.push(this.value(depth));
      this.space();
      if (this.take("]")) return items;
      if (!this.take(",")) this.fail('expected "," or "]"');
    }
  }

  private take(c: string): boolean {
    if (this.text[this.at] !== c) return false;
    this.at++;
    return true;
  }

  private number(): string {
    numberPattern.lastIndex = this.at;
    const found = numberPattern.exec(this.text)?.[0];
    const next = found === undefined ? undefined : this.text[this.at + found.length];
    if (found === undefined || (next !== undefined && /[0-9.eE+-]/.test(next))) this.fail("invalid number");
    if (!Number.isFinite(Number(found))) this.fail("number out of range");
    this.at += found.length;
    return found;
  }

  private string(): string {
    const start = this.at++;
    let out = "";
    for (;;) {
      plainPattern.lastIndex = this.at;
      const run = plainPattern.exec(this.text)![0];
      out += run;
      this.at += run.length;
      const c = this.text[this.at];
      if (c === undefined) this.fail("a string does not end", start);
      if (c === '"') {
        this.at++;
        return out;
      }
      if (c !== "\\") this.fail("control character inside a string");
      out += this.escape();
    }
  }

  private escape(): string {
    const at = this.at++;
    const c = this.text[this.at++];
    if (c !== "u") return (c !== undefined && escapes[c]) || this.fail("invalid escape", at);
    const high = this.hex(at);
    if (high >= 0xdc00 && high <= 0xdfff) this.fail("lone surrogate in an escape", at);
    if (high < 0xd800 || high > 0xdbff) return String.fromCharCode(high);
    if (!this.text.startsWith("\\u", this.at)) this.fail("lone surrogate in an escape", at);
    this.at += 2;
    const low = this.hex(at);
    if (low < 0xdc00 || low > 0xdfff) this.fail("lone surrogate in an escape", at);
    return String.fromCharCode(high, low);
  }

  private hex(at: number): number {
    const digits = this.text.slice(this.at, this.at + 4);
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) this.fail("invalid escape", at);
    this.at += 4;
    return parseInt(digits, 16);
  }
}

/** Throws JsonSyntaxError. */
export const parseJson = (text: string): JsonNode => new Parser(text).parse();

/** The value as JSON.parse would give it; of duplicate keys the last wins, and `__proto__` is an ordinary key. */
export function toPlain(node: JsonNode): unknown {
  switch (node.kind) {
    case "object": return Object.fromEntries(node.entries.map((e) => [e.key, toPlain(e.value)]));
    case "array": return node.items.map(toPlain);
    case "number": return Number(node.text);
    default: return node.value;
  }
}

/** The node under a path of keys and indices, and the deepest one that exists when the path leads nowhere. */
export function nodeAt(root: JsonNode, path: readonly (string | number)[]): JsonNode {
  let node = root;
  for (const step of path) {
    const next = node.kind === "object" ? node.entries.findLast((e) => e.key === step)?.value : node.kind === "array" ? node.items[Number(step)] : undefined;
    if (!next) return node;
    node = next;
  }
  return node;
}
