import { StudioError } from "../../core/errors";

/** What a study found. Throws "storage-full" where the pass that found it is gone. */
export function studied<T>(found: T | undefined, name: string): T {
  if (found === undefined) throw new StudioError("storage-full", `Merging "${name}": what the pass found of it is no longer stored. Run the pass again.`, { title: "The pass is gone", where: name, todo: "Run the pass again.", passGone: true });
  return found;
}

/** Inner products of one row or column from those of all: `lines` holds one array per pair (i, j), i <= j. */
export function gramOfLine(lines: readonly Float64Array[], line: number): number[][] {
  const count = (Math.sqrt(8 * lines.length + 1) - 1) / 2;
  const matrix = Array.from({ length: count }, () => new Array<number>(count).fill(0));
  let pair = 0;
  for (let i = 0; i < count; i++) for (let j = i; j < count; j++) matrix[i]![j] = matrix[j]![i] = lines[pair++]![line]!;
  return matrix;
}

/** Inner products of the models alone: what was asked of the models begins with the base. */
export const withoutBase = (gram: readonly number[][]): number[][] => gram.slice(1).map((row) => row.slice(1));
