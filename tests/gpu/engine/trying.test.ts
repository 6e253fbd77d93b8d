import { beforeAll, describe, expect, test } from "vitest";
import type { Recipe } from "../../../src/core/recipe";
import { GREEDY_OPTIONS, type EvaluatedItem, type TryOptions, type TryPiece } from "../../../src/core/trying";
import { bench, recipeFor, watchedGpu, type Bench } from "../../support/engineBench";
import { sampleCheckpoint, sampleProblems } from "../../support/nodeCheckpoint";

const problems = sampleProblems(6);
const raw: TryOptions = { ...GREEDY_OPTIONS, prompt: "raw", maxNewTokens: 120 };
const nothing = () => undefined;

/** The real pair: its transcripts in another implementation are in the sample's own description. */
describe("answers of the sample pair", () => {
  let b: Bench;
  const ties: Recipe = { ...recipeFor("ties", { density: 0.3, lambda: 0.5 }) };
  const ask = (model: Parameters<Bench["engine"]["generate"]>[1], prompts: string[], options = raw, onPiece: (piece: TryPiece) => void = nothing) => b.engine.generate("try", model, prompts, options, nothing, onPiece);

  beforeAll(async () => {
    b = bench((await watchedGpu()).gpu, { base: await sampleCheckpoint("base"), finetuned: await sampleCheckpoint("long-cot") });
  });

  test("the transcripts that PyTorch wrote, streamed piece by piece", async () => {
    const pieces: TryPiece[] = [];
    const [base] = await ask({ kind: "model", id: "base" }, ["47+7+3+7=?\n"]);
    const [long] = await ask({ kind: "model", id: "finetuned" }, ["47+7+3+7=?\n"], raw, (piece) => pieces.push(piece));
    expect(base).toMatchObject({ text: "answer=62", tokens: 5, stop: "stop id", promptTokens: 11 });
    expect(long!.text).toBe("<think>\n47+7=54\nwait, check 54-7=47 ok\n54+3=57\n57+7=64\nwait, check 64-7=57 ok\nagain\n47+7=54\n54+3=57\n57+7=64\n</think>\nanswer=64");
    expect(long!.tokens).toBe(81);
    expect(pieces.at(-1)).toEqual({ index: 0, text: long!.text, tokens: 80 });
    for (const piece of pieces) expect(long!.text.startsWith(piece.text)).toBe(true);
  });

  test("a merge that is not written answers as its export does, and is made once", async () => {
    const { merges } = await b.engine.mergesTried();
    const prompts = problems.slice(0, 3).map((p) => p.prompt);
    const short = { ...raw, maxNewTokens: 50 };
    const preview = await ask({ kind: "merge", recipe: ties }, prompts, short);
    await ask({ kind: "merge", recipe: ties }, prompts.slice(0, 1), { ...raw, maxNewTokens: 1 });
    expect((await b.engine.mergesTried()).merges - merges).toBe(1);
    const { checkpoint } = await b.merge(ties);
    b.models.set("exported", checkpoint);
    const exported = await ask({ kind: "model", id: "exported" }, prompts, short);
    expect(preview.map((a) => a.ids)).toEqual(exported.map((a) => a.ids));
    expect(new Set(preview.map((a) => a.text)).size).toBeGreaterThan(1);
  });

  test("problems are judged one by one and summed up", async () => {
    const items: number[] = [];
    const evaluation = await b.engine.evaluate("try", { kind: "model", id: "finetuned" }, problems, { ...raw, maxNewTokens: 220, samples: 1 }, nothing, (item) => items.push(item.index));
    expect(items.sort()).toEqual([0, 1, 2, 3, 4, 5]);
    expect(evaluation.items.map((i) => [i.responses[0]!.found, i.responses[0]!.rule])).toEqual(problems.map((p) => [p.answer, "answer="]));
    expect(evaluation.summary).toMatchObject({ problems: 6, accuracy: { mean: 1, low: 0.025 ** (1 / 6), high: 1 }, truncated: 0, reflecting: 1 });
    expect(evaluation.tiers.map((t) => [t.tier, t.summary.problems])).toEqual([["easy", 6]]);
    const cut = await b.engine.evaluate("try", { kind: "model", id: "finetuned" }, problems.slice(0, 2), { ...raw, maxNewTokens: 10, samples: 1 }, nothing, nothing);
    expect([cut.summary.truncated, cut.summary.length.mean]).toEqual([1, 10]);
  });

  test("several answers to a problem are drawn apart, and again the same", async () => {
    const options = { ...raw, temperature: 1, samples: 4, maxNewTokens: 60 };
    const run = () => b.engine.evaluate("try", { kind: "model", id: "base" }, problems.slice(0, 2), options, nothing, nothing);
    const first = await run();
    expect(first.majority.map((m) => m.n)).toEqual([1, 4]);
    expect(new Set(first.items[0]!.responses.map((r) => r.text)).size).toBeGreaterThan(1);
    expect((await run()).items).toEqual(first.items);
  });

  test("what cannot be asked is said: no chat template, an empty prompt, letters that the model does not know", async () => {
    const base = { kind: "model", id: "base" } as const;
    await expect(ask(base, ["1+1=?\n"], { ...raw, prompt: "chat" })).rejects.toThrow(/has no chat template\. Choose the raw prompt/);
    await expect(ask(base, [""])).rejects.toThrow(/has no token/);
    await expect(b.engine.tryFacts(base)).resolves.toMatchObject({ chatTemplate: false, context: 256, maxNewTokens: 220, stops: [{ id: 0, text: "<|endoftext|>" }] });
  });

  test("weights that do not fit the budget are told in bytes for each token, of a merge those of all its files", async () => {
    const [base, merge] = [{ kind: "model", id: "base" } as const, { kind: "merge", recipe: ties } as const];
    const { gpuBytes } = await b.engine.budgets();
    expect((await b.engine.tryFacts(base)).bytesPerToken).toBeUndefined();
    await b.engine.budgets({ gpuBytes: 32 * 1024 ** 2 });
    const [one, two] = [await b.engine.tryFacts(base), await b.engine.tryFacts(merge)];
    await b.engine.budgets({ gpuBytes });
    // 483,744 parameters in BF16; vectors go up as F32.
    expect(one.bytesPerToken! / (2 * 483_744)).toBeCloseTo(1, 1);
    expect(two.bytesPerToken).toBe(2 * one.bytesPerToken!);
  });

  test("cancelled in the middle it ends; weights that were given back are made again", async () => {
    let told = 0;
    const going = ask({ kind: "model", id: "finetuned" }, problems.map((p) => p.prompt), { ...raw, maxNewTokens: 220 }, () => {
      if (++told === 3) void b.engine.cancel("try");
    });
    await expect(going).rejects.toMatchObject({ code: "cancelled" });
    // Of a cancelled evaluation nothing was told of answers that had not ended.
    const items: EvaluatedItem[] = [];
    const evaluation = b.engine.evaluate("try", { kind: "model", id: "finetuned" }, problems.slice(0, 4), { ...raw, maxNewTokens: 220, samples: 1 }, () => undefined, (item) => {
      items.push(item);
      void b.engine.cancel("try");
    });
    await expect(evaluation).rejects.toMatchObject({ code: "cancelled" });
    expect(items.length).toBeLessThan(4);
    expect(items.map((item) => item.responses[0]!.right)).toEqual(items.map(() => true));
    // Given back, a merge is made again.
    await ask({ kind: "merge", recipe: ties }, [problems[0]!.prompt], { ...raw, maxNewTokens: 1 });
    const { merges } = await b.engine.mergesTried();
    await b.engine.endTrying();
    await ask({ kind: "merge", recipe: ties }, [problems[0]!.prompt], { ...raw, maxNewTokens: 1 });
    expect((await b.engine.mergesTried()).merges).toBe(merges + 1);
  });
});
