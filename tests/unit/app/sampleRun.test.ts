import { beforeEach, describe, expect, test, vi } from "vitest";
import { sampleSteps } from "../../../src/app/panels/shell/sampleModel";
import { scoreRows } from "../../../src/app/state/contenders";
import { createStudioStore, type StudioStore } from "../../../src/app/state/store";
import type { StudioState } from "../../../src/app/state";
import { StudioError } from "../../../src/core/errors";
import { createFakeEngine, type FakeEngine, type FakeOptions } from "../../support/fakeEngine";

const PROBLEMS = Array.from({ length: 200 }, (_, i) => JSON.stringify({ prompt: `${i}+1=?`, answer: i + 1, tier: i < 100 ? "easy" : "hard" })).join("\n");
const fetched = vi.fn(async (path: string) => new Response(path.endsWith(".jsonl") ? PROBLEMS : new Uint8Array(4)));
beforeEach(() => {
  fetched.mockClear();
  vi.stubGlobal("fetch", fetched);
});

const until = async (done: () => boolean): Promise<void> => {
  for (let i = 0; i < 400 && !done(); i++) await new Promise((resolve) => setTimeout(resolve, 2));
  expect(done()).toBe(true);
};

async function setup(options: FakeOptions = {}): Promise<{ store: StudioStore; engine: FakeEngine; s: () => StudioState; end: Promise<void>; seen: string[] }> {
  const engine = createFakeEngine(options);
  const store = createStudioStore(engine, { storage: { getItem: () => null, setItem: () => undefined, removeItem: () => undefined } });
  await store.getState().start();
  const seen: string[] = [];
  const note = (s: StudioState): void => {
    const run = s.sampleRun;
    const line = `${run?.part} ${run?.state} on ${s.step}`;
    if (run && line !== seen.at(-1)) seen.push(line);
  };
  store.subscribe(note);
  return { store, engine, s: store.getState, end: store.getState().runSample(), seen };
}
const evaluations = (engine: FakeEngine): number => engine.calls.filter((c) => c === "evaluate").length;

describe("the sample pair on one click", () => {
  test("is copied, checked, measured and evaluated, page by page, and ends at the chart", async () => {
    const { s, end, seen, engine } = await setup();
    await end;
    expect(seen).toEqual(["copy running on load", "check running on load", "measure running on shape", "evaluate running on try", "evaluate done on try"]);
    expect(s()).toMatchObject({ tryTab: "evaluate", errors: [], recipe: { method: "fim-ties" }, measuring: undefined, trying: undefined });
    expect(scoreRows(s()).map((r) => [r.role, r.settings, r.score.summary.problems])).toEqual([["base", "greedy, at most 512 tokens", 60], ["tuned", "greedy, at most 512 tokens", 60], ["merged", "greedy, at most 512 tokens", 60]]);
    expect(evaluations(engine)).toBe(3);
  });

  test("the word on it stays until its results were seen and left", async () => {
    const { s, end } = await setup();
    await end;
    expect(s().sampleRun).toMatchObject({ state: "done" });
    s().setTryTab("compare");
    expect(s().sampleRun).toBeUndefined();
  });

  test("once more: nothing is copied again, and settings of before do not count", async () => {
    const { s, end, engine } = await setup();
    await end;
    s().setTryForm({ sampling: "sample" });
    s().setProblemCount(5);
    s().setParam("r", 0.4);
    await s().runSample();
    expect(s()).toMatchObject({ sampleRun: { state: "done" }, recipe: { params: { r: 0.2 } } });
    expect([...new Set(scoreRows(s()).filter((r) => r.role !== "other").map((r) => r.settings))]).toEqual(["greedy, at most 512 tokens"]);
    expect(engine.calls.filter((c) => c === "ingest")).toHaveLength(2);
    expect(evaluations(engine)).toBe(6);
  });

  test("says what is done, at work and to come", async () => {
    const { s, engine, end } = await setup({ hold: { measure: 0.5 } });
    await until(() => s().measuring !== undefined && Object.keys(s().running).length > 0);
    expect(sampleSteps(s()).map((p) => `${p.label} ${p.state}`)).toEqual(["Copy done", "Check done", "Fisher now", "Base todo", "Fine-tuned todo", "Merged todo"]);
    await until(() => sampleSteps(s())[2]!.count === "50%");
    expect(sampleSteps(s())[2]!.left).toMatch(/^about \d+ s$/);
    engine.options.hold = {};
    await until(() => s().evaluated[`model ${s().baseId}`] !== undefined);
    engine.options.hold = { try: 0.5 };
    await until(() => sampleSteps(s())[4]!.count === "30 of 60");
    expect(sampleSteps(s()).map((p) => p.state)).toEqual(["done", "done", "done", "done", "now", "todo"]);
    engine.options.hold = {};
    await end;
  });
});

