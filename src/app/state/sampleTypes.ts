import type { Recipe } from "../../core/recipe";
import type { StepId } from "./types";

/** The guided run of the sample pair: one click, and it copies, checks, measures and evaluates. */
export interface SampleRun {
  /** What it does now, or did when it ended. */
  part: "copy" | "check" | "measure" | "evaluate";
  /** `stopped`: by a person; `failed`: a card says why; `left`: pair or recipe were changed; `no-gpu`: nothing can answer. */
  state: "running" | "done" | "stopped" | "failed" | "left" | "no-gpu";
  /** The page goes along with the parts, until the person goes elsewhere. */
  follows: boolean;
  /** Where the run has put the page. */
  at: StepId;
  /** Whose numbers these are: the default of the pair. */
  recipe?: Recipe;
  tookMs?: number;
  /** The page has shown its results. */
  seen?: boolean;
}

export interface SampleSlice {
  sampleRun: SampleRun | undefined;
  /** From the click to accuracy and length of base, fine-tuned and merged. */
  runSample(): Promise<void>;
  /** The pair in both roles, measured, and no further: ends on Shape. */
  loadSample(): Promise<void>;
  /** Ends the run and what it has in work; what is finished stays. */
  stopSample(): Promise<void>;
  /** Puts the word on a run that has ended away. */
  dismissSample(): void;
}
