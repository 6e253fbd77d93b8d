import { StudioError } from "../core/errors";
import { formatBytes } from "../core/modelFiles";
import { usualMaxTokens, type TryFacts, type TryOptions } from "../core/trying";
import { numberFlag, type FlagSpec } from "./args";

/** How answers are drawn: the flags that `generate` and `evaluate` share. */
export const TRY_FLAGS = {
  "max-new-tokens": { value: true }, temperature: { value: true }, "top-p": { value: true }, "top-k": { value: true }, "repetition-penalty": { value: true }, seed: { value: true },
  system: { value: true }, raw: {}, stop: { value: true, repeat: true },
} satisfies Record<string, FlagSpec>;

export const TRY_USAGE = `  --max-new-tokens N    what generation_config.json of the models says (the largest), else 512; without the flag 2048 at most
  --temperature T       0 is greedy, and the default
  --top-p P             the likeliest tokens up to this sum; 1 is all
  --top-k K             the K likeliest tokens; 0 is all
  --repetition-penalty R  1 changes nothing
  --seed N              of sampled answers; 42
  --system TEXT         before the prompt, in the chat template
  --raw                 prompts as they are, although a model has a chat template
  --stop ID             in place of the models' own stop ids; several`;

const bad = (sentence: string): StudioError => new StudioError("bad-request", sentence);

type Given = Omit<TryOptions, "maxNewTokens" | "prompt"> & { maxNewTokens: number | undefined; raw: boolean };

/** The settings as given, looked at before anything is opened. Throws "bad-request" naming the flag. */
export function readTryOptions(flags: Record<string, string[]>): Given {
  const given = (name: keyof typeof TRY_FLAGS, fallback: number, expected: string, fits: (value: number) => boolean): number => {
    const value = numberFlag(flags, name, fallback);
    if (!fits(value)) throw bad(`--${name} ${flags[name]![0]!}: expected ${expected}.`);
    return value;
  };
  const whole = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;
  const stops = (flags.stop ?? []).map((text) => {
    if (!/^\d+$/.test(text)) throw bad(`--stop ${text}: expected a token id, a whole number from 0 on.`);
    return Number(text);
  });
  return {
    maxNewTokens: flags["max-new-tokens"] && given("max-new-tokens", 0, "a whole number from 1 on", (v) => whole(v) && v > 0),
    temperature: given("temperature", 0, "a number from 0 on; 0 is greedy", (v) => v >= 0),
    topP: given("top-p", 1, "a number above 0 and at most 1", (v) => v > 0 && v <= 1),
    topK: given("top-k", 0, "a whole number from 0 on; 0 is all", whole),
    repetitionPenalty: given("repetition-penalty", 1, "a number above 0; 1 changes nothing", (v) => v > 0),
    seed: given("seed", 42, "a whole number from 0 on", whole),
    raw: flags.raw !== undefined,
    ...(flags.system ? { system: flags.system[0]! } : {}),
    ...(stops.length > 0 ? { stopIds: stops } : {}),
  };
}

/** What a model is asked with, `all` being those that are compared: one limit for all, the template of its own. Throws "bad-request" for a system text that no template takes. */
export function optionsFor({ raw, maxNewTokens, ...rest }: Given, name: string, own: TryFacts, all: readonly TryFacts[]): TryOptions {
  const prompt = raw || !own.chatTemplate ? "raw" : "chat";
  if (rest.system !== undefined && prompt === "raw") throw bad(`--system is said in the chat template, ${raw ? "which --raw leaves out" : `and "${name}" has none`}. Leave --system out, or write it into the prompt.`);
  return { ...rest, maxNewTokens: maxNewTokens ?? usualMaxTokens(all), prompt };
}

/** "0 <|endoftext|> (config.json)" */
export const stopWords = (options: TryOptions, facts: TryFacts): string =>
  options.stopIds?.join(", ") ?? (facts.stops.map((s) => `${s.id}${s.text === undefined ? "" : ` ${s.text}`} (${s.from.join(", ")})`).join("; ") || "nothing but the limit: no file of the model names a stop id");

/** What is to be said before the first token where weights are read again for each one; undefined where they fit. */
export function streamedWords({ bytesPerToken, secondsPerToken }: Pick<TryFacts, "bytesPerToken" | "secondsPerToken">): string | undefined {
  if (bytesPerToken === undefined) return undefined;
  const time = secondsPerToken === undefined ? "" : `, which takes at least ${secondsPerToken.toPrecision(2)} s at the speed of reading so far`;
  return `The weights do not fit the GPU budget: ${formatBytes(bytesPerToken)} are read again for every token of the answers side by side${time}. A larger --gpu-budget is faster.`;
}
