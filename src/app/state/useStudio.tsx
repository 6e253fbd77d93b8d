import { createContext, useContext, type ReactNode } from "react";
import { useStore } from "zustand";
import type { StudioStore } from "./store";
import type { StudioState } from "./types";

export { useShallow } from "zustand/shallow";

const StudioContext = createContext<StudioStore | undefined>(undefined);

export function StudioProvider({ store, children }: { store: StudioStore; children: ReactNode }) {
  return <StudioContext value={store}>{children}</StudioContext>;
}

/** The store itself, for handlers that read the state when they run. */
export function useStudioStore(): StudioStore {
  const store = useContext(StudioContext);
  if (!store) throw new Error("useStudio is called outside StudioProvider");
  return store;
}

/** One narrow selection; wrap the selector in `useShallow` for a tuple or an object. */
export function useStudio<T>(selector: (state: StudioState) => T): T {
  return useStore(useStudioStore(), selector);
}
