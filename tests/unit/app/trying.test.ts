import { describe, expect, test } from "vitest";
import { contenders, problemCount, scoreRows, tryBlocked } from "../../../src/app/state/contenders";
import { MOST_VALUES } from "../../../src/app/state/sweepCells";
import type { SweepRecord } from "../../../src/app/state/sweepTypes";
import { createStudioStore, type StudioStore } from "../../../src/app/state/store";
import { StudioError } from "../../../src/core/errors";
import { fakeBase, fakeModel, fakeTuned } from "../../support/fakeData";
import { createFakeEngine, type FakeEngine, type FakeOptions } from "../../support/fakeEngine";

const settle = async (): Promise<void> => { for (let i = 0; i < 5; i++) await new Promise((resolve) => setTimeout(resolve, 0)); };
const until = async (done: () => boolean): Promise<void> => { for (let i = 0; i < 400 && !done(); i++) await new Promise((resolve) => setTimeout(resolve, 5)); };

async function withPair(options: FakeOptions = {}, map = new Map<string, string>()): Promise<{ store: StudioStore; engine: FakeEngine; map: Map<string, string> }> {
  const engine = createFakeEngine({ models: [fakeBase(), fakeTuned(), fakeModel({ id: "m3", name: "other" })], ...options });
  const store = createStudioStore(engine, { storage: { getItem: (k) => map.get(k) ?? null, setItem: (k, v) => void map.set(k, v), removeItem: (k) => void map.delete(k) } });
  await store.getState().start();
  store.getState().chooseBase("m1");
  store.getState().chooseModels(["m2"]);
  await settle();
  return { store, engine, map };
}
const problems = (n: number, answer = 3): File => new File([Array.from({ length: n }, (_, i) => JSON.stringify({ prompt: `${i}+${answer}=?`, answer: i + answer })).join("\n")], "set.jsonl");

