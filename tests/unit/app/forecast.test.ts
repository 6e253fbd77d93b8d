import { expect, test } from "vitest";
import { StudioError } from "../../../src/core/errors";
import { createStudioStore } from "../../../src/app/state/store";
import { fakeModel, fakeRecipe, fakeTuned } from "../../support/fakeData";
import { createFakeEngine } from "../../support/fakeEngine";

const memory = () => {
  const map = new Map<string, string>();
  return { getItem: (k: string) => map.get(k) ?? null, setItem: (k: string, v: string) => void map.set(k, v), removeItem: (k: string) => void map.delete(k) };
};

test("the forecast is of the recipe it was made for; a budget that changes makes a new one", async () => {
  const store = createStudioStore(createFakeEngine(), { storage: memory() });
  await store.getState().refreshForecast();
  expect(store.getState().forecast).toBeUndefined();
  const recipe = fakeRecipe("fim-ties", fakeModel({ id: "base", name: "base" }), [fakeTuned()]);
  store.setState({ recipe });
  await store.getState().refreshForecast();
  expect(store.getState().forecast?.recipe).toBe(recipe);
  expect(store.getState().forecast?.value?.fits).toBe(true);
  await store.getState().setBudgets({ gpuBytes: 2 ** 29 });
  expect(store.getState().budgets?.gpuBytes).toBe(2 ** 29);
  expect(store.getState().forecast?.value?.fits).toBe(false);
});

test("a plan that is refused stands as a sentence, and is no error card", async () => {
  const store = createStudioStore(createFakeEngine({ failures: { plan: new StudioError("bad-recipe", "No such thing.") } }), { storage: memory() });
  store.setState({ recipe: fakeRecipe("fim-ties", fakeModel({ id: "base", name: "base" }), [fakeTuned()]) });
  await store.getState().refreshForecast();
  expect(store.getState().forecast?.refused).toBe("No such thing.");
  expect(store.getState().errors).toEqual([]);
});
