import { Template } from "@huggingface/jinja";

/** A node of a parsed template, as far as it is looked at here. */
interface Node {
  type: string;
  [part: string]: unknown;
}

const isNode = (value: unknown): value is Node => typeof (value as Node | null)?.type === "string";
const listOf = (value: unknown): Node[] => (Array.isArray(value) ? value.filter(isNode) : []);

/** What str.strip, lstrip and rstrip of Python do with characters given. */
const STRIPS: Readonly<Record<string, (text: string, characters: string) => string>> = {
  strip: (text, characters) => STRIPS.rstrip!(STRIPS.lstrip!(text, characters), characters),
  lstrip: (text, characters) => {
    const all = [...text];
    const first = all.findIndex((c) => !characters.includes(c));
    return first < 0 ? "" : all.slice(first).join("");
  },
  rstrip: (text, characters) => [...text].slice(0, [...text].findLastIndex((c) => !characters.includes(c)) + 1).join(""),
};
/** A name that no template has. */
const global = (method: string): string => `\u0000${method}`;

/** `text.lstrip(characters)` becomes a call of ours, in place: the library strips all white space, whatever is given. */
function mendStrips(node: Node): void {
  const callee = node.callee as Node | undefined;
  const property = callee?.property as Node | undefined;
  const method = property?.value;
  if (node.type === "CallExpression" && callee?.type === "MemberExpression" && callee.computed !== true && typeof method === "string" && Object.hasOwn(STRIPS, method) && listOf(node.args).length === 1) {
    node.args = [callee.object, ...listOf(node.args)];
    node.callee = { ...property, value: global(method) };
  }
  for (const part of Object.values(node)) for (const inner of Array.isArray(part) ? part : [part]) if (isNode(inner)) mendStrips(inner);
}

/**
 * Throws where a loop is left, or its next turn begun, after the turn has written something: the library forgets that text.
 * Answers whether these statements write.
 */
function checkLoops(statements: readonly Node[], wrote = false): boolean {
  for (const node of statements) {
    if ((node.type === "Break" || node.type === "Continue") && wrote) throw new Error(`it writes text in a turn of a loop before "${node.type.toLowerCase()}", which is not rendered exactly here.`);
    else if (node.type === "If") {
      const [body, alternate] = [checkLoops(listOf(node.body), wrote), checkLoops(listOf(node.alternate), wrote)];
      wrote = body || alternate;
    } else if (node.type === "For") wrote = checkLoops(listOf(node.body)) || checkLoops(listOf(node.defaultBlock)) || wrote;
    else if (node.type === "Set" || node.type === "Macro") checkLoops(listOf(node.body));
    else if (node.type !== "Comment" && node.type !== "Break" && node.type !== "Continue" && !(node.type === "StringLiteral" && node.value === "")) wrote = true;
  }
  return wrote;
}

/**
 * A template that renders as jinja2 would, with what the library (@huggingface/jinja 0.5) computes differently mended or refused; found by
 * comparing both over templates of known models. Throws what the library throws.
 */
export function exactTemplate(text: string): (context: Record<string, unknown>) => string {
  const template = new Template(text);
  const program = template.parsed as unknown as Node;
  checkLoops(listOf(program.body));
  mendStrips(program);
  const strips = Object.fromEntries(Object.entries(STRIPS).map(([method, strip]) => [global(method), (value: unknown, characters: unknown) => {
    if (typeof value !== "string" || typeof characters !== "string") throw new Error(`"${method}" takes text.`);
    return strip(value, characters);
  }]));
  return (context) => template.render({ ...strips, ...context });
}
