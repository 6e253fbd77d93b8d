import { beforeAll, describe, expect, test } from "vitest";
import type { TryModel } from "../../../src/core/trying";
import { bench, recipeFor, watchedGpu, type Bench } from "../../support/engineBench";
import { sampleCheckpoint } from "../../support/nodeCheckpoint";

const nothing = () => undefined;
const TEXT = "47+7+3+7=?\n<think>\n47+7=54\n54+3=57\n57+7=64\n</think>\nanswer=64";
const model = (id: string): TryModel => ({ kind: "model", id });

describe("a probe of the sample pair", () => {
  let b: Bench;
  const mild = recipeFor("task-arithmetic", { lambda: 0.5 });
  const wild = recipeFor("task-arithmetic", { lambda: -2 }); // writes "answeransweranswer"
  const probe = (...models: TryModel[]) => b.engine.probe("probe", models, TEXT, nothing);

  beforeAll(async () => {
    b = bench((await watchedGpu()).gpu, { base: await sampleCheckpoint("base"), finetuned: await sampleCheckpoint("long-cot") });
  });

  test("orders a good merge before a wrecked one, and says of that one alone that it looks broken", async () => {
    const { models, tokens, ofTokens } = await probe(model("base"), model("finetuned"), { kind: "merge", recipe: mild }, { kind: "merge", recipe: wild });
    const [base, tuned, good, bad] = models;
    expect(tokens).toBe(ofTokens);
    expect(good!.perplexity).toBeLessThan(Math.max(base!.perplexity, tuned!.perplexity));
    for (const p of [0, 1]) expect(bad!.divergences[p]!.nats).toBeGreaterThan(10 * good!.divergences[p]!.nats);
    expect(good!.divergences.map((d) => d.from)).toEqual(["base", "long-cot"]);
    expect(models.map((m) => m.broken !== undefined)).toEqual([false, false, false, true]);
    expect(bad!.broken).toMatch(/^\d\d% of its continuation of your text repeats itself; of the parents 0% and 26%/);
  });

  test("a merge that is not written has the numbers of its export", async () => {
    const preview = (await probe(model("base"), { kind: "merge", recipe: mild })).models[1]!;
    b.models.set("exported", (await b.merge(mild)).checkpoint);
    const exported = (await probe(model("base"), model("exported"))).models[1]!;
    expect([exported.perplexity, exported.repetition, exported.continuation]).toEqual([preview.perplexity, preview.repetition, preview.continuation]);
  });

  test("a text of one letter is refused, and a cancelled probe ends", async () => {
    await expect(b.engine.probe("probe", [model("base")], "4", nothing)).rejects.toThrow(/at least 2 are needed/);
    const going = b.engine.probe("probe", [model("base"), model("finetuned")], TEXT, () => void b.engine.cancel("probe"));
    await expect(going).rejects.toMatchObject({ code: "cancelled" });
  });
});
