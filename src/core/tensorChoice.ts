import type { TensorChoice } from "./recipe";

const expressions = new Map<string, RegExp>();

/** Whether a whole tensor name fits a pattern, in which `*` stands for any text, also none. */
export function fitsPattern(pattern: string, name: string): boolean {
  let expression = expressions.get(pattern);
  if (!expression) {
    expression = new RegExp(`^${pattern.split("*").map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")).join(".*")}$`, "s");
    expressions.set(pattern, expression);
  }
  return expression.test(name);
}

/** Whether a tensor is merged: it fits a pattern of `include`, if there are any, and none of `exclude`. */
export function isChosen({ include = [], exclude = [] }: TensorChoice, name: string): boolean {
  return (include.length === 0 || include.some((p) => fitsPattern(p, name))) && !exclude.some((p) => fitsPattern(p, name));
}

/** Patterns of a choice that fit none of the names, with the key they stand under. */
export function idlePatterns(choice: TensorChoice, names: readonly string[]): { key: "include" | "exclude"; pattern: string }[] {
  return (["include", "exclude"] as const).flatMap((key) => (choice[key] ?? []).filter((pattern) => !names.some((name) => fitsPattern(pattern, name))).map((pattern) => ({ key, pattern })));
}

/** A choice in words: "include *mlp*, *attn*; exclude *norm*". */
export const choiceText = (choice: TensorChoice): string => (["include", "exclude"] as const).flatMap((key) => ((choice[key] ?? []).length > 0 ? `${key} ${choice[key]!.join(", ")}` : [])).join("; ");
