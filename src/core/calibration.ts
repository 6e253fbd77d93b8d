import type { Calibration, Recipe } from "./recipe";

/** What a recipe uses where its method asks for calibration text and none was chosen. */
export const DEFAULT_CALIBRATION: Calibration = { source: "builtin", name: "Built-in reasoning prompts", samples: 100, maxTokens: 512, seed: 42 };

/** UTF-8 bytes of text that a recipe carries at most. */
export const MAX_CALIBRATION_BYTES = 2_000_000;

/** One chosen text as the form shows it. */
export interface CalibrationExample {
  text: string;
  tokens: number;
}

/** Calibration text in numbers, counted with the base model's own tokenizer. */
export interface CalibrationFacts {
  /** Texts there are. */
  texts: number;
  /** Sequences that are left of the chosen ones. */
  sequences: number;
  /** Tokens over all sequences. */
  tokens: number;
  shortest: number;
  longest: number;
  median: number;
  /** Sequences that were longer than the limit and end there. */
  cut: number;
  /** Chosen texts of fewer than two tokens: nothing follows anything in them. */
  dropped: number;
  /** Tokens after which a text is cut: the recipe's, or the model's context where that is shorter. */
  limit: number;
  /** What differs from what was asked for, in sentences. */
  notes: string[];
  examples: CalibrationExample[];
}

/** Whether any step of the recipe takes calibration text, by what each method says it needs. */
export function needsCalibration(recipe: Pick<Recipe, "method" | "then">, needs: (method: string) => boolean): boolean {
  return needs(recipe.method) || (recipe.then ?? []).some((stage) => needs(stage.method));
}
