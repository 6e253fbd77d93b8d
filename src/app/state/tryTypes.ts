import type { ProblemSet } from "../../core/problems";
import type { Recipe } from "../../core/recipe";
import type { EvaluatedItem, EvaluationSummary, MeanInterval, TryAnswer, TryFacts, TryModel, TryOptions } from "../../core/trying";

export type TryRole = "base" | "tuned" | "merged" | "other";

/** Who answers: a column of Compare, a row of Evaluate. */
export interface Contender {
  /** "model m1", "merge", "run r3": the same from one render to the next. */
  key: string;
  role: TryRole;
  name: string;
  /** Under the name: the recipe's hash and options. */
  detail: string;
  model: TryModel;
}

/** What a person chose; what is undefined follows the models. */
export interface TryForm {
  sampling: "greedy" | "sample";
  temperature: number;
  topP: number;
  topK: number;
  repetitionPenalty: number;
  seed: number;
  maxTokens: number | undefined;
  template: "own" | "raw";
}

export interface ColumnAnswer {
  state: "waiting" | "writing" | "done" | "stopped" | "failed";
  text: string;
  tokens: number;
  /** Tokens of the thinking with its end tag, or so far where it has not ended. */
  thinkTokens: number;
  /** The recipe that answered, of a merge. */
  recipe?: Recipe;
  /** Tokens per second so far, once there is enough to tell. */
  rate?: number;
  answer?: TryAnswer;
  fault?: string;
}

/** An evaluation in numbers alone, small enough to be remembered. */
export interface TryScore {
  time: number;
  /** Problems that can be compared: the set's key and how many of it. */
  set: string;
  /** Name of the set, for words. */
  problems: string;
  options: Omit<TryOptions, "system" | "stopIds">;
  samples: number;
  summary: EvaluationSummary;
  majority: { n: number; accuracy: MeanInterval }[];
}

/** Of this visit: the answers behind a score. */
export interface EvaluatedNow {
  score: TryScore;
  recipe?: Recipe;
  items: EvaluatedItem[];
}

/** One answering model at a time. */
export interface TryJob {
  kind: "compare" | "evaluate" | "sweep" | "probe";
  jobId: string;
  /** Of the contender at work, and how many come after it. */
  key: string;
  after: number;
  stopping: boolean;
}

/** A run of the history, a stored model, or a recipe that is in neither, by its method. */
export type ExtraColumn = { kind: "run" | "model"; id: string } | { kind: "recipe"; id: string; recipe: Recipe };

export interface TrySlice {
  tryTab: "compare" | "evaluate" | "probe";
  setTryTab(tab: TrySlice["tryTab"]): void;
  tryForm: TryForm;
  setTryForm(change: Partial<TryForm>): void;
  /** What each contender needs and allows under a GPU budget; `refused`: why it cannot answer. `recipe`: of a merge, the one that was asked about. */
  tryFacts: Record<string, { recipe?: Recipe; gpuBytes?: number; value?: TryFacts; refused?: string }>;
  refreshTryFacts(): Promise<void>;
  trying: TryJob | undefined;
  /** Ends the model at work and starts none after it; what is finished stays. */
  stopTrying(): Promise<void>;
  /** Stops, and gives back the GPU memory that models hold for the next question. */
  leaveTry(): Promise<void>;
  /** Which earlier runs the charts draw: all that were evaluated alike, those that are pinned or chosen, or none. */
  overlay: "all" | "chosen" | "none";
  setOverlay(overlay: TrySlice["overlay"]): void;
  /** Runs that were chosen in the history for the charts. */
  charted: string[];
  chartRuns(ids: string[]): void;

  /** Columns beside base, fine-tuned and merged. */
  extraColumns: ExtraColumn[];
  addColumn(kind: "run" | "model", id: string): void;
  /** The pair under another method, as that begins. */
  addMethodColumn(method: string): Promise<void>;
  removeColumn(key: string): void;

  prompt: string;
  setPrompt(prompt: string): void;
  /** The last that were asked, the latest first. */
  prompts: string[];
  forgetPrompt(prompt: string): void;
  answers: Record<string, ColumnAnswer>;
  compare(): Promise<void>;

  problemSet: ProblemSet | undefined;
  /** The pair came with the page, and so do problems for it. */
  takeSampleProblems(): Promise<void>;
  giveProblems(file: File): Promise<void>;
  /** Undefined: 60, or all where there are fewer. */
  problemCount: number | undefined;
  setProblemCount(count: number | undefined): void;
  /** Answers drawn for each problem. */
  samples: number;
  setSamples(samples: number): void;
  /** Judged so far, of the contender at work. */
  liveItems: EvaluatedItem[];
  evaluated: Record<string, EvaluatedNow>;
  /** Of stored models, by id; those of recipes lie with their run. */
  modelScores: Record<string, TryScore[]>;
  /** `wanted` is asked once the models are known and before the first of them answers. */
  evaluate(wanted?: () => boolean): Promise<void>;
}
