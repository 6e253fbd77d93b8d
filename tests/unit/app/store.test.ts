import { beforeEach, describe, expect, test, vi } from "vitest";
import { createStudioStore, type StudioStore } from "../../../src/app/state/store";
import { canOpen } from "../../../src/app/state/steps";
import { StudioError } from "../../../src/core/errors";
import type { Recipe } from "../../../src/core/recipe";
import type { UnfinishedExport } from "../../../src/engine/api";
import { fakeBase, fakeRecipe, fakeTuned, fakeModel } from "../../support/fakeData";
import { createFakeEngine, fakeFolder, type FakeEngine, type FakeOptions } from "../../support/fakeEngine";

/** Frames run when the test says so: `frame()` is the end of one. */
function setup(options: FakeOptions = {}): { engine: FakeEngine; store: StudioStore; frame: () => Promise<void>; saved: Map<string, string>; clock: { ms: number } } {
  const engine = createFakeEngine(options);
  const saved = new Map<string, string>();
  const clock = { ms: 0 };
  const pending = new Map<string, () => void>();
  const store = createStudioStore(engine, {
    storage: { getItem: (key) => saved.get(key) ?? null, setItem: (key, value) => void saved.set(key, value), removeItem: (key) => void saved.delete(key) },
    now: () => clock.ms,
    nextFrame: (key, work) => void pending.set(key, work),
  });
  const frame = async (): Promise<void> => {
    const work = [...pending.values()];
    pending.clear();
    for (const run of work) run();
    await settle();
  };
  return { engine, store, frame, saved, clock };
}
const settle = async (): Promise<void> => { for (let i = 0; i < 5; i++) await new Promise((resolve) => setTimeout(resolve, 0)); };
const pair = (): FakeOptions => ({ models: [fakeBase(), fakeTuned()] });
const count = (engine: FakeEngine, name: string): number => engine.calls.filter((call) => call === name).length;

async function withPair(options: FakeOptions = pair()) {
  const all = setup(options);
  await all.store.getState().start();
  all.store.getState().chooseBase("m1");
  all.store.getState().chooseModels(["m2"]);
  await settle();
  await all.frame();
  return all;
}

