import { useMemo } from "react";
import type { StudioState } from "../../state/types";
import { useShallow, useStudio } from "../../state/useStudio";

/** Layers of the base; 0 while they are not known. */
export const useLayers = (): number => useStudio((s: StudioState) => s.models.find((m) => m.id === s.recipe?.base.id)?.facts.layers ?? 0);

/** Names of all tensors of the result, merged or left to the base; empty until the shape is known. */
export function useTensorNames(): readonly string[] {
  const { tensors, leftOut } = useStudio(useShallow((s) => ({ tensors: s.shape?.experts[0]?.tensors, leftOut: s.shape?.leftOut })));
  return useMemo(() => [...(tensors ?? []).map((t) => t.name), ...(leftOut ?? [])], [tensors, leftOut]);
}
