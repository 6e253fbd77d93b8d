/**
 * The studio on the fake engine, brought to a chosen state, for looking at screens:
 *   npx vite, then /tests/support/preview/?screen=check&theme=dark&drawer=storage
 */
import { createRoot } from "react-dom/client";
import { StudioError } from "../../../src/core/errors";
import { App } from "../../../src/app/App";
import { createStudioStore, StudioProvider } from "../../../src/app/state";
import "../../../src/app/styles/styles.css";
import "../../../src/app/styles/app.css";
import { fakeBase, fakeFacts, fakeModel, fakeRecipe, fakeReport, fakeTuned } from "../fakeData";
import { createFakeEngine, fakeFolder, type FakeOptions } from "../fakeEngine";

const query = new URLSearchParams(location.search);
const screen = query.get("screen") ?? "load";
const gpu = (query.get("gpu") ?? "hardware") as "hardware" | "software" | "none";
const pair = [fakeBase(), fakeTuned()];
const wide = fakeModel({ id: "m1", name: "Qwen2.5-Math-7B", facts: fakeFacts({ hidden: 3584, parameters: 7_615_616_512, bytes: 15_231_233_024, vocab: 152_064, tied: false }) });

const recipe = fakeRecipe("fim-ties", fakeBase(), [fakeTuned()]);
const files = fakeReport(recipe);
const kept = { id: "s1", recipe, report: { ...files, staged: { id: "s1", paths: files.files.map((f) => f.path), bytes: files.totalBytes } }, finishedAt: Date.UTC(2026, 10, 22, 14, 5), downloaded: [files.files[0]!.path] };

const scenes: Record<string, FakeOptions> = {
  load: {},
  "load-stored": { models: [...pair, fakeModel({ id: "m3", name: "Llama-3.2-3B-Instruct", backend: "session" })] },
  "load-unfinished": { models: [fakeModel({ id: "m2", name: "DeepSeek-R1-Distill-Qwen-1.5B", state: "ingesting", chunksDone: 31, facts: fakeTuned().facts })] },
  "load-finished": { models: [fakeModel({ id: "m3", name: "Llama-3.2-3B-Instruct" })], finished: [kept] },
  "load-ingest": { models: [fakeBase()], hold: { ingest: 0.61 }, steps: 100 },
  "load-first": { hold: { ingest: 0.3 }, steps: 100 },
  "load-ready": { models: pair },
  "load-one": { models: pair },
  "load-failed": { models: [fakeBase()] },
  check: { models: pair },
  "check-blocked": { models: [wide, fakeTuned()], blocked: true },
  shape: { models: pair },
  "shape-running": { models: pair, hold: { measure: 0.71 }, steps: 100 },
  try: { models: pair },
  "try-running": { models: pair, steps: 60 },
  "try-done": { models: pair },
  "try-streamed": { models: pair, streams: true },
  evaluate: { models: pair },
  "evaluate-empty": { models: pair },
  "evaluate-running": { models: pair, steps: 60 },
  sweep: { models: pair, broken: true },
  "sweep-running": { models: pair, steps: 20 },
  save: { models: pair },
  errors: { models: pair },
};

localStorage.clear();
const engine = createFakeEngine({ gpu, ...scenes[screen] });
const store = createStudioStore(engine);
const s = store.getState();
s.setTheme((query.get("theme") ?? "light") as "light" | "dark");
await s.start();