describe("adding folders", () => {
  test("the first is the base, the second fine-tuned, and the pair is checked without being asked", async () => {
    const { engine, store } = setup();
    await store.getState().start();
    await store.getState().addFolders([fakeFolder("Qwen2.5-Math-1.5B"), fakeFolder("DeepSeek-R1-Distill")]);
    const s = store.getState();
    expect(s.models.find((m) => m.id === s.baseId)?.name).toBe("Qwen2.5-Math-1.5B");
    expect(s.modelIds.map((id) => s.models.find((m) => m.id === id)?.name)).toEqual(["DeepSeek-R1-Distill"]);
    expect(s.preflight?.verdict).toBe("ok");
    expect(s.recipe?.method).toBe("fim-ties");
    expect(s.running).toEqual({});
    expect(s.queue.map((item) => item.state)).toEqual(["done", "done"]);
    expect(count(engine, "ingest")).toBe(2);
  });

  test("roles are given while the copy goes on, from the header alone", async () => {
    const { store } = setup({ hold: { ingest: 0.5 } });
    await store.getState().start();
    const end = store.getState().addFolders([fakeFolder("Qwen2.5-Math-1.5B")]);
    await vi.waitFor(() => expect(store.getState().baseId).toBeDefined());
    const [item] = store.getState().queue;
    expect(store.getState().models.find((m) => m.id === item!.modelId)?.state).toBe("ingesting");
    expect(Object.values(store.getState().running)[0]?.kind).toBe("ingest");
    await store.getState().cancel(item!.jobId);
    await end;
    expect(store.getState().queue[0]?.state).toBe("cancelled");
    expect(store.getState().errors).toEqual([]);
    expect(store.getState().running).toEqual({});
  });

  test("one unreadable folder is an error with its context, and the next is still read", async () => {
    const { store } = setup({ failures: { ingest: new StudioError("bad-file", "The file ends too early.", { where: "model.safetensors" }) } });
    await store.getState().addFolders([fakeFolder("broken"), fakeFolder("whole")]);
    const s = store.getState();
    expect(s.errors).toMatchObject([{ context: "Reading broken", error: { code: "bad-file", details: { where: "model.safetensors" } } }]);
    expect(s.queue.map((item) => item.state)).toEqual(["failed", "done"]);
    expect(s.models.find((m) => m.id === s.baseId)?.name).toBe("whole");
    s.dismissError(s.errors[0]!.id);
    expect(store.getState().errors).toEqual([]);
  });

  test("a failed folder can be read again, and its error leaves", async () => {
    const { store } = setup({ failures: { ingest: new StudioError("storage-full", "No space.") } });
    await store.getState().addFolders([fakeFolder("model")]);
    await store.getState().retry(store.getState().queue[0]!.jobId);
    expect(store.getState().errors).toEqual([]);
    expect(store.getState().queue.map((item) => item.state)).toEqual(["done"]);
  });

  test("a cancelled copy continues in its place and keeps its role", async () => {
    const { engine, store } = setup({ hold: { ingest: 0.5 } });
    const first = store.getState().addFolders([fakeFolder("model")]);
    await vi.waitFor(() => expect(store.getState().baseId).toBeDefined());
    const { jobId, modelId } = store.getState().queue[0]!;
    await store.getState().cancel(jobId);
    await first;
    delete engine.options.hold!.ingest;
    await store.getState().retry(jobId);
    expect(store.getState()).toMatchObject({ baseId: modelId, modelIds: [], models: [{ id: modelId, state: "ready" }], queue: [{ state: "done" }] });
  });

  test("linking in place gives the copy up", async () => {
    const { engine, store } = setup({ hold: { ingest: 0.5 } });
    const first = store.getState().addFolders([fakeFolder("model")]);
    await vi.waitFor(() => expect(store.getState().baseId).toBeDefined());
    delete engine.options.hold!.ingest;
    await store.getState().linkInstead(store.getState().queue[0]!.jobId);
    await first;
    expect(store.getState().models.map((m) => [m.name, m.backend, m.state])).toEqual([["model", "link", "ready"]]);
    expect(store.getState().baseId).toBe(store.getState().models[0]!.id);
  });

  test("folders that found no room are linked together, and so are later ones", async () => {
    const { store } = setup({ failures: { ingest: new StudioError("storage-full", "No space.") } });
    await store.getState().addFolders([fakeFolder("model")]);
    expect(store.getState().queue).toMatchObject([{ state: "failed", failure: "storage-full" }]);
    await store.getState().linkRest();
    await store.getState().addFolders([fakeFolder("next")]);
    expect(store.getState().models.map((m) => [m.name, m.backend])).toEqual([["model", "link"], ["next", "link"]]);
    expect(store.getState()).toMatchObject({ adding: "link", errors: [] });
  });

  test("a locked model keeps its role; the check comes when it has been opened", async () => {
    const { engine, store } = setup({ models: [fakeModel({ id: "a", name: "a", backend: "link", state: "locked" }), fakeTuned()] });
    store.setState({ baseId: "a", modelIds: [fakeTuned().id] });
    engine.options.failures = { preflight: new StudioError("permission", "Needs your permission.") };
    await store.getState().start();
    expect(store.getState()).toMatchObject({ baseId: "a", preflight: undefined, errors: [] });
    engine.options.failures = { reconnect: new StudioError("file-changed", "It changed.") };
    await store.getState().reconnect("a");
    expect(store.getState().errors).toMatchObject([{ context: "Opening a", error: { code: "file-changed" } }]);
    await store.getState().reconnect("a");
    expect(store.getState().errors).toEqual([]);
    expect(store.getState().preflight).toBeDefined();
  });

  test("nothing readable in a drop is said, not ignored", async () => {
    const { store } = setup();
    await store.getState().addFolders([]);
    expect(store.getState().errors[0]?.error.code).toBe("bad-file");
  });
});

