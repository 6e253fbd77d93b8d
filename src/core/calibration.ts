import { StudioError } from "./errors";
import { formatBytes } from "./modelFiles";
import { hashName, randomBits } from "./random";
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

/** Whether the recipe takes calibration text: a stage after the merge does, or its method does, or was told to, and no token ids are given in its place. */
export function needsCalibration(recipe: Pick<Recipe, "params" | "then" | "tokens">, method: { needs: { calibration?: boolean } } | undefined): boolean {
  return (recipe.then ?? []).length > 0 || (!recipe.tokens && (method?.needs.calibration === true || recipe.params.tokens === "calibration"));
}

/** The recipe with the default calibration text, where it takes one and names none. */
export function withCalibration(recipe: Recipe, method: { needs: { calibration?: boolean } } | undefined): Recipe {
  return recipe.calibration || !needsCalibration(recipe, method) ? recipe : { ...recipe, calibration: DEFAULT_CALIBRATION };
}

/** Numbers of `samples` of `count` texts, without replacement: those with the smallest random bits of (seed, number), in that order. */
export function chooseTexts(count: number, samples: number, seed: number): number[] {
  const key = (hashName("calibration") ^ seed) >>> 0;
  return Array.from({ length: count }, (_, i) => ({ i, bits: randomBits(key, i) }))
    .sort((a, b) => a.bits - b.bits || a.i - b.i)
    .slice(0, samples)
    .map(({ i }) => i);
}

/**
 * The calibration of a recipe from texts of a file: those that are drawn travel with the recipe, the others stay behind.
 * Throws "bad-recipe" when there is none, or when they are more than MAX_CALIBRATION_BYTES.
 */
export function givenCalibration(name: string, texts: readonly string[], choice: Pick<Calibration, "samples" | "maxTokens" | "seed">): Calibration {
  if (texts.length === 0) throw new StudioError("bad-recipe", `Reading the calibration text: "${name}" holds no text. Give a file with text, or use the built-in prompts.`, { title: "No calibration text", where: name });
  const { samples, maxTokens, seed } = choice;
  const drawn = chooseTexts(texts.length, samples, seed).map((i) => texts[i]!);
  const encoder = new TextEncoder();
  const bytes = drawn.reduce((sum, text) => sum + encoder.encode(text).byteLength, 0);
  if (bytes > MAX_CALIBRATION_BYTES) {
    const many = `${drawn.length.toLocaleString("en-US")} ${drawn.length === 1 ? "text" : "texts"}`;
    throw new StudioError("bad-recipe", `Reading the calibration text "${name}": the ${many} drawn from it have ${formatBytes(bytes)}, and a recipe carries at most ${formatBytes(MAX_CALIBRATION_BYTES)}. Take fewer samples, or give shorter texts.`, { title: "Too much calibration text", where: name, found: formatBytes(bytes), expected: `at most ${formatBytes(MAX_CALIBRATION_BYTES)}`, todo: "Take fewer samples, or give shorter texts." });
  }
  return { source: "given", name, texts: drawn, samples, maxTokens, seed };
}