describe("compare", () => {
  test("base, fine-tuned and merged answer one after the other, with each one's own template", async () => {
    const { store, engine } = await withPair();
    const s = store.getState();
    s.setPrompt("How far?\n");
    expect(contenders(store.getState()).map((c) => `${c.role} ${c.name}`)).toEqual(["base Qwen2.5-Math-1.5B", "tuned DeepSeek-R1-Distill-Qwen-1.5B", "merged FIM-TIES"]);
    const seen: string[] = [];
    store.subscribe((now) => { const line = Object.values(now.answers).map((a) => a.state).join(" "); if (line !== seen.at(-1)) seen.push(line); });
    await s.compare();
    expect(seen).toEqual(["waiting waiting waiting", "writing waiting waiting", "done waiting waiting", "done writing waiting", "done done waiting", "done done writing", "done done done"]);
    expect(engine.calls.filter((c) => c === "generate")).toHaveLength(3);
    const { answers, prompts, trying, running } = store.getState();
    expect(Object.keys(answers)).toEqual(["model m1", "model m2", "merge"]);
    expect(answers["model m2"]!.text).toMatch(/boxed\{270\}$/);
    expect(answers["model m2"]!.thinkTokens).toBeGreaterThan(answers.merge!.thinkTokens);
    expect(answers["model m1"]!.thinkTokens).toBe(0);
    expect([prompts, trying, running]).toEqual([["How far?\n"], undefined, {}]);
    // What was tried can be a column later.
    expect(store.getState().runs).toMatchObject([{ outcome: "tried", recipe: { method: "fim-ties" } }]);
  });

  test("another pair ends what answers, and gives its GPU memory back; so does another budget", async () => {
    const { store, engine } = await withPair({ hold: { try: 0.5 } });
    store.getState().setPrompt("p");
    const end = store.getState().compare();
    await until(() => store.getState().answers["model m1"]?.state === "writing");
    const before = engine.calls.filter((c) => c === "endTrying").length;
    store.getState().chooseModels(["m3"]);
    await end;
    await settle();
    expect(store.getState().trying).toBeUndefined();
    expect(engine.calls.filter((c) => c === "endTrying")).toHaveLength(before + 1);
    delete engine.options.hold;
    const asked = engine.calls.filter((c) => c === "tryFacts").length;
    await store.getState().refreshTryFacts();
    engine.options.streams = true;
    await store.getState().setBudgets({ gpuBytes: 2 ** 26 });
    await store.getState().refreshTryFacts();
    expect(store.getState().tryFacts.merge).toMatchObject({ gpuBytes: 2 ** 26, value: { bytesPerToken: 2_210_000_000 } });
    expect(engine.calls.filter((c) => c === "tryFacts")).toHaveLength(asked + 6);
    expect(engine.calls.filter((c) => c === "endTrying")).toHaveLength(before + 2);
    // While they are asked, the budget changes again.
    store.setState({ tryFacts: {}, budgets: { gpuBytes: 1, hostBytes: 1 } });
    const refreshed = store.getState().refreshTryFacts();
    store.setState({ budgets: { gpuBytes: 2, hostBytes: 1 } });
    await store.getState().refreshTryFacts();
    await refreshed;
    expect(Object.values(store.getState().tryFacts).map((f) => f.gpuBytes)).toEqual([2, 2, 2]);
  });

  test("another method of the same pair is a column of its own, and a run once it has answered", async () => {
    const { store } = await withPair();
    await store.getState().addMethodColumn("task-arithmetic");
    await store.getState().addMethodColumn("task-arithmetic");
    expect(contenders(store.getState()).slice(3).map((c) => `${c.key} ${c.name}`)).toEqual(["recipe task-arithmetic Task arithmetic, λ 0.50"]);
    store.getState().setPrompt("p");
    await store.getState().compare();
    expect(store.getState().answers["recipe task-arithmetic"]!.state).toBe("done");
    expect(store.getState().runs.map((run) => run.recipe.method)).toEqual(["task-arithmetic", "fim-ties"]);
    store.getState().removeColumn("recipe task-arithmetic");
    expect(contenders(store.getState())).toHaveLength(3);
  });

  test("stopping keeps what is written, and starts no other", async () => {
    const { store, engine } = await withPair({ hold: { try: 0.5 } });
    store.getState().setPrompt("p");
    const end = store.getState().compare();
    await until(() => (store.getState().answers["model m1"]?.tokens ?? 0) > 5);
    await store.getState().stopTrying();
    await end;
    const { answers, errors, trying } = store.getState();
    expect(Object.values(answers).map((a) => a.state)).toEqual(["stopped", "stopped", "stopped"]);
    expect(answers["model m1"]!.text).not.toBe("");
    expect(engine.calls.filter((c) => c === "generate")).toHaveLength(1);
    expect([errors, trying]).toEqual([[], undefined]);
  });

  test("a model that cannot answer says so in its column, and the others answer", async () => {
    const { store } = await withPair({ failures: { generate: new StudioError("unknown-architecture", "No forward pass.") } });
    store.getState().setPrompt("p");
    await store.getState().compare();
    expect(Object.values(store.getState().answers).map((a) => [a.state, a.fault])).toEqual([["failed", "No forward pass."], ["done", undefined], ["done", undefined]]);
    expect(store.getState().errors).toEqual([]);
  });

  test("thirty prompts are remembered, the latest first, each once; one can be forgotten", async () => {
    const { store, map, engine } = await withPair();
    store.setState({ prompts: Array.from({ length: 30 }, (_, i) => `p${i}`) });
    store.getState().setPrompt("p3");
    await store.getState().compare();
    expect(store.getState().prompts.slice(0, 2)).toEqual(["p3", "p0"]);
    expect(store.getState().prompts).toHaveLength(30);
    store.getState().setPrompt("new");
    await store.getState().compare();
    store.getState().forgetPrompt("p3");
    const again = createStudioStore(engine, { storage: { getItem: (k) => map.get(k) ?? null, setItem: () => undefined, removeItem: () => undefined } });
    expect(again.getState().prompts.slice(0, 2)).toEqual(["new", "p0"]);
    expect(again.getState().prompts).toHaveLength(29);
  });

  test("an earlier run and another model become columns; three at most, and they can go", async () => {
    const { store } = await withPair();
    await store.getState().measure();
    store.getState().setParam("r", 0.4);
    const [run] = store.getState().runs;
    store.getState().addColumn("run", run!.id);
    store.getState().addColumn("model", "m3");
    store.getState().addColumn("model", "m3");
    const names = (): string[] => contenders(store.getState()).slice(3).map((c) => `${c.role} ${c.name}`);
    expect(names()).toEqual(["other FIM-TIES, r 0.20", "other other"]);
    store.getState().removeColumn("model m3");
    expect(names()).toEqual(["other FIM-TIES, r 0.20"]);
    store.getState().setParam("r", 0.2);
    expect(names()).toEqual([]);
    store.getState().swapRoles();
    expect(store.getState().extraColumns).toEqual([]);
  });
});

