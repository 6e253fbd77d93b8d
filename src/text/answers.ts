/** How an answer was found, for who wants to see why it counted. */
export type AnswerRule = "final answer is $…$" | "boxed" | "answer=" | "answer is" | "final answer is" | "答案是" | "last number" | "none";

export interface FoundAnswer {
  text: string;
  rule: AnswerRule;
  /** Where it stands in the response. */
  begin: number;
  end: number;
}

/** Digits, letters and signs in full width, and the minus sign, as ASCII; every character keeps its place. */
const ascii = (text: string): string => text.replace(/[\uFF01-\uFF5E]/g, (c) => String.fromCharCode(c.charCodeAt(0) - 0xfee0)).replace(/\u2212/g, "-");

interface Span {
  begin: number;
  end: number;
}

/** What is in the last \boxed or \fbox, by its matched braces; without braces, what follows up to a space or a dollar sign. */
function lastBoxed(response: string): Span | undefined {
  const box = [...response.matchAll(/\\(?:boxed|fbox)(?![A-Za-z])[^\S\n]*/g)].at(-1);
  if (!box) return undefined;
  const open = box.index + box[0].length;
  if (response[open] !== "{") {
    const word = /^[^\s$]+/.exec(response.slice(open));
    return word ? { begin: open, end: open + word[0].length } : undefined;
  }
  let depth = 0;
  for (let i = open; i < response.length; i++) {
    if (response[i] === "{") depth++;
    else if (response[i] === "}" && --depth === 0) return { begin: open + 1, end: i };
  }
  // Cut off in the middle of the box.
  return { begin: open + 1, end: response.length };
}

/** From what follows the phrase, on its line or below it, to the end of that line, or to a tag or special token that stands in it. */
function afterLast(response: string, phrase: RegExp): Span | undefined {
  const found = [...response.matchAll(phrase)].at(-1);
  if (!found) return undefined;
  const rest = response.slice(found.index + found[0].length);
  const begin = response.length - rest.trimStart().length;
  const length = response.slice(begin).search(/\n|<\/|<\|/);
  return { begin, end: length < 0 ? response.length : begin + length };
}

const NUMBER = /-?(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)(?:e[-+]?\d+)?(?:\/\d+)?%?/gi;

/**
 * The answer of a response, in the order of the Qwen2.5-Math evaluation: "final answer is $...$. I hope", the last \boxed,
 * "answer is", "final answer is", "答案是", the last number. `answer=`, which the sample pair writes, comes before
 * "answer is". What stands before </think> counts only when there is no answer behind it.
 * Source: METHODS 12, QwenLM/Qwen2.5-Math evaluation/parser.py, whose rules know no </think>.
 */
export function findAnswer(response: string): FoundAnswer {
  const close = response.lastIndexOf("</think>");
  const behind = close < 0 ? undefined : answerFrom(response, close + "</think>".length);
  return behind && behind.rule !== "none" ? behind : answerFrom(response, 0);
}

function answerFrom(response: string, from: number): FoundAnswer {
  const part = ascii(response.slice(from));
  const found = (rule: AnswerRule, span: Span): FoundAnswer => {
    const text = response.slice(from + span.begin, from + span.end);
    const begin = from + span.begin + text.length - text.trimStart().length;
    return { text: text.trim(), rule, begin, end: begin + text.trim().length };
  };
  const minerva = [...part.matchAll(/final answer is \$([^$]*)\$\. I hope/gi)].at(-1);
  if (minerva) {
    const begin = minerva.index + minerva[0].indexOf("$") + 1;
    return found("final answer is $…$", { begin, end: begin + minerva[1]!.length });
  }
  const boxed = lastBoxed(part);
  if (boxed) return found("boxed", boxed);
  const equals = afterLast(part, /\banswer\s*=/gi);
  if (equals) return found("answer=", equals);
  const said = afterLast(part, /he answer is:?/gi) ?? afterLast(part, /\banswer is:?/gi);
  if (said) return found(/final answer is:?$/i.test(part.slice(0, said.begin).trimEnd()) ? "final answer is" : "answer is", firstValue(part, said));
  const chinese = afterLast(part, /答案是[:：]?/g);
  if (chinese) return found("答案是", firstValue(part, chinese));
  const number = [...part.matchAll(NUMBER)].at(-1);
  return number ? found("last number", { begin: number.index, end: number.index + number[0].length }) : { text: "", rule: "none", begin: response.length, end: response.length };
}

