import { useMemo } from "react";
import { contenders, setKey } from "../../state/contenders";
import { useShallow, useStudio } from "../../state/useStudio";
import type { Contender } from "../../state";

/** Who answers, drawn anew only when something in the list may have changed. */
export function useContenders(): Contender[] {
  const parts = useStudio(useShallow((s) => [s.models, s.baseId, s.modelIds, s.recipe, s.exportPlan, s.methods, s.runs, s.extraColumns] as const));
  const [models, baseId, modelIds, recipe, exportPlan, methods, runs, extraColumns] = parts;
  return useMemo(() => contenders({ models, baseId, modelIds, recipe, exportPlan, methods, runs, extraColumns }), [models, baseId, modelIds, recipe, exportPlan, methods, runs, extraColumns]);
}

/** Results of this visit on the problems that are chosen now, by contender; those at work with what is judged so far. */
export function useResults() {
  const key = useStudio(setKey);
  const [evaluated, trying, live] = useStudio(useShallow((s) => [s.evaluated, s.trying, s.liveItems]));
  return useContenders().map((c) => {
    const done = evaluated[c.key];
    const working = trying?.kind === "evaluate" && trying.key === c.key;
    return { contender: c, result: working ? { items: live } : done?.score.set === key ? done : undefined };
  });
}
