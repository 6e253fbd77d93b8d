import type { EvaluationSummary, Probe } from "../../core/trying";
import type { TryScore } from "./tryTypes";
import type { RunRecord } from "./types";

/** Values that one recipe number takes. */
export interface SweepAxis {
  param: string;
  values: number[];
}

export interface SweepForm {
  across: SweepAxis;
  /** Absent where the method has one number, or one is enough. */
  down?: SweepAxis;
  over: "problems" | "prompt";
  /** So many of the set. */
  problems: number;
  /** The set of a sweep that was restored, while none is chosen. */
  set?: { key: string; name: string };
}

/** A sweep in numbers alone, small enough to be remembered. */
export interface SweepRecord {
  form: SweepForm;
  /** What every cell was asked: a problem set by its key and name, or a prompt. */
  asked: { set: string; name: string } | { prompt: string };
  options: TryScore["options"];
  /** The finished ones. */
  cells: SweptCell[];
}

export interface SweptCell {
  row: number;
  column: number;
  recipeHash?: string;
  /** Over problems. */
  summary?: EvaluationSummary;
  /** Mean length, or that of the one answer. */
  tokens: number;
}

/** What one recipe came to. */
export interface SweepResult {
  recipeHash?: string;
  /** Share of right answers; absent over a prompt. */
  accuracy?: number;
  /** Mean length, or that of the one answer. */
  tokens: number;
  /** Over problems, for the run history. */
  score?: TryScore;
  /** Of the prompt. */
  text?: string;
}

export interface SweepRun {
  /** Cell at work, from 1, and how many this run had to answer. */
  cell: number;
  cells: number;
  working: string | undefined;
  /** Merges that the engine made for it, and how many of them for a cell that had one already. */
  made: number;
  repeated: number;
  /** Tensors of these merges that were merged, and those that the merge before had. */
  tensorsMade: number;
  tensorsTaken: number;
  secondsLeft: number | undefined;
}

export interface SweepSlice {
  /** As changed by hand, for one method; otherwise the defaults of the recipe's method. */
  sweepForm: { method: string; form: SweepForm } | undefined;
  setSweepForm(change: Partial<Omit<SweepForm, "down">> & { down?: SweepAxis | undefined }): void;
  /** By the key of the recipe and of what was asked; of this visit. */
  sweepResults: Record<string, SweepResult>;
  /** Why a cell has none. */
  sweepFaults: Record<string, string>;
  sweepRun: SweepRun | undefined;
  /** Answers every cell that has no result yet, one after the other. What is finished stays when it is stopped. */
  sweep(): Promise<void>;
  /** Puts the cell's recipe in place of the current one, with its result in the run history. */
  adoptCell(key: string): Promise<void>;
  /** Puts a sweep of the history back: its recipe, what it asked, its grid and the finished cells. */
  restoreSweep(run: RunRecord): Promise<void>;
}

export interface ProbeSlice {
  probeText: string;
  setProbeText(text: string): void;
  giveProbeText(file: File): Promise<void>;
  /** The last probe, and the recipe it was made for. */
  probed: { probe: Probe; recipe: string } | undefined;
  probe(): Promise<void>;
}
