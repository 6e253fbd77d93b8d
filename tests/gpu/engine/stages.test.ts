import { beforeAll, describe, expect, test } from "vitest";
import { acmInformation, acmLambda } from "../../../src/activations/acm";
import { aimFactors, inputMeans } from "../../../src/activations/aim";
import type { Calibration, PostStage, Recipe } from "../../../src/core/recipe";
import type { Checkpoint } from "../../../src/core/tensors";
import { calibrationSequences } from "../../../src/text/calibration";
import { expectClose } from "../../support/compare";
import { bench, recipeFor, valuesOf, watchedGpu, type Bench } from "../../support/engineBench";
import { sampleCheckpoint, sampleProblems } from "../../support/nodeCheckpoint";
import { testGpu } from "../../support/gpu";
import { withValues } from "../../support/perturbed";


const texts = sampleProblems(6).map((p) => p.prompt);
const calibration: Calibration = { source: "given", name: "problems", texts, samples: 6, maxTokens: 64, seed: 1 };

/** Stages on the real pair, whose tokenizer reads the texts: the merge before a stage is never written. */
describe("stages after a merge", () => {
  let base: Checkpoint;
  let tuned: Checkpoint;
  let b: Bench;
  let sequences: number[][];
  const recipe = (method: string, params: Recipe["params"], then: PostStage[]): Recipe => ({ ...recipeFor(method, params), then, calibration, output: { dtype: "F32", maxShardBytes: 1 << 30, name: "merged" } });

  beforeAll(async () => {
    [base, tuned] = [await sampleCheckpoint("base"), await sampleCheckpoint("long-cot")];
    b = bench((await watchedGpu()).gpu, { base, finetuned: tuned });
    sequences = await calibrationSequences(calibration, base);
  });

  test("task arithmetic, then AIM: each input column keeps 1 - v (1 - omega) of the change; biases and omega 1 change nothing", async () => {
    const { checkpoint, report } = await b.merge(recipe("task-arithmetic", { lambda: 0.7 }, [{ method: "aim", params: { omega: 0.25 } }]));
    expect(report.checks.filter((c) => c.verdict !== "pass")).toEqual([]);
    const means = await inputMeans(await testGpu(), base, sequences);
    let treated = 0;
    for (const [name, info] of checkpoint.tensors) {
      const [before, after] = [await valuesOf(base, name), await valuesOf(tuned, name)];
      // The pair is tied: the head is the embedding, and is treated as the head.
      const found = means.get(name) ?? (name === "model.embed_tokens.weight" ? means.get("lm_head.weight") : undefined);
      const factors = found && !name.endsWith(".bias") ? aimFactors(found, 0.25) : undefined;
      if (factors) treated++;
      const cols = factors?.length ?? 1;
      expect(factors === undefined || info.shape.at(-1) === cols, name).toBe(true);
      expectClose(await valuesOf(checkpoint, name), Float64Array.from(before, (v, i) => v + 0.7 * (after[i]! - v) * (factors ? factors[i % cols]! : 1)), { atol: 1e-6 }, name);
    }
    expect(treated).toBe([...checkpoint.tensors.keys()].filter((n) => !n.endsWith(".bias")).length);
    const plain = await b.merge(recipe("task-arithmetic", { lambda: 0.7 }, []));
    const same = await b.merge(recipe("task-arithmetic", { lambda: 0.7 }, [{ method: "aim", params: { omega: 1 } }]));
    for (const name of plain.checkpoint.tensors.keys()) expectClose(await valuesOf(same.checkpoint, name), Float64Array.from(await valuesOf(plain.checkpoint, name)), { atol: 1e-7 }, name);
  });

  test("NaN in the base is named before a stage goes by it", async () => {
    const name = "model.layers.0.mlp.down_proj.weight";
    const bad = bench(b.env.gpu, { base: await withValues(base, name, [[5, NaN]]), finetuned: tuned });
    await expect(bad.merge(recipe("passthrough", {}, [{ method: "aim", params: {} }]))).rejects.toMatchObject({ code: "bad-file", message: expect.stringMatching(new RegExp(`^Measuring for AIM.*: "${name}" of the base .* the first NaN at element 5 \\(0, 5\\)`)) });
  });

  test("TIES, then ACM: every layer keeps the lambda that base and merge have, as an exported TIES merge has it", async () => {
    const plain = await b.merge(recipe("ties", { density: 0.3 }, []));
    const { checkpoint } = await b.merge(recipe("ties", { density: 0.3 }, [{ method: "acm", params: { t: 0.9 } }]));
    const found = await acmInformation(await testGpu(), base, plain.checkpoint, sequences);
    for (const name of checkpoint.tensors.keys()) {
      const layer = /layers\.(\d+)\./.exec(name)?.[1];
      const lambda = acmLambda(Array.from(found.get(layer !== undefined ? Number(layer) : name.includes("embed") ? -1 : -2)!), 0.9);
      expect(lambda).toBeGreaterThanOrEqual(0.5);
      const [before, merged] = [await valuesOf(base, name), await valuesOf(plain.checkpoint, name)];
      expectClose(await valuesOf(checkpoint, name), Float64Array.from(before, (v, i) => v + lambda * (merged[i]! - v)), { atol: 1e-6 }, name);
    }
    const shape = await b.shape(recipe("ties", { density: 0.3 }, [{ method: "acm", params: { t: 0.9 } }]));
    expect(shape.complete).toBe(true);
    expect(shape.stages![0]!.tensors).toHaveLength(checkpoint.tensors.size);
  });

  test("two stages: the second is measured on the model of the first", async () => {
    const then = [{ method: "aim", params: {} }, { method: "acm", params: {} }];
    const first = await b.merge(recipe("linear", {}, then.slice(0, 1)));
    const both = await b.merge(recipe("linear", {}, then));
    const found = await acmInformation(await testGpu(), base, first.checkpoint, sequences);
    const name = "model.layers.2.mlp.down_proj.weight";
    const lambda = acmLambda(Array.from(found.get(2)!));
    const [before, merged] = [await valuesOf(base, name), await valuesOf(first.checkpoint, name)];
    expectClose(await valuesOf(both.checkpoint, name), Float64Array.from(before, (v, i) => v + lambda * (merged[i]! - v)), { atol: 1e-6 }, name);
  });

  test("a stage is measured once for its recipe; what is shown at once does not measure again, and a stage without text is refused", async () => {
    const with_ = (omega: number): Recipe => recipe("linear", { includeBase: true }, [{ method: "aim", params: { omega } }]);
    expect((await b.shape(with_(0.4))).complete, "measured for other merges of this base").toBe(true);
    const [low, high] = [await b.shape(with_(0.1)), await b.shape(with_(0.9))];
    expect(low.stages![0]!.mean!).toBeLessThan(high.stages![0]!.mean!);
    expect((await b.shape({ ...with_(0.4), calibration: { ...calibration, seed: 2, samples: 3 } })).needsPass).toBe(true);
    const { calibration: _, ...without } = with_(0.4);
    await expect(b.shape(without)).rejects.toThrow(/AIM needs calibration text/);
  });
});
