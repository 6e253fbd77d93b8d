import { describe, expect, test } from "vitest";
import { createStudioStore, type StudioStore } from "../../../src/app/state/store";
import { defaultSweepForm, readValues, sweepBlocked, sweepCells, sweepFormOf } from "../../../src/app/state/sweepCells";
import { StudioError } from "../../../src/core/errors";
import { METHODS } from "../../../src/merge/methods";
import { methodInfo } from "../../../src/merge/methods/index";
import { bestCell, cellPlace, sweepWords, sweptRows } from "../../../src/app/state/swept";
import { runMatches } from "../../../src/app/panels/drawers/runSearch";
import { fakeBase, fakeTuned } from "../../support/fakeData";
import { createFakeEngine, type FakeEngine, type FakeOptions } from "../../support/fakeEngine";

const until = async (done: () => boolean): Promise<void> => { for (let i = 0; i < 400 && !done(); i++) await new Promise((resolve) => setTimeout(resolve, 5)); };

const problems = (): File => new File([Array.from({ length: 30 }, (_, i) => JSON.stringify({ prompt: `${i}+3=?`, answer: i + 3 })).join("\n")], "set.jsonl");

async function withProblems(options: FakeOptions = {}): Promise<{ store: StudioStore; engine: FakeEngine; memory: Map<string, string> }> {
  const memory = new Map<string, string>();
  const engine = createFakeEngine({ models: [fakeBase(), fakeTuned()], steps: 2, ...options });
  const store = createStudioStore(engine, { storage: { getItem: (k) => memory.get(k) ?? null, setItem: (k, v) => void memory.set(k, v), removeItem: (k) => void memory.delete(k) } });
  await store.getState().start();
  store.getState().chooseBase("m1");
  store.getState().chooseModels(["m2"]);
  await until(() => store.getState().recipe !== undefined);
  await store.getState().giveProblems(problems());
  store.getState().setSweepForm({ across: { param: "r", values: [0.1, 0.2, 0.3] }, down: { param: "gateFactor", values: [0.7, 0.42] } });
  return { store, engine, memory };
}
const evaluated = (engine: FakeEngine): number => engine.calls.filter((c) => c === "evaluate").length;

describe("the grid", () => {
  test("every method that has numbers gets a share across and a scale down, within their ranges", () => {
    const forms = new Map(METHODS.map((m) => [m.id, { method: methodInfo(m), form: defaultSweepForm(methodInfo(m)) }]));
    expect(forms.get("fim-ties")!.form).toMatchObject({ across: { param: "r", values: [0.1, 0.2, 0.3, 0.4, 0.6] }, down: { param: "scale", values: [1, 0.8, 0.6] }, problems: 20 });
    expect(forms.get("ties")!.form).toMatchObject({ across: { param: "density" }, down: { param: "lambda" } });
    expect(forms.get("task-arithmetic")!.form).toEqual({ across: { param: "lambda", values: [1, 0.8, 0.6] }, over: "problems", problems: 20 });
    for (const { method, form } of forms.values())
      for (const axis of form ? [form.across, form.down ?? form.across] : []) {
        const spec = method.params[axis.param] as { min: number; max: number };
        for (const v of axis.values) expect(v >= spec.min && v <= spec.max, `${method.id} ${axis.param} ${v}`).toBe(true);
      }
  });

  test("typed values are read, or refused with the range", () => {
    const spec = { kind: "number", label: "", help: "", effect: "at-once", default: 1, min: -2, max: 3 } as const;
    expect(readValues("0.1, 0.2 0.2;−1", spec)).toEqual([0.1, 0.2, -1]);
    expect(readValues("", spec)).toBe("Numbers from -2 to 3, with commas between them.");
    expect(readValues("1, 4", spec)).toBe("Every number from -2 to 3.");
    expect(readValues("1, x", spec)).toBe("Every number from -2 to 3.");
    expect(readValues("0 .1 .2 .3 .4 .5 .6", spec)).toBe("At most 6 numbers.");
    expect(readValues("0.5", { ...spec, integer: true })).toBe("Whole numbers from -2 to 3.");
  });

  test("a cell's numbers take the place of varying ones, and leave the rest of the recipe alone", async () => {
    const { store } = await withProblems();
    store.getState().setVarying({ param: "r", model: 0 }, [0.1, 0.9]);
    store.getState().setVarying({ param: "gateFactor" }, [0.1, 0.9]);
    const cells = sweepCells(store.getState());
    expect(cells).toHaveLength(6);
    expect(cells[4]).toMatchObject({ row: 1, column: 1, recipe: { params: { r: 0.2, gateFactor: 0.42, theta: "adaptive" } } });
    expect([cells[4]!.recipe.vary, cells[4]!.recipe.models[0]!.params]).toEqual([undefined, undefined]);
    expect(new Set(cells.map((c) => c.key)).size).toBe(6);
  });
});

