import { chooseTexts, type CalibrationFacts } from "../core/calibration";
import { StudioError, throwIfCancelled } from "../core/errors";
import type { Calibration } from "../core/recipe";
import type { Checkpoint } from "../core/tensors";
import { PROMPTS, promptText } from "./prompts";
import { tokenizerOf } from "./tokenizer";

/** The texts that a recipe's calibration names. Throws "bad-recipe" when it gives none. */
export function calibrationTexts(calibration: Calibration): string[] {
  if (calibration.source === "builtin") return PROMPTS.map(promptText);
  const texts = calibration.texts ?? [];
  if (texts.length === 0) throw new StudioError("bad-recipe", `Reading the calibration text: "${calibration.name}" holds no text. Give a file with text, or use the built-in prompts.`, { title: "No calibration text", where: "calibration.texts" });
  return texts;
}

const median = (sorted: readonly number[]): number => (sorted.length % 2 === 1 ? sorted[(sorted.length - 1) / 2]! : (sorted[sorted.length / 2 - 1]! + sorted[sorted.length / 2]!) / 2);
const plural = (n: number, one: string, many = `${one}s`): string => `${n.toLocaleString("en-US")} ${n === 1 ? one : many}`;

/**
 * Token ids of the calibration text with the checkpoint's own tokenizer (special tokens as it adds them), and what is to
 * be known of them. A text is cut after `maxTokens`, or after the model's context where that is shorter; one of fewer
 * than two tokens is dropped. Throws "bad-file" without a usable tokenizer.json, or when it makes ids that the model has
 * no row for, and "bad-recipe" when no text is left.
 */
export async function tokeniseCalibration(calibration: Calibration, checkpoint: Checkpoint, signal?: AbortSignal): Promise<{ sequences: number[][]; facts: CalibrationFacts }> {
  const texts = calibrationTexts(calibration);
  const tokenizer = await tokenizerOf(checkpoint);
  const context = checkpoint.config.max_position_embeddings;
  const limit = Math.min(calibration.maxTokens, typeof context === "number" && context > 0 ? context : Infinity);
  const chosen: { text: string; ids: number[] }[] = [];
  let turn = performance.now();
  for (const i of chooseTexts(texts.length, calibration.samples, calibration.seed)) {
    throwIfCancelled(signal);
    // A turn for messages, among which may be the one that cancels: two megabytes of text take seconds.
    if (performance.now() - turn > 100) {
      await new Promise((resolve) => setTimeout(resolve, 0));
      turn = performance.now();
    }
    chosen.push({ text: texts[i]!, ids: tokenizer.encode(texts[i]!) });
  }
  const kept = chosen.filter(({ ids }) => ids.length >= 2);
  const sequences = kept.map(({ ids }) => ids.slice(0, limit));
  if (sequences.length === 0 || limit < 2)
    throw new StudioError("bad-recipe", `Reading the calibration text "${calibration.name}": none of the ${plural(chosen.length, "chosen text")} has two tokens or more in the tokenizer of "${checkpoint.name}". Give text that this model knows the characters of.`, { title: "No calibration text", where: "calibration" });
  const rows = checkpoint.config.vocab_size;
  const largest = sequences.reduce((a, ids) => ids.reduce((b, id) => Math.max(b, id), a), 0);
  if (typeof rows === "number" && largest >= rows)
    throw new StudioError("bad-file", `Reading tokenizer.json of "${checkpoint.name}": it makes the id ${largest}, but the model has ${plural(rows, "row")}. Use the tokenizer that belongs to the model.`, { title: "The tokenizer is of another model", where: `${checkpoint.name}/tokenizer.json`, found: String(largest), expected: `below ${rows}` });

  const lengths = sequences.map((ids) => ids.length).sort((a, b) => a - b);
  const dropped = chosen.length - kept.length;
  const notes: string[] = [];
  if (chosen.length < calibration.samples) notes.push(`There are only ${plural(texts.length, "text")}; all are used where ${calibration.samples.toLocaleString("en-US")} were asked for.`);
  if (dropped > 0) notes.push(`${plural(dropped, "chosen text has", "chosen texts have")} fewer than two tokens in this tokenizer and ${dropped === 1 ? "is" : "are"} left out; ${sequences.length.toLocaleString("en-US")} remain.`);
  const cut = kept.filter(({ ids }) => ids.length > limit).length;
  if (limit < calibration.maxTokens && cut > 0) notes.push(`Texts are cut after ${limit.toLocaleString("en-US")} tokens, the context of "${checkpoint.name}".`);
  return {
    sequences,
    facts: {
      texts: texts.length, sequences: sequences.length, tokens: lengths.reduce((a, b) => a + b, 0),
      shortest: lengths[0]!, longest: lengths.at(-1)!, median: median(lengths),
      cut, dropped, limit, notes,
      examples: kept.slice(0, 3).map(({ text, ids }) => ({ text: text.slice(0, 400), tokens: Math.min(ids.length, limit) })),
    },
  };
}

/** Token ids of each chosen calibration text: see `tokeniseCalibration`. */
export async function calibrationSequences(calibration: Calibration, checkpoint: Checkpoint, signal?: AbortSignal): Promise<number[][]> {
  return (await tokeniseCalibration(calibration, checkpoint, signal)).sequences;
}
