export { createStudioStore, type StudioStore } from "./store";
export { StudioProvider, useStudio, useStudioStore } from "./useStudio";
export { canOpen, pairState, STEPS } from "./steps";
export type * from "./types";
