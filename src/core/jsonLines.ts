/** Why a line cannot be used: the sentence without its end, what to do, and the line. */
export type RefuseLine = (found: string, todo: string, line?: number) => never;

/** The objects of a .jsonl text, one a line, with the number of their line; blank lines are passed over. Calls `refuse` for anything else. */
export function jsonObjects(content: string, refuse: RefuseLine): { line: number; row: Record<string, unknown> }[] {
  const rows: { line: number; row: Record<string, unknown> }[] = [];
  if (/^\s*\[/.test(content)) refuse("the file is one JSON list", "Write each object of the list on a line of its own, without commas between them.");
  for (const [i, text] of content.split("\n").entries()) {
    if (text.trim() === "") continue;
    let row: unknown;
    try {
      row = JSON.parse(text);
    } catch (error) {
      refuse(`line ${i + 1} is no valid JSON (${(error as Error).message})`, "Each line has to be one JSON object.", i + 1);
    }
    if (typeof row !== "object" || row === null || Array.isArray(row)) refuse(`line ${i + 1} is ${Array.isArray(row) ? "a list" : row === null ? "null" : `a ${typeof row}`}`, "Each line has to be one JSON object.", i + 1);
    rows.push({ line: i + 1, row: row as Record<string, unknown> });
  }
  if (rows.length === 0) refuse("the file is empty", "Give a file with one JSON object per line.");
  return rows;
}