const has = (...names: string[]): boolean => names.includes(screen);
if (has("load-ingest")) { s.chooseBase("m1"); void s.addFolders([fakeFolder("DeepSeek-R1-Distill-Qwen-1.5B")]); }
if (has("load-first")) void s.addFolders([fakeFolder("Qwen2.5-Math-1.5B"), fakeFolder("DeepSeek-R1-Distill-Qwen-1.5B")]);
if (has("load-one")) s.chooseBase("m1");
if (has("load-failed")) {
  s.chooseBase("m1");
  engine.options.failures = { ingest: new StudioError("bad-file", "The file ends too early.", { title: "The file ends too early", official: "MetadataIncompleteBuffer", where: "model-00002-of-00002.safetensors, tensor model.norm.weight", found: "The tensor ends at byte 1,562,347,520; the file has 1,409,286,144.", why: "A download or copy that stopped, most often.", todo: "Copy the file again." }) };
  await s.addFolders([fakeFolder("DeepSeek-R1-Distill-Qwen-1.5B")]);
}
if (has("load-ready", "check", "check-blocked", "shape", "shape-running", "try", "try-running", "try-done", "try-streamed", "evaluate", "evaluate-empty", "evaluate-running", "sweep", "sweep-running", "save", "errors")) {
  s.chooseBase("m1");
  s.chooseModels(["m2"]);
  await new Promise((resolve) => setTimeout(resolve, 60));
}
if (has("check", "check-blocked")) s.go("check");
if (has("shape", "try", "try-running", "try-done", "try-streamed", "evaluate", "evaluate-empty", "evaluate-running", "sweep", "sweep-running", "save", "errors")) {
  s.go("shape");
  await s.measure();
  s.setLayer(14);
  s.setParam("r", 0.4);
  await s.measure();
  s.setParam("r", 0.2);
  await s.measure();
  const first = store.getState().runs[1];
  if (first) s.noteRun(first.id, "Longer answers, same accuracy on 60 problems");
  s.pinRun(store.getState().runs[0]!.id);
  await s.planExport();
}
if (has("shape-running")) { s.go("shape"); void s.measure(); }
if (has("try", "save")) s.go(screen as "try" | "save");
if (has("try-running", "try-done", "try-streamed", "evaluate", "evaluate-empty", "evaluate-running", "sweep", "sweep-running")) s.go("try");
const still = async (jobs: number): Promise<void> => {
  while (engine.calls.filter((c) => c === "generate" || c === "evaluate").length < jobs) await new Promise((resolve) => setTimeout(resolve, 10));
  engine.options.hold = { try: 0.6 };
  await new Promise((resolve) => setTimeout(resolve, 600));
};
if (has("try-running", "try-done")) {
  s.setPrompt("A train travels 180 km in 2.5 hours. It then slows down by 12 km/h and travels for another 1.5 hours. How far does it travel in total?");
  if (has("try-done")) { s.addColumn("run", store.getState().runs[1]!.id); s.setTryForm({ sampling: "sample" }); }
  const end = s.compare();
  await (has("try-running") ? still(2) : end);
}
if (has("evaluate", "evaluate-empty", "evaluate-running", "sweep", "sweep-running")) s.setTryTab("evaluate");
if (has("evaluate", "evaluate-running", "sweep", "sweep-running")) {
  await s.giveProblems(new File([Array.from({ length: 120 }, (_, i) => JSON.stringify({ prompt: `${i}+${i % 7}-1=?\n`, answer: String(i + (i % 7) - 1), tier: i % 2 ? "hard" : "easy" })).join("\n")], "problems.jsonl"));
  if (has("sweep", "sweep-running")) {
    s.setSweepForm({ across: { param: "r", values: [0.1, 0.2, 0.3, 0.4, 0.6] }, down: { param: "gateFactor", values: [0.7, 0.56, 0.42] } });
    const end = s.sweep();
    if (has("sweep-running")) await still(10); else {
      await end;
      s.setProbeText("To find the total distance, find the speed in each part of the journey.");
      await s.probe();
    }
  } else if (has("evaluate-running")) { void s.evaluate(); await still(2); } else {
    await s.evaluate();
    s.setParam("r", 0.4);
    s.setTryForm({ sampling: "sample" });
    await s.evaluate();
  }
}
if (has("errors")) {
  s.fail(new StudioError("gpu-lost", "The device was lost.", { title: "The GPU went away", where: "Backward pass, layer 10", found: "The driver reported a device loss after 0:09.", why: "A driver reset, sleep, or another program that took all memory.", todo: "Measure again. If it happens again, close other programs that use the GPU." }), "Measuring which layers matter");
  s.fail(new StudioError("storage-full", "No space.", { title: "Not enough browser storage", where: "Copying DeepSeek-R1-Distill-Qwen-1.5B, chunk 21 of 53", found: "Needs 2.21 GB more, the browser grants 0.61 GB.", todo: "Delete a stored model, or link the rest in place." }), "Reading DeepSeek-R1-Distill-Qwen-1.5B");
}
const drawer = query.get("drawer");
if (drawer) s.openDrawer(drawer as Parameters<typeof s.openDrawer>[0]);

createRoot(document.getElementById("root")!).render(<StudioProvider store={store}><App /></StudioProvider>);
document.documentElement.dataset.ready = "";