describe("sweeping", () => {
  test("makes each merge once; a second sweep makes only what is new", async () => {
    const { store, engine } = await withProblems();
    const seen: number[] = [];
    store.subscribe((s) => { const n = Object.keys(s.sweepResults).length; if (n !== seen.at(-1)) seen.push(n); });
    await store.getState().sweep();
    expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(evaluated(engine)).toBe(6);
    const { sweepRun, sweepResults, trying, running } = store.getState();
    expect(sweepRun).toMatchObject({ made: 6, repeated: 0, working: undefined });
    expect([trying, running]).toEqual([undefined, {}]);
    const result = sweepResults[sweepCells(store.getState())[0]!.key]!;
    expect(result.score!.set).toMatch(/\/20$/);
    expect(result.accuracy).toBe(result.score!.summary.accuracy.mean);
    await store.getState().sweep();
    expect(evaluated(engine)).toBe(6);
    store.getState().setSweepForm({ across: { param: "r", values: [0.1, 0.5] } });
    await store.getState().sweep();
    expect(evaluated(engine)).toBe(8);
    expect(store.getState().sweepRun).toMatchObject({ cells: 2, made: 2, repeated: 0 });
    // Cells of a chosen sweep lie in the chart of the same problems.
    expect(sweptRows(store.getState())).toEqual([]);
    store.getState().setProblemCount(20);
    store.getState().chartRuns([store.getState().runs[1]!.id]);
    expect(sweptRows(store.getState()).map((row) => row.name).slice(0, 3)).toEqual(["r 0.10, gate 0.70", "r 0.20, gate 0.70", "r 0.30, gate 0.70"]);
    store.getState().setProblemCount(21);
    expect(sweptRows(store.getState())).toEqual([]);
    // Each grid is a row of the history.
    expect(store.getState().runs.map((run) => [run.outcome, run.sweep!.cells.length])).toEqual([["swept", 4], ["swept", 6]]);
  });

  test("cancelled it keeps the finished cells, and goes on from there", async () => {
    const { store, engine } = await withProblems({ steps: 20 });
    const end = store.getState().sweep();
    await until(() => Object.keys(store.getState().sweepResults).length === 2);
    await store.getState().stopTrying();
    await end;
    expect(Object.keys(store.getState().sweepResults)).toHaveLength(2);
    expect([store.getState().trying, store.getState().errors]).toEqual([undefined, []]);
    const [cut] = store.getState().runs;
    expect(sweepWords(cut!.sweep!).found).toBe("2 of 6 cells on 20 problems, greedy");
    const before = evaluated(engine);
    await store.getState().sweep();
    expect(evaluated(engine) - before).toBe(4);
    expect(Object.keys(store.getState().sweepResults)).toHaveLength(6);
    expect(store.getState().runs).toMatchObject([{ id: cut!.id, sweep: { cells: { length: 6 } } }]);
  });

  test("a sweep of another visit is restored with its grid, and goes on with its problems", async () => {
    const { store, engine, memory } = await withProblems();
    store.getState().setTryForm({ sampling: "sample", temperature: 0.5 });
    await store.getState().sweep();
    const { sweep, recipeHash } = store.getState().runs[0]!;
    const [words, best] = [sweepWords(sweep!), bestCell(sweep!)!];
    expect(words).toEqual({ axes: "r 0.10, 0.20, 0.30 × gate 0.70, 0.42", found: "6 of 6 cells on 20 problems, sampled, T 0.5", best: `${(100 * best.summary!.accuracy.mean).toFixed(1)}% · ${best.tokens.toFixed(1)} tokens`, at: cellPlace(sweep!, best) });
    expect(recipeHash).toMatch(/^7f3a/);
    expect(sweep!.cells.every((c) => c.summary!.accuracy.mean <= best.summary!.accuracy.mean)).toBe(true);

    const finds = (search: string): boolean => runMatches(store.getState().runs[0]!, "FIM-TIES swept", search);
    expect(["fim sweep r>0.2", "fim swept r>0.2", "r>0.3", "gate<=0.42", "accuracy>=200%", "tokens>1", "nothing=0", "θ=0.3"].map(finds)).toEqual([false, true, false, true, false, true, false, false]);

    const again = createStudioStore(engine, { storage: { getItem: (k) => memory.get(k) ?? null, setItem: () => undefined, removeItem: () => undefined } });
    await again.getState().start();
    again.getState().setParam("r", 0.6);
    again.getState().restoreRun(again.getState().runs[0]!.id);
    await until(() => Object.keys(again.getState().sweepResults).length > 0);
    await again.getState().refreshTryFacts();
    const s = again.getState();
    expect([s.step, s.tryTab, s.tryForm.temperature, s.recipe!.params.r]).toEqual(["try", "evaluate", 0.5, store.getState().recipe!.params.r]);
    expect(sweepCells(s).map((c) => s.sweepResults[c.key]!.score!.summary.accuracy.mean)).toEqual(sweep!.cells.map((c) => c.summary!.accuracy.mean));
    expect(sweepBlocked(s)).toBe("Choose set.jsonl to go on with this sweep.");
    await s.giveProblems(problems());
    const before = evaluated(engine);
    await again.getState().sweep();
    expect(evaluated(engine)).toBe(before);
    // Half a grid, filled from there.
    again.getState().setSweepForm({ across: { param: "r", values: [0.1, 0.9] } });
    await again.getState().sweep();
    expect(evaluated(engine) - before).toBe(2);
    await again.getState().adoptCell(sweepCells(again.getState())[0]!.key);
    expect(again.getState().recipe!.params).toMatchObject({ r: 0.1, gateFactor: 0.7 });
  });

  test("what is asked is what it was at the click, whatever changes on the page", async () => {
    const { store } = await withProblems({ steps: 20 });
    store.getState().setSweepForm({ over: "prompt" });
    store.getState().setPrompt("How far?");
    const end = store.getState().sweep();
    await until(() => Object.keys(store.getState().sweepResults).length === 1);
    store.getState().setPrompt("How long?");
    store.getState().setParam("theta", 0.3);
    await end;
    expect(store.getState().runs).toMatchObject([{ recipe: { params: { theta: "adaptive" } }, sweep: { asked: { prompt: "How far?" }, cells: { length: 6 } } }]);
    expect(sweepWords(store.getState().runs[0]!.sweep!)).toMatchObject({ found: "6 of 6 cells on one prompt, greedy", best: expect.stringMatching(/^\d+–\d+ tokens$/) });
  });

  test("a cell that fails says why, and the next one is answered", async () => {
    const { store } = await withProblems({ failures: { evaluate: new StudioError("bad-recipe", "No such mask.") } });
    await store.getState().sweep();
    expect(Object.values(store.getState().sweepFaults)).toEqual(["No such mask."]);
    expect(Object.keys(store.getState().sweepResults)).toHaveLength(5);
  });

  test("a cell that is adopted becomes the recipe in one step, with its result in the history", async () => {
    const { store } = await withProblems();
    await store.getState().sweep();
    const before = store.getState().recipe!;
    const cell = sweepCells(store.getState())[5]!;
    await store.getState().adoptCell(cell.key);
    const { recipe, runs } = store.getState();
    expect(recipe!.params).toEqual({ ...before.params, r: 0.3, gateFactor: 0.42 });
    expect(recipe!.output).toEqual(before.output);
    expect(runs[0]).toMatchObject({ outcome: "evaluated", recipe: { params: { r: 0.3 } } });
    expect(runs[0]!.scores).toHaveLength(1);
    // The grid still knows its cells.
    expect(sweepCells(store.getState()).every((c) => store.getState().sweepResults[c.key])).toBe(true);
    store.getState().undo();
    expect(store.getState().recipe!.params).toEqual(before.params);
  });

  test("over a prompt the answer's tokens are told; without one it cannot begin", async () => {
    const { store, engine } = await withProblems();
    store.getState().setSweepForm({ over: "prompt" });
    expect(sweepBlocked(store.getState())).toBe("Write a prompt in Compare first.");
    await store.getState().sweep();
    store.getState().setPrompt("How far?");
    await store.getState().sweep();
    expect(engine.calls.filter((c) => c === "generate")).toHaveLength(6);
    const result = store.getState().sweepResults[sweepCells(store.getState())[0]!.key]!;
    expect([result.accuracy, result.tokens > 5, result.text!.length > 5]).toEqual([undefined, true, true]);
    await store.getState().setMethod("linear");
    expect([sweepFormOf(store.getState()), sweepBlocked(store.getState())]).toEqual([undefined, "This method has no number to go along."]);
  });
});

test("a probe is of base, fine-tuned and merged, and a fault of it is a card", async () => {
  const { store, engine } = await withProblems({ broken: true });
  await store.getState().probe();
  expect(engine.calls).not.toContain("probe");
  store.getState().setProbeText("Once upon a time there was a tensor.");
  await store.getState().probe();
  const { probed, recipe, trying } = store.getState();
  expect(probed!.probe.models.map((m) => m.broken !== undefined)).toEqual([false, false, true]);
  expect([probed!.recipe, trying]).toEqual([JSON.stringify(recipe), undefined]);
  engine.options.failures = { probe: new StudioError("bad-request", "The text is too short.") };
  await store.getState().probe();
  expect(store.getState().errors.map((e) => e.error.message)).toEqual(["The text is too short."]);
});