/** Of a line, its first sentence; of that, what stands between dollars, \( \) or \[ \]. "$5 or $6" are sums of money. */
function firstValue(part: string, { begin, end }: Span): Span {
  const line = part.slice(begin, end);
  const stop = /\.(?=\s|$)|。/.exec(line);
  const sentence = stop ? line.slice(0, stop.index) : line;
  const math = /\$([^$]+)\$(?!\d)|\\\((.+?)\\\)|\\\[(.+?)\\\]/.exec(sentence);
  const inner = math?.[1] ?? math?.[2] ?? math?.[3];
  if (math && inner !== undefined) return { begin: begin + math.index + math[0].indexOf(inner), end: begin + math.index + math[0].indexOf(inner) + inner.length };
  return { begin, end: begin + sentence.length };
}

/** Units behind a number; those of one letter need a space before them, as 3m may be three times m. */
const UNITS = /(?:(?<![A-Za-z\\])\s*(?:degrees?|dollars?|euros?|cents?|units?|square|cubic|cm|mm|km|kg|met(?:er|re)s?|lit(?:er|re)s?|grams?|hours?|minutes?|seconds?|days?|weeks?|months?|years?|points?|people|miles?|feet|foot|inch(?:es)?)|\s+[mgs])(?![A-Za-z])(?:\^\{?[23]\}?|[²³])?\.?/gi;

