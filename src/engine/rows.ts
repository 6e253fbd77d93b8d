import { StudioError } from "../core/errors";
import type { Recipe, RowChoice } from "../core/recipe";
import type { Checkpoint } from "../core/tensors";
import { specialTokenClashes, tokenizerFacts } from "../analysis/preflightTokens";
import type { RowOp } from "../export/mergeTensor";
import type { PassOutput } from "../fisher/measure";

/** Neighbouring ids of one choice as one stretch of rows; ids that are mixed have none. */
export function joinRows(choices: ReadonlyMap<number, RowChoice>): RowOp[] {
  const rows: RowOp[] = [];
  let last: RowChoice | undefined;
  for (const [id, choice] of [...choices].sort(([a], [b]) => a - b)) {
    const before = rows.at(-1);
    if (choice !== "mix" && before?.row1 === id && last === choice) before.row1++;
    else if (choice !== "mix") rows.push({ row0: id, row1: id + 1, op: choice === "base" ? { kind: "copy" } : { kind: "copy", source: 0 } });
    last = choice;
  }
  return rows;
}

/** Rows that are a model's own instead of merged: those of ids with two meanings as `clashRows` says, and of each id in `rows` (METHODS 8.4). */
export async function ownRows({ recipe, base, experts }: { recipe: Recipe; base: Checkpoint; experts: Checkpoint[] }): Promise<RowOp[]> {
  const { clashRows, rows = {} } = recipe.reconciliation;
  const choices = new Map<number, RowChoice>();
  if (clashRows !== "mix") for (const { id } of specialTokenClashes(await tokenizerFacts(base), await tokenizerFacts(experts[0]!))) choices.set(id, clashRows);
  for (const [id, choice] of Object.entries(rows)) choices.set(Number(id), choice);
  return joinRows(choices);
}

/** The part of these rows that a merged tensor has, if it has a row for each token id. */
export function rowsOf(output: PassOutput, rows: readonly RowOp[]): RowOp[] {
  if (!output.role.isEmbedding && !output.role.isHead) return [];
  const count = output.shape[0]!;
  return rows.flatMap((row) => (row.row0 < count ? [{ ...row, row1: Math.min(row.row1, count) }] : []));
}

/** Throws "bad-recipe" for a choice in `rows` that is none, and for an id that some model has no row for: there is nothing to choose from. */
export function checkRows(recipe: Recipe, outputs: readonly PassOutput[]): void {
  for (const [id, choice] of Object.entries(recipe.reconciliation.rows ?? {})) {
    if (["mix", "base", "finetuned"].includes(choice)) continue;
    const path = `reconciliation.rows.${id}`;
    throw new StudioError("bad-recipe", `Reading the recipe: ${path} is ${JSON.stringify(choice)}, expected one of mix, base, finetuned.`, { title: "No such choice", where: path, path, found: JSON.stringify(choice), expected: "mix, base or finetuned" });
  }
  const counts = outputs.filter((o) => o.role.isEmbedding || o.role.isHead).map((o) => o.shape[0]!);
  const least = Math.min(...counts);
  const beyond = Object.keys(recipe.reconciliation.rows ?? {}).find((id) => !(Number(id) < least));
  if (beyond === undefined || counts.length === 0) return;
  const path = `reconciliation.rows.${beyond}`;
  throw new StudioError("bad-recipe", `Reading the recipe: ${path} chooses a row, but only the ids from 0 to ${least - 1} have one in every model. Leave it out.`, { title: "No row to choose", where: path, path, found: beyond, expected: `an id from 0 to ${least - 1}`, todo: "Leave it out." });
}