describe("recipe", () => {
  test("an option shown at once asks for the shape once per frame, and never measures", async () => {
    const { engine, store, frame } = await withPair();
    const before = count(engine, "shape");
    for (const value of [0.6, 0.5, 0.4]) store.getState().setParam("gateFactor", value);
    expect(count(engine, "shape")).toBe(before);
    await frame();
    expect(count(engine, "shape")).toBe(before + 1);
    expect(count(engine, "measure")).toBe(0);
    expect(store.getState().recipe?.params.gateFactor).toBe(0.4);
  });

  test("an option of the written file leaves the charts alone", async () => {
    const { engine, store, frame } = await withPair();
    const before = count(engine, "shape");
    store.getState().setParam("calib", false);
    store.getState().setOutput({ name: "mine" });
    await frame();
    expect(count(engine, "shape")).toBe(before);
    expect(store.getState().exportPlan).toBeDefined();
  });

  test("a drag is one step of undo; what came before it is another", async () => {
    const { store, clock } = await withPair();
    store.getState().setParam("r", 0.3);
    clock.ms += 1000;
    for (const value of [0.6, 0.5, 0.4]) { store.getState().setParam("gateFactor", value); clock.ms += 16; }
    store.getState().undo();
    expect(store.getState().recipe?.params).toMatchObject({ r: 0.3, gateFactor: 0.7 });
    store.getState().undo();
    expect(store.getState().recipe?.params).toMatchObject({ r: 0.2, gateFactor: 0.7 });
    store.getState().undo();
    expect(store.getState().recipe).toBeDefined();
    store.getState().redo();
    store.getState().redo();
    expect(store.getState().recipe?.params).toMatchObject({ r: 0.3, gateFactor: 0.4 });
  });

  test("another method keeps the choices of the check and the name of the output", async () => {
    const { store } = await withPair();
    store.getState().setReconciliation({ context: "base" });
    store.getState().setOutput({ name: "mine" });
    await store.getState().setMethod("task-arithmetic");
    expect(store.getState().recipe).toMatchObject({ method: "task-arithmetic", params: { lambda: 0.5 }, reconciliation: { context: "base" }, output: { name: "mine" } });
  });

  test("another tokenizer takes the rows of its vocabulary along, single rows stay", async () => {
    const { store } = await withPair();
    store.getState().setReconciliation({ vocabulary: "common", rows: { 5: "base" } });
    store.getState().setReconciliation({ context: "base" });
    expect(store.getState().recipe?.reconciliation).toMatchObject({ vocabulary: "common", rows: { 5: "base" } });
    store.getState().setReconciliation({ tokenizer: "base" });
    expect(store.getState().recipe?.reconciliation).toMatchObject({ tokenizer: "base", rows: { 5: "base" } });
    expect(store.getState().recipe?.reconciliation).not.toHaveProperty("vocabulary");
  });

  test("reset and presets return to the method's numbers", async () => {
    const { store } = await withPair();
    store.getState().setParam("gateFactor", 0.1);
    store.getState().setParam("r", 0.9);
    store.getState().resetParam("gateFactor");
    expect(store.getState().recipe?.params).toMatchObject({ gateFactor: 0.7, r: 0.9 });
    store.getState().applyPreset("paper");
    expect(store.getState().recipe?.params.r).toBe(0.2);
  });

  test("a recipe whose model is not stored is refused with the names", async () => {
    const { store } = await withPair();
    const recipe = structuredClone(store.getState().recipe!);
    recipe.models = [{ name: "elsewhere", hash: "ffff" }];
    store.getState().loadRecipe(recipe);
    expect(store.getState().errors[0]?.error).toMatchObject({ code: "bad-recipe", details: { found: "Not stored: elsewhere." } });
    expect(store.getState().recipe?.models[0]?.name).not.toBe("elsewhere");
  });

  test("a recipe finds its models by the name of their folder, and not where the weights are known to be others", async () => {
    const { store } = await withPair();
    const recipe = structuredClone(store.getState().recipe!);
    const { base, models } = recipe;
    const named = { ...recipe, base: { name: `lab/${base.name.toLowerCase()}@main` }, models: [{ name: `/data/${models[0]!.name}/`, weight: 0.5 }] };
    expect(await store.getState().loadRecipe(named)).toBe(true);
    expect(store.getState()).toMatchObject({ baseId: "m1", modelIds: ["m2"], recipe: { base: { id: "m1" }, models: [{ id: "m2", weight: 0.5 }] } });
    expect(await store.getState().loadRecipe({ ...named, base: { name: base.name, hash: "0".repeat(32) } })).toBe(false);
    expect(store.getState().errors.at(-1)?.error.details).toMatchObject({ found: `Not stored: ${base.name}.`, why: `What is stored as ${base.name} has other weights, or is not ready.`, todo: `Drop the folder ${base.name} first, then the recipe again.` });
  });

  test("a dropped recipe puts the form back and opens Shape; one that cannot be read is a card", async () => {
    const { engine, store } = await withPair();
    const recipe = { ...structuredClone(store.getState().recipe!), then: [{ method: "aim", params: { omega: 0.3 } }], tensors: { exclude: ["*norm*"] }, vary: { gateFactor: [0.5, 1] } };
    await store.getState().dropRecipe(new File([JSON.stringify(recipe)], "recipe.json"));
    expect(store.getState()).toMatchObject({ step: "shape", imported: { file: "recipe.json", findings: [] }, recipe });
    engine.options.failures = { importRecipe: new StudioError("bad-recipe", "No.", { title: "The YAML cannot be used" }) };
    await store.getState().dropRecipe(new File(["x"], "merge.yaml"));
    expect(store.getState().errors.at(-1)).toMatchObject({ context: "Reading merge.yaml", error: { code: "bad-recipe" } });
    expect(store.getState().imported).toBeUndefined();
    expect(store.getState().recipe).toMatchObject(recipe);
  });

  test("a recipe finds its models by content when ids differ", async () => {
    const { store } = await withPair();
    const recipe = structuredClone(store.getState().recipe!);
    recipe.base.id = "of another browser";
    recipe.params.r = 0.33;
    store.getState().loadRecipe(recipe);
    await settle();
    expect(store.getState()).toMatchObject({ baseId: "m1", recipe: { base: { id: "m1" }, params: { r: 0.33 } } });
  });
});