describe("evaluate", () => {
  test("each model in turn; numbers go to its run and its model, and stay for the next visit", async () => {
    const { store, engine, map } = await withPair();
    await store.getState().giveProblems(problems(100));
    expect(problemCount(store.getState())).toBe(60);
    store.getState().setProblemCount(10);
    await store.getState().evaluate();
    expect(engine.calls.filter((c) => c === "evaluate")).toHaveLength(3);
    const rows = scoreRows(store.getState());
    expect(rows.map((r) => [r.role, r.score.summary.problems])).toEqual([["base", 10], ["tuned", 10], ["merged", 10]]);
    expect(rows[0]!.settings).toBe("greedy, at most 512 tokens");
    const { runs, evaluated } = store.getState();
    expect(runs).toMatchObject([{ outcome: "evaluated", recipeHash: expect.stringMatching(/^7f3a/), scores: [{ problems: "set.jsonl" }] }]);
    expect(evaluated.merge!.items).toHaveLength(10);
    const again = createStudioStore(engine, { storage: { getItem: (k) => map.get(k) ?? null, setItem: () => undefined, removeItem: () => undefined } });
    expect(again.getState().modelScores["m1"]).toHaveLength(1);
    expect(again.getState().runs[0]!.scores).toHaveLength(1);
    expect(JSON.stringify(again.getState().runs)).not.toContain("<think>");
  });

  test("what is known is not measured again; another recipe leaves the earlier one as a point", async () => {
    const { store, engine } = await withPair();
    await store.getState().giveProblems(problems(10));
    await store.getState().evaluate();
    store.getState().setParam("r", 0.4);
    await store.getState().evaluate();
    expect(engine.calls.filter((c) => c === "evaluate")).toHaveLength(4);
    expect(scoreRows(store.getState()).map((r) => `${r.role} ${r.name}`)).toEqual(["base Qwen2.5-Math-1.5B", "tuned DeepSeek-R1-Distill-Qwen-1.5B", "merged FIM-TIES", "other FIM-TIES, r 0.20"]);
    await store.getState().evaluate();
    expect(engine.calls.filter((c) => c === "evaluate")).toHaveLength(7);
    expect(scoreRows(store.getState())).toHaveLength(4);
    store.getState().setOverlay("none");
    expect(scoreRows(store.getState())).toHaveLength(3);
    const { id } = store.getState().runs[1]!;
    store.getState().chartRuns([]);
    expect(scoreRows(store.getState())).toHaveLength(3);
    store.getState().pinRun(id);
    expect(scoreRows(store.getState())).toHaveLength(4);
    store.getState().pinRun(id);
    store.getState().chartRuns([id]);
    expect(scoreRows(store.getState())[3]!.id).toContain(`run ${id}`);
  });

  test("sampled answers stand beside greedy ones under their own words, with majorities", async () => {
    const { store } = await withPair();
    await store.getState().giveProblems(problems(10));
    await store.getState().evaluate();
    store.getState().setTryForm({ sampling: "sample" });
    await store.getState().evaluate();
    const rows = scoreRows(store.getState()).filter((r) => r.role === "merged");
    expect(rows.map((r) => [r.settings, r.score.majority.map((m) => m.n)])).toEqual([["sampled, T 0.7, 8 samples, at most 512 tokens", [1, 4, 8]], ["greedy, at most 512 tokens", []]]);
  });

  test("other problems, or another number of them, are another chart", async () => {
    const { store } = await withPair();
    await store.getState().giveProblems(problems(10));
    await store.getState().evaluate();
    store.getState().setProblemCount(5);
    expect(scoreRows(store.getState())).toEqual([]);
    await store.getState().giveProblems(problems(10, 4));
    expect(scoreRows(store.getState())).toEqual([]);
    await store.getState().giveProblems(problems(10));
    expect(scoreRows(store.getState())).toHaveLength(3);
  });

  test("cancelling keeps the models that are finished", async () => {
    const { store, engine } = await withPair();
    await store.getState().giveProblems(problems(10));
    const end = store.getState().evaluate();
    await until(() => store.getState().evaluated["model m1"] !== undefined);
    engine.options.hold = { try: 0.5 };
    await until(() => store.getState().liveItems.length > 2);
    await store.getState().stopTrying();
    await end;
    expect(Object.keys(store.getState().evaluated)).toEqual(["model m1"]);
    expect(store.getState()).toMatchObject({ liveItems: [], trying: undefined, errors: [], running: {} });
    delete engine.options.hold;
    await store.getState().evaluate();
    expect(engine.calls.filter((c) => c === "evaluate")).toHaveLength(4);
  });

  test("a bad file is a card with its line, and the problems stay", async () => {
    const { store } = await withPair();
    await store.getState().giveProblems(problems(10));
    await store.getState().giveProblems(new File(['{"prompt":"p"}'], "bad.jsonl"));
    expect(store.getState().errors).toMatchObject([{ context: "Reading problems", error: { details: { where: "bad.jsonl, line 1" } } }]);
    expect(store.getState().problemSet!.name).toBe("set.jsonl");
    await store.getState().giveProblems(problems(3));
    expect(store.getState().errors).toEqual([]);
  });
});

