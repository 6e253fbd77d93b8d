import type { StepId, StudioState } from "./types";

export const STEPS: readonly { id: StepId; label: string }[] = [
  { id: "load", label: "Load" },
  { id: "check", label: "Check" },
  { id: "shape", label: "Shape" },
  { id: "try", label: "Try" },
  { id: "save", label: "Save" },
];

type Facts = Pick<StudioState, "models" | "baseId" | "modelIds" | "preflight" | "recipe" | "shape" | "shownFinished">;

/** Whether base and at least one fine-tuned model are known, and whether all of them are wholly stored. */
export function pairState(s: Pick<StudioState, "models" | "baseId" | "modelIds">): { known: boolean; ready: boolean } {
  const chosen = [s.baseId, ...s.modelIds].map((id) => s.models.find((m) => m.id === id));
  const known = s.baseId !== undefined && s.modelIds.length > 0 && chosen.every((m) => m !== undefined);
  return { known, ready: known && chosen.every((m) => m?.state === "ready") };
}

/** A step opens when what it shows exists. Try opens with Shape: base and fine-tuned can answer before anything is measured. */
export function canOpen(s: Facts, step: StepId): boolean {
  if (step === "load") return true;
  const pair = pairState(s);
  if (step === "check") return pair.known;
  if (step === "save" && s.shownFinished !== undefined) return true;
  const shape = pair.ready && s.preflight?.verdict === "ok" && s.recipe !== undefined;
  if (step === "shape" || step === "try") return shape;
  return shape && s.shape?.complete === true && !s.shape.needsPass;
}