describe("a running sample and a person's hand", () => {
  test("who goes elsewhere stays there, and the run goes on behind", async () => {
    const { s, engine, end } = await setup({ hold: { measure: 0.5 } });
    await until(() => s().measuring !== undefined);
    s().go("check");
    expect(s().sampleRun).toMatchObject({ state: "running", follows: false });
    s().go("shape");
    engine.options.hold = {};
    await end;
    expect(s()).toMatchObject({ step: "shape", sampleRun: { state: "done" } });
    expect(scoreRows(s())).toHaveLength(3);
  });

  test("the page does not move under an open drawer, nor back from Compare", async () => {
    const first = await setup({ hold: { measure: 0.5 } });
    await until(() => first.s().measuring !== undefined);
    first.s().openDrawer("methods");
    first.engine.options.hold = {};
    await first.end;
    expect(first.s()).toMatchObject({ step: "shape", drawer: "methods", sampleRun: { state: "done", follows: false } });
    const second = await setup({ hold: { try: 0.5 } });
    await until(() => second.s().trying !== undefined);
    second.s().setTryTab("compare");
    expect(second.s().sampleRun).toMatchObject({ state: "running", follows: false });
    second.engine.options.hold = {};
    await second.end;
    expect(second.s()).toMatchObject({ tryTab: "compare", sampleRun: { state: "done" } });
  });

  test("a changed recipe ends it: the pass goes on, nothing is asked", async () => {
    const { s, engine, end } = await setup({ hold: { measure: 0.5 } });
    await until(() => s().measuring !== undefined);
    s().setParam("gateFactor", 0.5);
    expect(s().sampleRun).toMatchObject({ state: "left", part: "measure" });
    engine.options.hold = {};
    await end;
    expect(s()).toMatchObject({ step: "shape", shape: { complete: true }, errors: [] });
    expect(evaluations(engine)).toBe(0);
  });

  test("another pair ends it without a word", async () => {
    const { s, end } = await setup();
    await end;
    expect(s().sampleRun).toMatchObject({ state: "done" });
    s().swapRoles();
    expect(s().sampleRun).toBeUndefined();
  });

  test.each(["ingest", "measure", "try"] as const)("Stop ends the work in hand (%s) and keeps what is done", async (kind) => {
    const { s, engine, end } = await setup({ hold: { [kind]: 0.5 } });
    await until(() => Object.values(s().running).some((p) => p.kind === kind && p.fraction === 0.5));
    await s().stopSample();
    await end;
    expect(s()).toMatchObject({ sampleRun: { state: "stopped" }, errors: [], running: {}, measuring: undefined, trying: undefined, step: { ingest: "load", measure: "shape", try: "try" }[kind] });
    expect(engine.calls.filter((c) => c === "ingest")).toHaveLength(kind === "ingest" ? 1 : 2);
    if (kind === "try") expect(s().shape).toMatchObject({ complete: true });
    s().dismissSample();
    expect(s().sampleRun).toBeUndefined();
  });

  test("a stop in the moment before the first model answers is heard", async () => {
    const { s, engine, end } = await setup();
    const facts = engine.tryFacts.bind(engine);
    engine.tryFacts = async (model) => {
      await s().stopSample();
      return facts(model);
    };
    await end;
    expect(s().sampleRun).toMatchObject({ state: "stopped" });
    expect(evaluations(engine)).toBe(0);
  });

  test("the step's own Cancel and Stop end it too", async () => {
    const { s, end } = await setup({ hold: { measure: 0.5 } });
    await until(() => s().measuring !== undefined);
    await s().cancel(s().measuring!);
    await end;
    expect(s()).toMatchObject({ step: "shape", sampleRun: { state: "stopped", part: "measure" }, errors: [] });
    const other = await setup({ hold: { try: 0.5 } });
    await until(() => other.s().trying !== undefined);
    await other.s().stopTrying();
    await other.end;
    expect(other.s().sampleRun).toMatchObject({ state: "stopped", part: "evaluate" });
  });
});

describe("a sample run that cannot go on", () => {
  test.each([
    ["ingest", "load", "Reading calculator-base"], ["measure", "shape", "Measuring which layers matter"], ["evaluate", "try", "Evaluating calculator-base"],
  ] as const)("%s: its card says why, and the page stays", async (call, step, context) => {
    const engineError = new StudioError("internal", "It went wrong.");
    const { s, end } = await setup({ failures: { [call]: engineError } });
    await end;
    expect(s().sampleRun).toMatchObject({ state: "failed" });
    expect(s().errors.map((e) => e.context)).toEqual([context]);
    expect(s().step).toBe(step);
  });

  test("without WebGPU it ends at Shape and says so", async () => {
    const { s, end } = await setup({ gpu: "none" });
    await end;
    expect(s()).toMatchObject({ step: "shape", sampleRun: { state: "no-gpu" }, errors: [] });
  });
});