test("fifty runs, half with every score that a run keeps and half sweeps of the largest grid, are remembered in less than 5 MB", async () => {
  const { store, map } = await withPair();
  await store.getState().giveProblems(problems(10));
  store.getState().setTryForm({ sampling: "sample" });
  store.getState().setSamples(32);
  for (let seed = 0; seed < 10; seed++) {
    store.getState().setTryForm({ seed });
    await store.getState().evaluate();
  }
  const [run] = store.getState().runs;
  expect(run!.scores).toHaveLength(8);
  const values = Array.from({ length: MOST_VALUES }, (_, i) => i / 7);
  const { options, summary } = run!.scores![0]!;
  const cells = values.flatMap((_, row) => values.map((__, column) => ({ row, column, recipeHash: "7f3a".repeat(16), tokens: 48.123456789, summary })));
  const sweep: SweepRecord = { form: { across: { param: "r", values }, down: { param: "scale", values }, over: "problems", problems: 300 }, asked: { set: "k".repeat(64), name: "set.jsonl" }, options, cells };
  store.setState({ runs: Array.from({ length: 50 }, (_, i) => ({ ...run!, id: `r${i}`, ...(i % 2 ? { sweep } : {}), alphas: Array.from({ length: 80 }, (_, k) => 0.5 + k / 1000), note: "n".repeat(200) })) });
  expect(map.get("tributary")!.length).toBeLessThan(5_000_000);
  expect(map.get("tributary")!.length).toBeGreaterThan(50_000);
});

test("what keeps a pair from being tried", async () => {
  const { store } = await withPair();
  expect(tryBlocked(store.getState())).toBeUndefined();
  const without = await withPair({ gpu: "none" });
  expect(tryBlocked(without.store.getState())).toBe("answers need WebGPU");
  store.getState().chooseModels([]);
  expect(tryBlocked(store.getState())).toBe("two models that fit together come first");
});
