import type { TryOptions } from "../../core/trying";
import type { TryScore } from "./tryTypes";

/** How answers are drawn, in a few words: "greedy", "sampled, T 0.7". */
export const samplingWords = (options: Pick<TryOptions, "temperature" | "topP" | "topK">): string =>
  options.temperature === 0 ? "greedy" : `sampled, T ${options.temperature}${options.topP < 1 ? `, top-p ${options.topP}` : ""}${options.topK > 0 ? `, top-k ${options.topK}` : ""}`;

/** Every setting of a result, in words. */
export const settingsWords = ({ options, samples }: TryScore): string =>
  [samplingWords(options), samples > 1 ? `${samples} samples` : "", `at most ${options.maxNewTokens} tokens`, options.repetitionPenalty === 1 ? "" : `repetition ${options.repetitionPenalty}`, options.prompt === "raw" ? "raw prompt" : "", options.temperature > 0 && options.seed !== 42 ? `seed ${options.seed}` : ""].filter(Boolean).join(", ");

export const optionsKey = (score: Pick<TryScore, "options" | "samples">): string => JSON.stringify([score.options, score.samples]);
export const sameSettings = (a: Pick<TryScore, "set" | "options" | "samples">, b: Pick<TryScore, "set" | "options" | "samples">): boolean => a.set === b.set && optionsKey(a) === optionsKey(b);

/** Most scores that one model or run keeps. */
const MOST_SCORES = 8;
/** The newest first; one of the same settings is replaced. */
export const withScore = (scores: readonly TryScore[] | undefined, score: TryScore): TryScore[] => [score, ...(scores ?? []).filter((s) => !sameSettings(s, score))].slice(0, MOST_SCORES);