/** The text of an answer without what does not change its meaning: spaces, dollars, units, \text, \left, thousands, emphasis, a last stop. */
export function normaliseAnswer(answer: string): string {
  let text = ascii(answer).replace(/\n/g, " ").replace(/^[\s*`]+|[\s*`\\.:;,!。]+$/g, "").replace(/^[a-zA-Z]\s*=\s*(?=\S)/, "");
  text = text.replace(/(?<!\\)\\(?:(?:left|right|quad|displaystyle)(?![A-Za-z])|[!,;: ])/g, "").replace(/\\[td]frac/g, "\\frac").replace(/\\(?:text|mathrm|mbox|textbf|mathbf)\{([^{}]*)\}/g, "$1");
  text = text.replace(/\^\{?\\circ\}?|°/g, "").replace(/\\?[$€£]/g, "").replace(/\\%|\s*\bper\s?cent\b/g, "%").replace(/\\\((.*)\\\)/g, "$1").replace(/\\\[(.*)\\\]/g, "$1").replace(/\\([{}])/g, "$1").trim();
  text = text.replace(UNITS, "").trim() || text;
  text = text.replace(/\{,\}/g, ",").replace(/\s+/g, " ").replace(/(?<!\d) | (?!\d+\/\d)/g, ""); // "1 1/2" is no 11/2
  text = text.replace(/\\frac(\d)/g, "\\frac{$1}").replace(/(\\frac\{[^{}]*\})(\d)/g, "$1{$2}").replace(/\\sqrt(\d)/g, "\\sqrt{$1}");
  if (/^[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?%?$/.test(text)) text = text.replaceAll(",", "");
  return text.replace(/[.,;:]+$/, "").replace(/^\{([^,]*)\}$/, "$1");
}

/** The value of an answer: a number, a fraction, a mixed number, a power of ten, a percentage (as written, without the sign); undefined for anything else. */
export function answerNumber(text: string): { value: number; percent: boolean } | undefined {
  const plain = normaliseAnswer(text);
  const percent = plain.endsWith("%");
  const value = valueOf(percent ? plain.slice(0, -1) : plain);
  return Number.isFinite(value) ? { value, percent } : undefined;
}

function valueOf(body: string): number {
  const fraction = /^([-+]?)(?:(\d+) ?)??(?:\\frac\{(-?[\d.]+)\}\{(-?[\d.]+)\}|(\d+(?:\.\d+)?)\/(-?\d+(?:\.\d+)?))$/.exec(body);
  if (fraction) return (fraction[1] === "-" ? -1 : 1) * (Number(fraction[2] ?? 0) + Number(fraction[3] ?? fraction[5]) / Number(fraction[4] ?? fraction[6]));
  const power = /^([-+]?[\d.]+)(?:\\times|\\cdot|×|\*|x)10\^(?:\{([-+]?\d+)\}|([-+]?\d+))$/.exec(body);
  if (power) return Number(`${power[1]}e${power[2] ?? power[3]}`);
  return /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(body) ? Number(body) : NaN;
}

const REL_TOL = 1e-4;
const near = (a: number, b: number): boolean => Math.abs(a - b) <= REL_TOL * Math.max(Math.abs(a), Math.abs(b));

/** Parts of a tuple, list or interval that are separated by commas outside of brackets; rows of a matrix, as tuples. */
function partsOf(text: string): string[] | undefined {
  const rows = /^\\begin\{([pbvBV]?matrix|array)\}(?:\{[lcr|]*\})?(.*)\\end\{\1\}$/.exec(text)?.[2];
  if (rows !== undefined) return rows.split("\\\\").filter(Boolean).map((row) => (row.includes("&") ? `(${row.replaceAll("&", ",")})` : row));
  const inner = /^[([{](.*)[)\]}]$/.exec(text)?.[1];
  if (inner === undefined || !inner.includes(",")) return undefined;
  const parts: string[] = [];
  let depth = 0;
  let begin = 0;
  for (let i = 0; i <= inner.length; i++) {
    const c = inner[i];
    if (c === undefined || (c === "," && depth === 0)) {
      parts.push(inner.slice(begin, i));
      begin = i + 1;
    } else if ("([{".includes(c)) depth++;
    else if (")]}".includes(c)) depth--;
  }
  return parts;
}

/** The letter of a choice at the beginning, "(B) 5" or "option B"; undefined where several letters stand there alone. */
function choiceOf(answer: string): string | undefined {
  const text = ascii(answer).replace(/\\(?:text|mathrm|textbf|mathbf)\{([^{}]*)\}/g, "$1").replace(/[*$`]/g, "").trim();
  const letters = text.match(/(?<![A-Za-z\\])[A-E](?![A-Za-z])/g) ?? [];
  return letters.length === 1 ? /^(?:option|choice)?\s*\(?([A-E])(?:$|[).:,\s])/i.exec(text)?.[1] : undefined;
}

export type EqualityRule = "same text" | "same choice" | "same number" | "same number, as a percentage" | "same parts" | "different";

/**
 * Whether an answer is the reference: the same text after normalisation, the same choice letter, the same number within 1e-4
 * relative (also 1/100 and 100 times the reference, as the evaluation of Qwen2.5-Math does for percentages), or parts of a
 * tuple or matrix that are equal in turn. No algebra: 2x+1 and 1+2x are different here.
 */
export function compareAnswers(answer: string, reference: string): EqualityRule {
  const [a, b] = [normaliseAnswer(answer), normaliseAnswer(reference)];
  if (a === "" || b === "") return "different";
  if (a.toLowerCase() === b.toLowerCase()) return "same text";
  if (/^[A-E]$/.test(b) && choiceOf(answer) === b) return "same choice";
  const [x, y] = [answerNumber(answer), answerNumber(reference)];
  if (x && y) {
    if (near(x.value, y.value)) return x.percent === y.percent ? "same number" : "same number, as a percentage";
    return near(x.value, y.value / 100) || near(x.value, y.value * 100) ? "same number, as a percentage" : "different";
  }
  const [p, q] = [partsOf(a), partsOf(b)];
  return p && q && p.length === q.length && p.every((part, i) => compareAnswers(part, q[i]!) !== "different") ? "same parts" : "different";
}

export { reflects } from "../core/reflection";
