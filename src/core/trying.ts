import type { Recipe } from "./recipe";

/** Whose answers: a stored model's, or those of the model that a recipe would make, which is not written. */
export type TryModel = { kind: "model"; id: string } | { kind: "merge"; recipe: Recipe };

/** How prompts become answers. Temperature 0 is greedy. */
export interface TryOptions {
  maxNewTokens: number;
  temperature: number;
  /** 0: all. */
  topK: number;
  topP: number;
  repetitionPenalty: number;
  seed: number;
  /** `raw`: the prompt as it is; `chat`: through the model's chat template. */
  prompt: "raw" | "chat";
  system?: string;
  /** In place of the model's own. */
  stopIds?: number[];
}

export const GREEDY_OPTIONS: TryOptions = { maxNewTokens: 512, temperature: 0, topK: 0, topP: 1, repetitionPenalty: 1, seed: 42, prompt: "chat" };

/** What is to be known before a model answers. */
export interface TryFacts {
  /** Where it stops, with the files that say so. */
  stops: { id: number; text: string | undefined; from: string[] }[];
  chatTemplate: boolean;
  /** Tokens that prompt and answer may have together. */
  context: number | undefined;
  /** From generation_config.json, for the form. */
  maxNewTokens: number | undefined;
  /** Set where the weights do not fit the GPU budget: bytes of the models' files that are read again for every token. */
  bytesPerToken: number | undefined;
  /** What these reads alone take at the speed of all reads so far; undefined where none was slow enough to be timed. */
  secondsPerToken: number | undefined;
}

const USUAL_TOKENS = 512;
/** Nobody waits for more unasked. */
const MOST_TOKENS = 2048;

/** Tokens of an answer at most, where nobody says how many: the most that the models' own files say, within every context. */
export function usualMaxTokens(models: readonly Pick<TryFacts, "maxNewTokens" | "context">[]): number {
  const wanted = Math.max(0, ...models.map((m) => m.maxNewTokens ?? 0)) || USUAL_TOKENS;
  return Math.min(wanted, MOST_TOKENS, ...models.flatMap((m) => m.context ?? []));
}

export type StopReason = "stop id" | "length" | "context" | "cancelled";

export interface TryAnswer {
  text: string;
  /** Without the stop id. */
  ids: number[];
  promptTokens: number;
  /** Length with the stop id, as lengths are usually counted. */
  tokens: number;
  stop: StopReason;
  /** The token that ended it, of "stop id". */
  stopId?: number | undefined;
  seconds: number;
  /** After the first token, which the prompt has to be read for. */
  tokensPerSecond: number;
  /** Of a merge. */
  recipeHash?: string;
  weights: WeightsBrought;
}

/** How the weights that stay on the GPU came there for a question. */
export interface WeightsBrought {
  /** Tensors that were read, or merged, for it. */
  made: number;
  /** Tensors that were there: from an earlier question, or because another model has the same. */
  there: number;
  /** Of all of them, on the GPU. */
  bytes: number;
  seconds: number;
}

/** What was done for the weights of a merge: "3 of 290 tensors merged anew in 0.04 s". */
export function mergedWords({ made, there, seconds }: WeightsBrought): string {
  const all = `${(made + there).toLocaleString("en-US")} tensor${made + there === 1 ? "" : "s"}`;
  if (made === 0) return `${all} there already`;
  const time = `in ${seconds < 10 ? seconds.toFixed(2) : Math.round(seconds).toLocaleString("en-US")} s`;
  return there === 0 ? `${all} merged ${time}` : `${made.toLocaleString("en-US")} of ${all} merged anew ${time}`;
}

/** Merges made for answering since the start: one that is at hand is not made again. */
export interface MergesTried {
  merges: number;
  /** Their tensors that were merged, and those that another model had. */
  tensorsMade: number;
  tensorsTaken: number;
}

/** What has come so far of one answer. */
export interface TryPiece {
  /** Of the prompt. */
  index: number;
  text: string;
  tokens: number;
}

export interface Problem {
  prompt: string;
  answer: string;
  tier?: string;
}

/** How an extracted answer was found and judged; the rules in words. */
export interface JudgedAnswer {
  text: string;
  tokens: number;
  truncated: boolean;
  /** The answer that was read out of it, and by which rule. */
  found: string;
  rule: string;
  right: boolean;
  /** Why it counts, or does not: "same number". */
  verdict: string;
  reflects: boolean;
}

export interface EvaluatedItem {
  /** Of the problem. */
  index: number;
  /** The first is what accuracy and length are taken from. */
  responses: JudgedAnswer[];
}

export interface MeanInterval {
  mean: number;
  /** Ends of the 95 % interval by bootstrap over problems; exact binomial where all or none are right; NaN for a mean of one problem. */
  low: number;
  high: number;
}

export interface EvaluationSummary {
  problems: number;
  accuracy: MeanInterval;
  length: MeanInterval;
  medianLength: number;
  /** Shares of the first responses. */
  truncated: number;
  reflecting: number;
}

export interface Evaluation {
  name: string;
  /** Of a merge. */
  recipeHash?: string;
  options: TryOptions;
  samples: number;
  summary: EvaluationSummary;
  tiers: { tier: string; summary: EvaluationSummary }[];
  /** maj@n, where several responses were drawn. */
  majority: { n: number; accuracy: MeanInterval }[];
  items: EvaluatedItem[];
  seconds: number;
  tokensPerSecond: number;
}

/** What a probe found of one model, in nats and tokens of the first model's tokenizer. */
export interface ProbedModel {
  name: string;
  /** Of a merge. */
  recipeHash?: string;
  perplexity: number;
  /** Of a merge: KL(stored model || merge) per token, for each stored model of the probe. */
  divergences: { from: string; nats: number }[];
  /** Share of repeated 4-grams in a greedy continuation; absent where there are fewer than 4 tokens, or no finite logits. */
  repetition?: number;
  continuation: string;
  /** Why a merge looks broken, in words with the numbers. */
  broken?: string;
}

export interface Probe {
  /** Of the text, as far as they were used. */
  tokens: number;
  /** All tokens of the text. */
  ofTokens: number;
  models: ProbedModel[];
  seconds: number;
}
