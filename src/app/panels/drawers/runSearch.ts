import type { RunRecord } from "../../state";
import { symbolOf } from "../../state/runs";
import { bestCell } from "../../state/swept";

const CONDITION = /^(\p{L}+)(<=|>=|<|>|=)([-−]?\d*\.?\d+)(%?)$/u;
const HOLDS: Record<string, (a: number, b: number) => boolean> = { "<": (a, b) => a < b, ">": (a, b) => a > b, "<=": (a, b) => a <= b, ">=": (a, b) => a >= b, "=": (a, b) => a === b };

/** The numbers that a name stands for in a run: an option by its name or symbol, accuracy in percent, mean tokens. */
function numbers(run: RunRecord, name: string): number[] {
  const { sweep } = run;
  const summaries = [...(run.scores ?? []).map((s) => s.summary), ...(sweep ? [bestCell(sweep)?.summary].filter((s) => s !== undefined) : [])];
  if (name === "accuracy") return summaries.map((s) => 100 * s.accuracy.mean);
  if (name === "tokens") return summaries.map((s) => s.length.mean);
  const named = (param: string): boolean => param.toLowerCase() === name || symbolOf(param).toLowerCase() === name;
  const swept = sweep ? [sweep.form.across, ...(sweep.form.down ? [sweep.form.down] : [])].filter((axis) => named(axis.param)) : [];
  if (swept.length > 0) return swept.flatMap((axis) => axis.values);
  return Object.entries(run.recipe.params).flatMap(([param, value]) => (named(param) && typeof value === "number" ? [value] : []));
}

/** Whether a run has every word of a search, and a number for every condition in it, such as "r>0.1" or "accuracy>=90%". `text`: what words are looked for in. */
export function runMatches(run: RunRecord, text: string, search: string): boolean {
  const words = text.toLowerCase();
  return search.toLowerCase().split(/\s+/).filter(Boolean).every((term) => {
    const [, name, sign, value] = CONDITION.exec(term) ?? [];
    if (name === undefined) return words.includes(term);
    return numbers(run, name).some((n) => HOLDS[sign!]!(n, Number(value!.replace("−", "-"))));
  });
}
