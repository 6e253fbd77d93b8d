import { StudioError } from "../core/errors";
import { randomUniform } from "../core/random";

/** How a token is chosen from logits; the names and the meaning of the numbers are those of transformers. */
export interface SamplingOptions {
  /** Logits are divided by it; 0 is greedy. */
  temperature: number;
  /** Only the k largest logits can be chosen, and those equal to the k-th; 0 for all. */
  topK: number;
  /** Only the smallest set of likeliest tokens whose probabilities reach this sum can be chosen; 1 for all. */
  topP: number;
  /** Logits of tokens that occurred are divided by it when positive, multiplied when negative; 1 changes nothing. */
  repetitionPenalty: number;
  /** Whole number; the same seed gives the same tokens. */
  seed: number;
}

export const GREEDY: SamplingOptions = { temperature: 0, topK: 0, topP: 1, repetitionPenalty: 1, seed: 0 };

/** Throws "bad-request" naming the first setting that cannot be used. */
export function checkSampling(options: SamplingOptions): void {
  const rules: [keyof SamplingOptions, boolean, string][] = [
    ["temperature", options.temperature >= 0 && Number.isFinite(options.temperature), "a number from 0 on; 0 is greedy"],
    ["topK", Number.isInteger(options.topK) && options.topK >= 0, "a whole number from 0 on; 0 is all"],
    ["topP", options.topP > 0 && options.topP <= 1, "above 0 and at most 1"],
    ["repetitionPenalty", options.repetitionPenalty > 0 && Number.isFinite(options.repetitionPenalty), "above 0; 1 changes nothing"],
    ["seed", Number.isSafeInteger(options.seed) && options.seed >= 0, "a whole number from 0 on"],
  ];
  const wrong = rules.find(([, good]) => !good);
  if (!wrong) return;
  const [name, , expected] = wrong;
  throw new StudioError("bad-request", `Generating: ${name} is ${String(options[name])}, expected ${expected}.`, { title: "A setting cannot be used", where: name, found: String(options[name]), expected });
}

/**
 * The key of one answer's random numbers: seed, prompt and number of the sample, and nothing of the batch around it. Two
 * prompts of the same ids draw alike; several answers to one prompt are its samples.
 */
export function samplingKey(seed: number, prompt: readonly number[], sample: number): number {
  let key = 0x811c9dc5;
  for (const word of [seed % 2 ** 32, Math.floor(seed / 2 ** 32), sample, prompt.length, ...prompt]) {
    // FNV-1a by bytes.
    for (let shift = 0; shift < 32; shift += 8) key = Math.imul(key ^ ((word >>> shift) & 0xff), 0x01000193);
  }
  return key >>> 0;
}

/**
 * The next token. With l the logits of one position, in this order:
 *   l[i] <- l[i] / penalty where l[i] > 0, l[i] * penalty elsewhere    for ids i in `seen`
 *   greedy (temperature 0): the largest, of equal ones the lowest id
 *   l <- l / temperature;  top-k keeps l[i] >= the k-th largest;  p = softmax(l)
 *   top-p walks down the probabilities, of equal ones from the lowest id, and keeps each while those before it sum to less than topP
 *   the token is the first, by id, at which the sum of the kept p exceeds u * (their sum), u = uniform(key, step)
 * In f64. Logits that are NaN cannot be chosen. Throws "bad-file" when no logit is a number.
 * Source: the logits processors of transformers; Holtzman et al. 2020, arXiv:1904.09751 (top-p); Keskar et al. 2019,
 * arXiv:1909.05858, 4.1 (penalty).
 */
export function chooseToken(logits: Float32Array, options: SamplingOptions, seen: ReadonlySet<number>, key: number, step: number): number {
  const { temperature, topK, topP, repetitionPenalty: penalty } = options;
  if (temperature === 0 && penalty === 1) return largest(logits);
  const values = new Float64Array(logits);
  if (penalty !== 1) for (const id of seen) if (id < values.length) values[id] = values[id]! > 0 ? values[id]! / penalty : values[id]! * penalty;
  const top = largest(values);
  if (temperature === 0) return top;

  const least = topK > 0 && topK < values.length ? kthLargest(values, topK) : -Infinity;
  const most = values[top]!;
  let ids: number[] = [];
  // exp((l - most) / temperature) of each id that is left; in place, since the logits are of no more use.
  const weights = values;
  let total = 0;
  for (let i = 0; i < values.length; i++) {
    if (!(values[i]! >= least)) continue;
    ids.push(i);
    total += weights[i] = Math.exp((values[i]! - most) / temperature);
  }
  if (topP < 1) {
    ids = keptByMass(weights, ids, topP, total);
    total = 0;
    for (const id of ids) total += weights[id]!;
  }
  const target = randomUniform(key, step) * total;
  let sum = 0;
  for (const id of ids) if ((sum += weights[id]!) > target) return id;
  return ids.at(-1)!;
}

/** Index of the largest number, of equal ones the first. */
function largest(values: ArrayLike<number>): number {
  let best = -1;
  for (let i = 0; i < values.length; i++) if (best < 0 ? values[i] === values[i] : values[i]! > values[best]!) best = i;
  if (best < 0 || Math.abs(values[best]!) === Infinity)
    throw new StudioError("bad-file", "Generating: the model's logits are no finite numbers, so no token can be chosen. The weights are broken; look at the change of each layer, and merge with smaller weights.", { title: "The model gives no numbers", found: best < 0 ? "NaN" : String(values[best]) });
  return best;
}

/** The k-th largest number, k counted from 1; a list of the k largest so far, in ascending order, is kept. */
function kthLargest(values: Float64Array, k: number): number {
  const best = new Float64Array(k).fill(-Infinity);
  for (let i = 0; i < values.length; i++) {
    const v = values[i]!;
    if (!(v > best[0]!)) continue;
    let at = 0;
    for (; at + 1 < k && best[at + 1]! < v; at++) best[at] = best[at + 1]!;
    best[at] = v;
  }
  return best[0]!;
}

/** The likeliest ids, in order of id, each kept while those before it sum to less than topP of the total. */
function keptByMass(weights: Float64Array, ids: readonly number[], topP: number, total: number): number[] {
  // All that are lighter than this together weigh less than what is cut off, so only the others need an order.
  const light = ((1 - topP) * total) / ids.length;
  const order = ids.filter((id) => weights[id]! >= light).sort((a, b) => weights[b]! - weights[a]! || a - b);
  let before = 0;
  let kept = 0;
  while (kept < order.length && (kept === 0 || before < topP * total)) before += weights[order[kept++]!]!;
  return order.slice(0, kept).sort((a, b) => a - b);
}
