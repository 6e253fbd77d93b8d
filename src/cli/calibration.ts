import { readFile, stat } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { DEFAULT_CALIBRATION, givenCalibration, needsCalibration, type CalibrationFacts } from "../core/calibration";
import { checkTextSize, decodeText, fieldOf, parseTextFile, textName } from "../core/calibrationText";
import { StudioError } from "../core/errors";
import type { Calibration, Recipe } from "../core/recipe";

export const CALIBRATION_FLAGS = {
  calibration: { value: true }, "calibration-field": { value: true }, "calibration-samples": { value: true }, "calibration-tokens": { value: true }, "calibration-seed": { value: true },
} as const;
export const CALIBRATION_USAGE = `  --calibration FILE  texts of a .txt or .jsonl, for methods and stages that take them; built-in prompts when absent. With
                      --calibration-field NAME, -samples N (100), -tokens N of a text (512), -seed N (42); the drawn texts
                      travel with the recipe`;

type Flags = Readonly<Record<string, string[] | undefined>>;
const bad = (sentence: string): StudioError => new StudioError("bad-request", sentence);

/**
 * The recipe with the calibration text that the flags name, or the built-in one, where its method or a stage takes text.
 * Throws "bad-request" for a flag without a taker, and what the file itself is refused for.
 */
export async function withCalibrationFlags(recipe: Recipe, method: { label: string; needs: { calibration?: boolean } } | undefined, flags: Flags, cwd: string): Promise<Recipe> {
  const given = Object.keys(CALIBRATION_FLAGS).filter((name) => flags[name]);
  if (!needsCalibration(recipe, method)) {
    if (given.length > 0) throw bad(`--${given[0]}: ${method?.label ?? recipe.method} takes no calibration text. Leave it out.`);
    return recipe;
  }
  const number = (name: string, least: number): number | undefined => {
    const text = flags[name]?.[0];
    if (text === undefined) return undefined;
    const value = Number(text);
    if (text.trim() === "" || !Number.isSafeInteger(value) || value < least) throw bad(`--${name} ${text}: expected a whole number of at least ${least}.`);
    return value;
  };
  const now: Calibration = recipe.calibration ?? DEFAULT_CALIBRATION;
  const choice = { samples: number("calibration-samples", 1) ?? now.samples, maxTokens: number("calibration-tokens", 2) ?? now.maxTokens, seed: number("calibration-seed", 0) ?? now.seed };
  const path = flags.calibration?.[0];
  const field = flags["calibration-field"]?.[0];
  if (path === undefined) {
    if (field !== undefined) throw bad("--calibration-field names a field of a file; it needs --calibration.");
    return { ...recipe, calibration: { ...now, ...choice } };
  }
  const file = parseTextFile(basename(path), await readText(resolve(cwd, path)));
  const chosen = fieldOf(file, field);
  return { ...recipe, calibration: givenCalibration(textName(file, chosen.name), chosen.texts, choice) };
}

/** What the terminal says of the text before it is used. */
export function calibrationLines({ tokens, sequences, shortest, longest, cut, notes }: CalibrationFacts): string[] {
  const count = (n: number): string => n.toLocaleString("en-US");
  return [`Calibration text: ${count(tokens)} tokens in ${count(sequences)} ${sequences === 1 ? "text" : "texts"}, ${count(shortest)} to ${count(longest)} each${cut > 0 ? `, ${count(cut)} cut` : ""}.`, ...notes];
}

async function readText(path: string): Promise<string> {
  try {
    checkTextSize(path, (await stat(path)).size);
    return decodeText(path, await readFile(path));
  } catch (cause) {
    if (cause instanceof StudioError) throw cause;
    throw new StudioError("bad-request", `Reading the calibration text ${path}: the file does not exist or cannot be read.`, { where: path }, { cause });
  }
}
