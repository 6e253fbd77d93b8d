import { useStore, type StoreApi } from "zustand";
import type { StudioStore } from "../../state/store";

interface Temporal {
  pastStates: unknown[];
  futureStates: unknown[];
}
const none: Temporal = { pastStates: [], futureStates: [] };
const empty = { getState: () => none, getInitialState: () => none, subscribe: () => () => undefined, setState: () => undefined } as StoreApi<Temporal>;

/** How many recipe changes can be undone and redone; the undo store rides on the studio's own. */
export function useHistoryDepth(store: StudioStore): { past: number; future: number } {
  const temporal = (store as StudioStore & { temporal?: StoreApi<Temporal> }).temporal ?? empty;
  const past = useStore(temporal, (t) => t.pastStates.length);
  const future = useStore(temporal, (t) => t.futureStates.length);
  return { past, future };
}
