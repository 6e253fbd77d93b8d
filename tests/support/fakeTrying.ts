import type { EvaluatedItem, Evaluation, JudgedAnswer, MeanInterval, Probe, ProbedModel, Problem, TryFacts, TryModel, TryOptions } from "../../src/core/trying";

/** Of every merge. */
export const FAKE_HASH = "7f3a00000000000000000000000000000000000000000000000000000000c21d";

/** Canned answers of three kinds of models: short, long with thinking, and in between. Plausible, not measured. */
export const fakeTryFacts = (streams = false): TryFacts => ({
  stops: [{ id: 151643, text: "<|endoftext|>", from: ["generation_config.json", "config.json"] }, { id: 151645, text: "<|im_end|>", from: ["tokenizer_config.json"] }],
  chatTemplate: true, context: 4096, maxNewTokens: undefined, bytesPerToken: streams ? 2_210_000_000 : undefined, secondsPerToken: streams ? 10.9 : undefined,
});

const SHORT = "To find the total distance, find the speed in each part.\n\nSpeed in the first part: 180 / 2.5 = 72 km/h.\n\nSpeed in the second part: 72 − 12 = 60 km/h.\n\nDistance in the second part: 60 × 1.5 = 90 km.\n\n\\boxed{270}";
const MIDDLE = "<think>\nFirst part: 180 / 2.5 = 72 km/h.\nSecond part: 72 − 12 = 60 km/h for 1.5 hours, which is 90 km.\nTotal: 180 + 90 = 270 km.\n</think>\n\nThe train travels at 72 km/h in the first part and at 60 km/h in the second.\n\n\\boxed{270}";
const LONG = `<think>\nOkay, so I have this problem about a train. It travels 180 km in 2.5 hours, then slows down by 12 km/h.\n${Array.from({ length: 24 }, (_, i) => (i % 4 === 0 ? "Hmm, wait. Let me check that again: 180 / 2.5 is 72." : `Step ${i}: 72 minus 12 is 60 km/h, and 60 times 1.5 is 90 km.`)).join("\n")}\nSo 180 plus 90 is 270.\n</think>\n\nThe total distance is 270 km.\n\n\\boxed{270}`;

const kindOf = (model: TryModel): 0 | 1 | 2 => (model.kind === "merge" ? 2 : model.id === "m1" ? 0 : 1);
export const fakeText = (model: TryModel): string => [SHORT, LONG, MIDDLE][kindOf(model)]!;
/** One id per word; two answers that begin alike have the same first ids. */
export const fakeIds = (text: string): number[] => text.split(/(?<=\s)/).map((word) => [...word].reduce((sum, c) => (sum * 31 + c.charCodeAt(0)) % 151_000, 7));
export const fakePiece = (text: string, words: number): string => text.split(/(?<=\s)/).slice(0, words).join("");

const around = (mean: number, room: number): MeanInterval => ({ mean, low: Math.max(0, mean - room), high: mean + room });

/** A smaller gate factor makes a merge of the fakes worse and longer. */
const worse = (model: TryModel): number => (model.kind === "merge" && typeof model.recipe.params.gateFactor === "number" ? Math.round((0.7 - model.recipe.params.gateFactor) / 0.14) : 0);

/** Right on a fixed share of problems; the answer ends in the number that was found. */
export function fakeItem(model: TryModel, problem: Problem, index: number, samples: number): EvaluatedItem {
  const kind = kindOf(model);
  return {
    index,
    responses: Array.from({ length: samples }, (_, k): JudgedAnswer => {
      const right = (index * 7 + k * 3 + kind) % 10 >= [6, 0, 1][kind]! + worse(model);
      const found = right ? problem.answer : String(Number(problem.answer) + 2);
      return { text: `${kind === 0 ? "" : "<think>71*4=84\nwait, check 71*4=84 ok\n</think>"}answer=${found}`, tokens: [12, 108, 48][kind]! + 7 * worse(model) + (index % 5), truncated: false, found, rule: "last answer=", right, verdict: right ? "same number" : "different", reflects: kind === 1 || (kind === 2 && index % 3 === 0) };
    }),
  };
}

export function fakeEvaluation(model: TryModel, problems: readonly Problem[], { samples, ...options }: TryOptions & { samples: number }): Evaluation {
  const items = problems.map((problem, i) => fakeItem(model, problem, i, samples));
  const first = items.map((item) => item.responses[0]!);
  const share = (of: (r: JudgedAnswer) => boolean): number => first.filter(of).length / first.length;
  const length = first.reduce((sum, r) => sum + r.tokens, 0) / first.length;
  const accuracy = share((r) => r.right);
  const summary = { problems: items.length, accuracy: around(accuracy, Math.min(0.08, 1 - accuracy)), length: around(length, length * 0.05), medianLength: Math.round(length), truncated: 0, reflecting: share((r) => r.reflects) };
  const majority = samples > 1 ? [1, 4, 8, 16, 32].filter((n) => n <= samples).map((n) => ({ n, accuracy: around(Math.min(1, accuracy + 0.02 * Math.log2(n)), 0.05) })) : [];
  return { name: model.kind === "merge" ? "merged" : model.id, ...(model.kind === "merge" ? { recipeHash: FAKE_HASH } : {}), options, samples, summary, tiers: [], majority, items, seconds: 2, tokensPerSecond: 110 };
}

/** Perplexities of the design's sentence, or of a merge that is well. */
export function fakeProbe(models: readonly TryModel[], text: string, broken: boolean): Probe {
  const names = ["Qwen2.5-Math-1.5B", "DeepSeek-R1-Distill-Qwen-1.5B", "merged"];
  return {
    tokens: text.length >> 2, ofTokens: text.length >> 2, seconds: 1.4,
    models: models.map((model, i): ProbedModel => ({
      name: names[kindOf(model)]!, perplexity: model.kind === "merge" ? (broken ? 412 : 9.6) : [8.9, 11.3][i]!, continuation: "", repetition: model.kind === "merge" && broken ? 0.71 : 0.02 * i,
      divergences: model.kind === "merge" ? [{ from: names[0]!, nats: broken ? 4.1 : 0.0531 }, { from: names[1]!, nats: broken ? 3.9 : 0.0432 }] : [],
      ...(model.kind === "merge" && broken ? { broken: "Perplexity on your text is 412; the parents have 8.9 and 11.3. More than 4 times the larger is taken as broken." } : {}),
    })),
  };
}
