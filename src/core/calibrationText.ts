import { StudioError, type ErrorDetails } from "./errors";
import { jsonObjects } from "./jsonLines";
import { formatBytes } from "./modelFiles";

/** Largest file that calibration text is read from. */
export const MAX_TEXT_FILE_BYTES = 64_000_000;

/** Texts that a file offers: those of a .txt under one empty name, those of a .jsonl under each field that holds text. */
export interface TextField {
  name: string;
  texts: string[];
  /** Lines without text in this field. */
  without: number;
}

export interface TextFile {
  name: string;
  /** Never empty; the likeliest field first. */
  fields: TextField[];
}

const CALIBRATION = "the calibration text";

function refuse(name: string, found: string, todo: string, details: ErrorDetails = {}, what = CALIBRATION): never {
  throw new StudioError("bad-file", `Reading ${what} ${name}: ${found}. ${todo}`, { title: what === CALIBRATION ? "The text cannot be used" : `${what[0]!.toUpperCase()}${what.slice(1)} cannot be used`, where: name, found, todo, ...details });
}

/** What a recipe calls texts of a file: with the field, where there is one. */
export const textName = (file: Pick<TextFile, "name">, field: string): string => (field === "" ? file.name : `${file.name}, field ${field}`);

/** Whether a dropped file is calibration text, by its name. */
export const isTextFile = (name: string): boolean => /\.(jsonl|ndjson|txt)$/i.test(name);

/** Called with a file's size before it is read; `what` it is said to be. Throws "bad-file". */
export function checkTextSize(name: string, bytes: number, what = CALIBRATION): void {
  if (bytes > MAX_TEXT_FILE_BYTES) refuse(name, `the file has ${formatBytes(bytes)}, and at most ${formatBytes(MAX_TEXT_FILE_BYTES)} are read`, `Give a part of it${what === CALIBRATION ? "; some hundred texts are enough" : ""}.`, {}, what);
}

/** The text of bytes in UTF-8, without a byte order mark. Throws "bad-file" when they are none. */
export function decodeText(name: string, bytes: Uint8Array, what = CALIBRATION): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return refuse(name, "the file is no valid UTF-8 text", "Save it as UTF-8.", {}, what);
  }
}

/** Texts of a plain file: paragraphs between blank lines, or, where there is no blank line, lines. */
export function paragraphs(content: string): string[] {
  const lines = content.replace(/\r\n?/g, "\n").trim();
  return lines.split(/\n[^\S\n]*\n/.test(lines) ? /\n(?:[^\S\n]*\n)+/ : "\n").map((text) => text.trim()).filter((text) => text !== "");
}

/** Names that usually hold the text itself, the likeliest first. */
const USUAL = ["text", "question", "prompt", "problem", "content", "instruction", "input"];

/** Fields of a .jsonl file that hold text in at least one line. Throws "bad-file" with the number of a line that is no JSON object. */
export function jsonLines(name: string, content: string): TextField[] {
  const fields = new Map<string, string[]>();
  const rows = jsonObjects(content, (found, todo, line) => refuse(name, found, todo, line === undefined ? {} : { where: `${name}, line ${line}`, line }));
  for (const { row } of rows) {
    for (const [key, value] of Object.entries(row)) {
      if (typeof value !== "string" || value.trim() === "") continue;
      const texts = fields.get(key);
      if (texts) texts.push(value);
      else fields.set(key, [value]);
    }
  }
  if (fields.size === 0) refuse(name, "no line has a field that holds text", 'Give objects such as {"text": "..."}.');
  const rank = (key: string): number => (USUAL.indexOf(key) + USUAL.length + 1) % (USUAL.length + 1);
  return [...fields].map(([key, texts]) => ({ name: key, texts, without: rows.length - texts.length })).sort((a, b) => rank(a.name) - rank(b.name));
}

/** A dropped file by its name: .jsonl or .ndjson by lines, .txt by paragraphs. Throws "bad-file". */
export function parseTextFile(name: string, content: string): TextFile {
  if (/\.(jsonl|ndjson)$/i.test(name)) return { name, fields: jsonLines(name, content) };
  if (!/\.txt$/i.test(name)) refuse(name, "it is neither a .txt nor a .jsonl file", "Give plain text, or one JSON object per line.");
  return { name, fields: [plainField(name, content)] };
}

/** Pasted or plain text as the one field that it is. Throws "bad-file" when it is empty. */
export function plainField(name: string, content: string): TextField {
  const texts = paragraphs(content);
  if (texts.length === 0) refuse(name, "there is no text in it", "Give at least one line of text.");
  return { name: "", texts, without: 0 };
}

/** The field of a file by name; the likeliest when no name is given. Throws "bad-request" with the names there are. */
export function fieldOf(file: TextFile, name: string | undefined): TextField {
  const found = name === undefined ? file.fields[0] : file.fields.find((f) => f.name === name);
  if (found) return found;
  const names = file.fields.map((f) => f.name).filter((n) => n !== "");
  throw new StudioError("bad-request", `Reading the calibration text ${file.name}: it has no text in a field "${name}". ${names.length > 0 ? `There is text in ${names.join(", ")}.` : "It is plain text and has no fields."}`, { title: "Unknown field", where: file.name, found: name ?? "" });
}
