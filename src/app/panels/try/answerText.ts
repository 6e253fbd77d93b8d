import { reflections } from "../../../core/reflection";

/** A stretch of an answer: `from` and `to` count characters. */
export interface Range {
  from: number;
  to: number;
}

/** The thinking of an answer, tags included; a template may have opened it in the prompt. */
export function thinkingRange(text: string): Range | undefined {
  const open = text.indexOf("<think>");
  const close = text.indexOf("</think>");
  if (open < 0 && close < 0) return undefined;
  return { from: open >= 0 && (close < 0 || open < close) ? open : 0, to: close < 0 ? text.length : close + "</think>".length };
}

const isGap = (unit: string | undefined): boolean => unit === undefined || /\s/.test(unit);

/** The word of each text where they part, whole; undefined while one is the beginning of the other. */
export function divergence(a: string, b: string): [Range, Range] | undefined {
  let at = 0;
  while (at < a.length && at < b.length && a[at] === b[at]) at++;
  if (at === a.length || at === b.length) return undefined;
  let from = at;
  while (from > 0 && !isGap(a[from - 1]) && a[from - 1] !== ">") from--;
  const end = (text: string): number => {
    let to = at + 1;
    while (to < text.length && !isGap(text[to])) to++;
    return to;
  };
  return [{ from, to: end(a) }, { from, to: end(b) }];
}

/** Number, from 1, of the first token that differs; undefined when the answers are the same. */
export function firstDifferentToken(a: readonly number[], b: readonly number[]): number | undefined {
  for (let i = 0; i < Math.max(a.length, b.length); i++) if (a[i] !== b[i]) return i + 1;
  return undefined;
}

const LINE = 80;
const HEAD = 3;
const TAIL = 3;

/** Pieces of about one line each; nothing is lost between them. */
function lines({ from, to }: Range, text: string): Range[] {
  const all: Range[] = [];
  for (let start = from; start < to; ) {
    const newline = text.indexOf("\n", start);
    let end = newline >= 0 && newline < to ? newline + 1 : to;
    if (end - start > LINE * 1.5) {
      const space = text.indexOf(" ", start + LINE);
      end = space >= 0 && space < start + LINE * 1.5 ? space + 1 : start + LINE;
    }
    all.push({ from: start, to: end });
    start = end;
  }
  return all;
}

export interface Part extends Range {
  kind: "text" | "think" | "fold" | "mark";
  /** Of a fold. */
  lines?: number;
}

/**
 * An answer as it is shown: thinking apart, and of long thinking only the first and last lines, and those around the mark,
 * unless it is opened.
 */
export function answerParts(text: string, mark: Range | undefined, open: boolean): Part[] {
  const think = thinkingRange(text);
  const parts: Part[] = [];
  const add = (kind: Part["kind"], from: number, to: number, count?: number): void => {
    if (to <= from) return;
    const last = parts.at(-1);
    if (last && last.kind === kind && last.to === from && kind !== "mark") Object.assign(last, { to }, count === undefined ? {} : { lines: (last.lines ?? 0) + count });
    else parts.push({ kind, from, to, ...(count === undefined ? {} : { lines: count }) });
  };
  const plain = (kind: "text" | "think", from: number, to: number): void => {
    if (!mark || mark.to <= from || mark.from >= to) return add(kind, from, to);
    add(kind, from, Math.max(from, mark.from));
    add("mark", Math.max(from, mark.from), Math.min(to, mark.to));
    add(kind, Math.min(to, mark.to), to);
  };
  plain("text", 0, think?.from ?? text.length);
  if (!think) return parts;
  const rows = lines(think, text);
  const long = rows.length > HEAD + TAIL + 4;
  rows.forEach((row, i) => {
    const shown = open || !long || i < HEAD || i >= rows.length - TAIL || (mark !== undefined && mark.from < row.to && mark.to > row.from);
    if (shown) plain("think", row.from, row.to);
    else add("fold", row.from, row.to, 1);
  });
  plain("text", think.to, text.length);
  return parts;
}

/** "“wait” 6 × · “let me check” 3 ×", of the thinking. */
export function reflectionWords(text: string): string {
  const think = thinkingRange(text);
  return reflections(think ? text.slice(think.from, think.to) : "").slice(0, 3).map(({ word, times }) => `“${word}” ${times} ×`).join(" · ");
}