describe("measuring", () => {
  test("partial numbers arrive while it runs, the report and a run at the end", async () => {
    const { store } = await withPair();
    const seen: number[] = [];
    store.subscribe((s) => seen.push(s.shape?.experts[0]?.layers.filter((row) => row.fisher !== undefined).length ?? 0));
    await store.getState().measure();
    const s = store.getState();
    expect(seen.some((n) => n > 0 && n < 28)).toBe(true);
    expect(s.shape?.complete).toBe(true);
    expect(s).toMatchObject({ measuring: undefined, running: {}, measured: { elapsedMs: 19_000 } });
    expect(s.runs).toMatchObject([{ outcome: "measured", recipeHash: "7f3a001122334455c21d" }]);
    expect(s.runs[0]?.alphas).toHaveLength(28);
  });

  test("cancelling is no error; it is noted as stopped", async () => {
    const { store } = await withPair({ ...pair(), hold: { measure: 0.6 } });
    const end = store.getState().measure();
    await vi.waitFor(() => expect(Object.values(store.getState().running)[0]?.fraction).toBe(0.6));
    await store.getState().cancel(store.getState().measuring!);
    await end;
    expect(store.getState()).toMatchObject({ errors: [], measuring: undefined, runs: [{ outcome: "stopped" }] });
  });

  test("a fault of the pass is shown with what was being done", async () => {
    const { store } = await withPair({ ...pair(), failures: { measure: new StudioError("gpu-lost", "The device was lost.") } });
    await store.getState().measure();
    expect(store.getState().errors).toMatchObject([{ context: "Measuring which layers matter", error: { code: "gpu-lost" } }]);
  });
});

