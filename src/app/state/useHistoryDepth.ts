import { useStore } from "zustand";
import type { StudioStore } from "./store";

/** How many recipe changes can be undone and redone. */
export function useHistoryDepth(store: StudioStore): { past: number; future: number } {
  const past = useStore(store.temporal, (t) => t.pastStates.length);
  const future = useStore(store.temporal, (t) => t.futureStates.length);
  return { past, future };
}
