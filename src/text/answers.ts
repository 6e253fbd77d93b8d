/** How an answer was found, for who wants to see why it counted. */
export type AnswerRule = "final answer is $…$" | "boxed" | "answer=" | "answer is" | "final answer is" | "答案是" | "last number" | "none";

export interface FoundAnswer {
  text: string;
  rule: AnswerRule;
  /** Where it stands in the response. */
  begin: number;
  end: number;
}

/** The braces that belong to the last \boxed or \fbox, matched; "\boxed 5" takes the rest up to a dollar sign. */
function lastBoxed(response: string): { begin: number; end: number } | undefined {
  const at = Math.max(response.lastIndexOf("\\boxed"), response.lastIndexOf("\\fbox"));
  if (at < 0) return undefined;
  const open = response.indexOf("{", at);
  const word = /^\\(?:boxed|fbox)\s+([^\s$]+)/.exec(response.slice(at));
  if (word) return { begin: at + word[0].length - word[1]!.length, end: at + word[0].length };
  if (open < 0) return undefined;
  let depth = 0;
  for (let i = open; i < response.length; i++) {
    if (response[i] === "{") depth++;
    else if (response[i] === "}" && --depth === 0) return { begin: open + 1, end: i };
  }
  // Cut off in the middle of the box.
  return { begin: open + 1, end: response.length };
}

const afterLast = (response: string, phrase: RegExp): { begin: number; end: number } | undefined => {
  const found = [...response.matchAll(phrase)].at(-1);
  if (!found) return undefined;
  const begin = found.index + found[0].length;
  // To the end of the line, or to a tag or special token that stands in it.
  const length = response.slice(begin).search(/\n|<\/|<\|/);
  return { begin, end: length < 0 ? response.length : begin + length };
};

const NUMBER = /-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:\/\d+)?%?/g;

/**
 * The answer of a response, in the order of the Qwen2.5-Math evaluation: "final answer is $...$. I hope", the last \boxed,
 * "answer is", "final answer is", "答案是", the last number. `answer=`, which the sample pair writes, comes before
 * "answer is". What stands before </think> counts only when nothing stands behind it.
 * Source: METHODS 12, QwenLM/Qwen2.5-Math evaluation/parser.py, whose rules know no </think>.
 */