describe("steps", () => {
  test("each opens when what it shows exists", async () => {
    const { store } = setup(pair());
    const open = (): string => (["load", "check", "shape", "try", "save"] as const).filter((step) => canOpen(store.getState(), step)).join(" ");
    await store.getState().start();
    expect(open()).toBe("load");
    store.getState().go("check");
    expect(store.getState().step).toBe("load");
    store.getState().chooseBase("m1");
    store.getState().chooseModels(["m2"]);
    expect(open()).toBe("load check");
    await settle();
    expect(open()).toBe("load check shape try");
    await store.getState().measure();
    expect(open()).toBe("load check shape try save");
  });

  test("a blocked pair stays before Shape", async () => {
    const { store } = await withPair({ ...pair(), blocked: true });
    expect(canOpen(store.getState(), "check")).toBe(true);
    expect(canOpen(store.getState(), "shape")).toBe(false);
    expect(store.getState().recipe).toBeUndefined();
  });

  test("a half copied pair can be checked, not shaped", async () => {
    const { store } = await withPair({ models: [fakeBase(), fakeModel({ ...fakeTuned(), state: "ingesting", chunksDone: 3 })] });
    expect(canOpen(store.getState(), "check")).toBe(true);
    expect(canOpen(store.getState(), "shape")).toBe(false);
  });
});

describe("sample pair", () => {
  const files = vi.fn(async () => new Response(new Uint8Array(4)));
  beforeEach(() => { files.mockClear(); vi.stubGlobal("fetch", files); });

  test("one call leads to a measured Shape", async () => {
    const { engine, store } = setup();
    await store.getState().start();
    await store.getState().loadSample();
    const s = store.getState();
    expect(files).toHaveBeenCalledTimes(12);
    expect(s.models.map((m) => [m.name, m.sample])).toEqual([["calculator-base", true], ["calculator-long-cot", true]]);
    expect(s).toMatchObject({ step: "shape", shape: { complete: true } });
    await store.getState().loadSample();
    expect(count(engine, "ingest")).toBe(2);
    expect(files).toHaveBeenCalledTimes(12);
  });

  test("a missing file is a sentence", async () => {
    files.mockImplementation(async () => new Response("", { status: 404 }));
    const { store } = setup();
    await store.getState().loadSample();
    expect(store.getState().errors[0]?.error).toMatchObject({ code: "bad-file", details: { found: "the server answered 404" } });
    expect(store.getState().step).toBe("load");
  });
});

describe("between visits", () => {
  test("theme, way of adding, pair, recipe, runs, prompts and scores are remembered, nothing else", async () => {
    const { store, saved } = await withPair();
    store.getState().setTheme("dark");
    await store.getState().measure();
    const { state } = JSON.parse(saved.get("tributary")!) as { state: Record<string, unknown> };
    expect(Object.keys(state).sort()).toEqual(["adding", "baseId", "modelIds", "modelScores", "prompts", "recipe", "runs", "theme"]);
  });

  test("a pair that is still stored comes back with its recipe; one that is gone is let go", async () => {
    const first = await withPair();
    first.store.getState().setParam("r", 0.35);
    const kept = first.saved.get("tributary")!;
    const again = (options: FakeOptions): StudioStore => createStudioStore(createFakeEngine(options), { storage: { getItem: () => kept, setItem: () => undefined, removeItem: () => undefined } });
    const same = again(pair());
    await same.getState().start();
    expect(same.getState()).toMatchObject({ baseId: "m1", modelIds: ["m2"], recipe: { params: { r: 0.35 } }, preflight: { verdict: "ok" } });
    const gone = again({ models: [fakeBase()] });
    await gone.getState().start();
    expect(gone.getState()).toMatchObject({ baseId: "m1", modelIds: [], recipe: undefined });
  });

  test("50 runs are kept, and pinned ones are dropped last", async () => {
    const { store } = await withPair();
    await store.getState().measure();
    store.getState().pinRun(store.getState().runs[0]!.id);
    for (let i = 0; i < 55; i++) {
      store.getState().setParam("seed", 100 + i);
      await store.getState().measure();
    }
    expect(store.getState().runs).toHaveLength(50);
    expect(store.getState().runs.filter((run) => run.pinned)).toHaveLength(1);
  }, 20_000);
});

/** An export whose engine then lists it as waiting for its downloads. */
async function written(store: StudioStore, engine: FakeEngine) {
  const recipe = store.getState().recipe ?? fakeRecipe("linear", fakeBase(), [fakeTuned()]);
  store.setState({ recipe });
  await store.getState().exportModel({ kind: "stage", name: "merged" });
  const { exportReport } = store.getState();
  engine.options.finished = [{ id: "stage1", recipe, report: exportReport!, finishedAt: 0, downloaded: [] }];
  await store.getState().refreshUnfinished();
  return { exportReport };
}

