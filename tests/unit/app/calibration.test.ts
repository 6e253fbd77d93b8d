import { expect, test } from "vitest";
import { createStudioStore, type StudioStore } from "../../../src/app/state/store";
import { DEFAULT_CALIBRATION } from "../../../src/core/calibration";
import { fakeBase, fakeTuned } from "../../support/fakeData";
import { createFakeEngine, type FakeEngine } from "../../support/fakeEngine";

const settle = async (): Promise<void> => { for (let i = 0; i < 5; i++) await new Promise((resolve) => setTimeout(resolve, 0)); };

async function withPair(): Promise<{ store: StudioStore; engine: FakeEngine; clock: { ms: number } }> {
  const engine = createFakeEngine({ models: [fakeBase(), fakeTuned()] });
  const clock = { ms: 0 };
  const store = createStudioStore(engine, { storage: { getItem: () => null, setItem: () => undefined, removeItem: () => undefined }, now: () => (clock.ms += 10_000), nextFrame: () => undefined });
  await store.getState().start();
  store.getState().chooseBase("m1");
  store.getState().chooseModels(["m2"]);
  await settle();
  return { store, engine, clock };
}
const text = (store: StudioStore) => store.getState().recipe?.calibration;
const lines = Array.from({ length: 30 }, (_, i) => `text number ${i}`);

test("a stage brings the built-in text, and numbers are asked for once per choice", async () => {
  const { store, engine } = await withPair();
  expect(text(store)).toBeUndefined();
  store.getState().setThen([{ method: "aim", params: {} }]);
  expect(text(store)).toEqual(DEFAULT_CALIBRATION);
  await Promise.all([store.getState().refreshCalibration(), store.getState().refreshCalibration()]);
  await store.getState().refreshCalibration();
  expect(engine.calls.filter((call) => call === "calibration")).toHaveLength(1);
  expect(store.getState().calibrationFacts?.value?.sequences).toBe(100);
  store.getState().setDraw({ samples: 7 });
  await store.getState().refreshCalibration();
  expect(store.getState().calibrationFacts?.value?.sequences).toBe(7);
  store.getState().undo();
  expect(text(store)).toEqual(DEFAULT_CALIBRATION);
});

test("a file's texts are drawn anew from all that it holds while it is here", async () => {
  const { store } = await withPair();
  store.getState().setDraw({ samples: 5 });
  await store.getState().giveTextFile(new File([lines.join("\n")], "notes.txt"));
  const first = text(store)!;
  expect(first).toMatchObject({ source: "given", name: "notes.txt", samples: 5 });
  expect(first.texts).toHaveLength(5);
  store.getState().setDraw({ samples: 12 });
  expect(text(store)!.texts).toHaveLength(12);
  expect(text(store)!.texts!.slice(0, 5)).toEqual(first.texts);
  store.getState().setDraw({ maxTokens: 64, seed: 9 });
  expect(text(store)).toMatchObject({ maxTokens: 64, seed: 9 });
  expect(text(store)!.texts).not.toContain(undefined);
  expect(text(store)!.texts!.slice(0, 5)).not.toEqual(first.texts);
  store.getState().takeBuiltinText();
  expect(text(store)).toEqual({ ...DEFAULT_CALIBRATION, samples: 12, maxTokens: 64, seed: 9 });
});

test("a field of JSON lines is chosen, and its name travels", async () => {
  const { store } = await withPair();
  await store.getState().giveTextFile(new File([lines.map((l) => JSON.stringify({ answer: `${l}!`, question: l })).join("\n")], "set.jsonl"));
  expect(text(store)).toMatchObject({ name: "set.jsonl, field question" });
  expect(text(store)!.texts).toHaveLength(30);
  store.getState().chooseTextField("answer");
  expect(text(store)!.name).toBe("set.jsonl, field answer");
  expect(text(store)!.texts!.every((t) => t.endsWith("!"))).toBe(true);
});

test("text of a restored recipe is all there is to draw from", async () => {
  const { store } = await withPair();
  const { recipe } = store.getState();
  store.getState().loadRecipe({ ...recipe!, calibration: { source: "given", name: "old.txt", texts: ["a b", "c d"], samples: 2, maxTokens: 9, seed: 1 } });
  store.getState().setDraw({ samples: 1 });
  expect(text(store)).toEqual({ source: "given", name: "old.txt", texts: ["a b", "c d"], samples: 1, maxTokens: 9, seed: 1 });
});

test("what cannot be used is said on a card, and the recipe stays as it was", async () => {
  const { store } = await withPair();
  store.getState().setThen([{ method: "aim", params: {} }]);
  await store.getState().giveTextFile(new File(['{"a": 1'], "set.jsonl"));
  expect(store.getState().errors.at(-1)?.error.message).toContain("set.jsonl: line 1 is no valid JSON");
  await store.getState().giveTextFile(new File(["x".repeat(2_000_001)], "long.txt"));
  expect(store.getState().errors.at(-1)?.error.message).toContain("a recipe carries at most 2 MB");
  store.getState().giveText(" \n ");
  expect(store.getState().errors.at(-1)?.error.message).toContain("there is no text in it");
  expect(text(store)).toEqual(DEFAULT_CALIBRATION);
});