export function findAnswer(response: string): FoundAnswer {
  const close = response.lastIndexOf("</think>");
  const from = close >= 0 && response.slice(close + 8).trim() !== "" ? close + 8 : 0;
  const part = response.slice(from);
  const found = (rule: AnswerRule, span: { begin: number; end: number }): FoundAnswer => {
    const text = part.slice(span.begin, span.end);
    const lead = text.length - text.trimStart().length;
    return { text: text.trim(), rule, begin: from + span.begin + lead, end: from + span.begin + lead + text.trim().length };
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
  if (said) return found(/final answer is:?$/i.test(part.slice(0, said.begin)) ? "final answer is" : "answer is", firstValue(part, said));
  const chinese = afterLast(part, /答案是[:：]?/g);
  if (chinese) return found("答案是", firstValue(part, chinese));
  const number = [...part.matchAll(NUMBER)].at(-1);
  return number ? found("last number", { begin: number.index, end: number.index + number[0].length }) : { text: "", rule: "none", begin: response.length, end: response.length };
}

/** Of a sentence, what stands between dollars, else up to the full stop that ends it. */
function firstValue(part: string, { begin, end }: { begin: number; end: number }): { begin: number; end: number } {
  const text = part.slice(begin, end);
  const math = /\$([^$]+)\$/.exec(text);
  if (math) return { begin: begin + math.index + 1, end: begin + math.index + 1 + math[1]!.length };
  const stop = /\.(?=\s|$)/.exec(text);
  return { begin, end: stop ? begin + stop.index : end };
}

const UNITS = /\s*(?:degrees?|dollars?|cents?|units?|square|cubic|cm|mm|km|m|kg|g|hours?|minutes?|seconds?|days?|years?|points?|people|miles?|feet|inches)\b\.?/gi;

/** The text of an answer without what does not change its meaning: spaces, dollars, units, \text, \left, thousands, a last stop. */
export function normaliseAnswer(answer: string): string {
  let text = answer.trim().replace(/\n/g, "").replace(/^[a-zA-Z]\s*=\s*(?=\S)/, "").replace(/[.:;,!]+$/, "");
  text = text.replace(/\\(?:left|right|!|,|;|:|quad|displaystyle)/g, "").replace(/\\[td]frac/g, "\\frac").replace(/\\(?:text|mathrm|mbox|textbf|mathbf)\{([^{}]*)\}/g, "$1");
  text = text.replace(/\^\{?\\circ\}?|°/g, "").replace(/\\?\$/g, "").replace(/\\%/g, "%").replace(/\\\((.*)\\\)/g, "$1");
  text = text.replace(/\\frac(\d)(\d)/g, "\\frac{$1}{$2}").replace(/\\sqrt(\d)/g, "\\sqrt{$1}");
  text = text.replace(UNITS, "").replace(/(\d),(?=\d{3}(?!\d))/g, "$1").replace(/\s+/g, "");
  return text.replace(/^\{(.*)\}$/, "$1");
}

/** The value of an answer: a number, a fraction, a percentage (as written, without the sign); undefined for anything else. */
export function answerNumber(text: string): { value: number; percent: boolean } | undefined {
  const plain = normaliseAnswer(text);
  const percent = plain.endsWith("%");
  const body = percent ? plain.slice(0, -1) : plain;
  const fraction = /^(-?)\\frac\{(-?[\d.]+)\}\{(-?[\d.]+)\}$/.exec(body) ?? /^(-?)(\d+(?:\.\d+)?)\/(-?\d+(?:\.\d+)?)$/.exec(body);
  const value = fraction ? (fraction[1] === "-" ? -1 : 1) * (Number(fraction[2]) / Number(fraction[3])) : /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(body) ? Number(body) : NaN;
  return Number.isFinite(value) ? { value, percent } : undefined;
}

const REL_TOL = 1e-4;
const near = (a: number, b: number): boolean => Math.abs(a - b) <= REL_TOL * Math.max(Math.abs(a), Math.abs(b));

/** Parts of a tuple, list or interval that are separated by commas outside of brackets. */
function partsOf(text: string): string[] | undefined {
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

export type EqualityRule = "same text" | "same choice" | "same number" | "same number, as a percentage" | "same parts" | "different";

/**
 * Whether an answer is the reference: the same text after normalisation, the same choice letter, the same number within 1e-4
 * relative (also 1/100 and 100 times the reference, as the evaluation of Qwen2.5-Math does for percentages), or parts of a
 * tuple that are equal in turn. No algebra: 2x+1 and 1+2x are different here.
 */
export function compareAnswers(answer: string, reference: string): EqualityRule {
  const [a, b] = [normaliseAnswer(answer), normaliseAnswer(reference)];
  if (a === "" || b === "") return "different";
  if (a.toLowerCase() === b.toLowerCase()) return "same text";
  if (/^[A-E]$/.test(b) && /^\(?([A-E])\)?(?:[.:)].*)?$/.exec(a)?.[1] === b) return "same choice";
  const [x, y] = [answerNumber(answer), answerNumber(reference)];
  if (x && y) {
    if (near(x.value, y.value)) return x.percent === y.percent ? "same number" : "same number, as a percentage";
    return near(x.value, y.value / 100) || near(x.value, y.value * 100) ? "same number, as a percentage" : "different";
  }
  const [p, q] = [partsOf(a), partsOf(b)];
  return p && q && p.length === q.length && p.every((part, i) => compareAnswers(part, q[i]!) !== "different") ? "same parts" : "different";
}

export { reflects } from "../core/reflection";