test("saving plans, writes, and marks the run", async () => {
  const { store } = await withPair();
  await store.getState().measure();
  await store.getState().exportModel({ kind: "stage", name: "merged" });
  expect(store.getState()).toMatchObject({ exportReport: { name: "merged", staged: { id: "stage1" } }, running: {}, runs: [{ outcome: "saved" }] });
  store.getState().newMerge();
  expect(store.getState().exportReport).toBeUndefined();
});

test("a finished merge stays until all of it is downloaded, and can be opened again or deleted", async () => {
  const { engine, store } = await withPair();
  const { exportReport } = await written(store, engine);
  store.getState().newMerge();
  expect(count(engine, "discardStage"), "nothing was downloaded").toBe(0);
  expect(store.getState()).toMatchObject({ exportReport: undefined, finished: [{ id: "stage1" }] });
  await store.getState().startOver();
  store.getState().showFinished("stage1");
  expect(store.getState()).toMatchObject({ step: "save", exportReport: { name: "merged" }, shownFinished: "stage1" });
  for (const path of exportReport!.staged!.paths) await store.getState().stagedFile(path);
  store.getState().newMerge();
  expect(count(engine, "discardStage")).toBe(1);
  expect(store.getState()).toMatchObject({ exportReport: undefined, shownFinished: undefined, finished: [] });
  await written(store, engine);
  await store.getState().deleteFinished("stage1");
  expect(store.getState()).toMatchObject({ exportReport: undefined, finished: [] });
});

test("deleting a model in use lets its role go", async () => {
  const { store } = await withPair();
  await store.getState().deleteModel("m2");
  expect(store.getState()).toMatchObject({ modelIds: [], recipe: undefined, preflight: undefined });
  expect(store.getState().models.map((m) => m.id)).toEqual(["m1"]);
});

describe("an export that was cut off", () => {
  const left = (recipe: Recipe): UnfinishedExport => ({ id: "u1", recipe, target: { kind: "stage", name: "merged" }, bytesDone: 3e9, bytesTotal: 15e9, startedAt: 0 });
  const cutOff = async () => {
    const options = pair();
    const all = await withPair(options);
    const recipe = { ...all.store.getState().recipe!, params: { ...all.store.getState().recipe!.params, seed: 77 } };
    all.engine.options.unfinished = [left(recipe)];
    await all.store.getState().start();
    await settle();
    return { ...all, recipe };
  };

  test("is listed at the start; continuing restores its recipe and opens Save", async () => {
    const { engine, store, recipe } = await cutOff();
    expect(store.getState().unfinished).toMatchObject([{ bytesDone: 3e9 }]);
    const going = store.getState().continueExport("u1");
    await settle();
    expect(store.getState().step).toBe("save");
    expect(store.getState().recipe?.params.seed).toBe(77);
    engine.options.unfinished = [];
    await going;
    expect(count(engine, "exportModel")).toBe(1);
    expect(store.getState().exportReport?.name).toBe("merged");
    expect(store.getState().unfinished).toEqual([]);
    expect(recipe.params.seed).toBe(77);
  });

  test("asks for a picked folder first, and says when it may not be written", async () => {
    const { engine, store } = await cutOff();
    const handle = { name: "Models", requestPermission: async () => "denied" } as unknown as FileSystemDirectoryHandle;
    engine.options.unfinished = [{ ...left(store.getState().recipe!), target: { kind: "folder", handle, name: "merged" } }];
    await store.getState().refreshUnfinished();
    await store.getState().continueExport("u1");
    expect(count(engine, "exportModel")).toBe(0);
    expect(store.getState().errors.at(-1)).toMatchObject({ context: "Writing merged", error: { code: "permission", details: { where: "Models" } } });
  });

  test("can be discarded", async () => {
    const { engine, store } = await cutOff();
    await store.getState().discardExport("u1");
    expect(count(engine, "discardUnfinished")).toBe(1);
    expect(store.getState().unfinished).toEqual([]);
  });
});
