import { guarded } from "../formats/finite";
import type { RecipeContext } from "./context";

/** A context whose models refuse to give NaN or infinity, by name: what a pass measures is meant to be merged. */
export function guardedContext<C extends Pick<RecipeContext, "base" | "experts" | "method">>(context: C, signal: AbortSignal): C {
  const doing = `Measuring for ${context.method.label}`;
  return { ...context, base: guarded(context.base, doing, "the base", signal), experts: context.experts.map((expert) => guarded(expert, doing, "the fine-tuned model", signal)) };
}
