import type { StateCreator } from "zustand";
import type { EngineApi } from "../../engine/api";
import type { StudioState } from "./types";

/** What the slices share besides the state: the engine, the recipe's history, and work put off to the next frame. */
export interface SliceEnv {
  engine: EngineApi;
  history: { undo(): void; redo(): void; pause(): void; resume(): void; clear(): void };
  /** Unique within the visit. */
  jobId(kind: string): string;
  now(): number;
  /** Runs `work` once, after the frame; a second call before it ran replaces it. */
  nextFrame(key: string, work: () => void): void;
}

export type Slice<T> = (set: Parameters<StateCreator<StudioState>>[0], get: () => StudioState, env: SliceEnv) => T;

export function frameScheduler(): SliceEnv["nextFrame"] {
  const pending = new Map<string, () => void>();
  const wait = typeof requestAnimationFrame === "function" ? (run: () => void) => void requestAnimationFrame(run) : (run: () => void) => void setTimeout(run, 0);
  return (key, work) => {
    const waiting = pending.has(key);
    pending.set(key, work);
    if (waiting) return;
    wait(() => {
      const latest = pending.get(key);
      pending.delete(key);
      latest?.();
    });
  };
}
