import { expect, test } from "vitest";
import { summarise } from "../../../src/app/state/runs";
import { createStudioStore } from "../../../src/app/state/store";
import { fakeBase, fakeModel, fakeTuned } from "../../support/fakeData";
import { createFakeEngine } from "../../support/fakeEngine";

async function setup() {
  const clock = { ms: 0 };
  const store = createStudioStore(createFakeEngine({ models: [fakeBase(), fakeTuned(), fakeModel({ id: "m3", name: "third" })] }), {
    storage: { getItem: () => null, setItem: () => undefined, removeItem: () => undefined }, now: () => (clock.ms += 1000), nextFrame: () => undefined,
  });
  const s = store.getState();
  await s.start();
  s.chooseBase("m1");
  s.chooseModels(["m2", "m3"]);
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setTimeout(resolve, 0));
  store.temporal.getState().clear();
  return { store, recipe: () => store.getState().recipe! };
}

test("a varying number is set where it belongs, and taken away without a trace", async () => {
  const { store, recipe } = await setup();
  const s = store.getState();
  const before = recipe();
  s.setVarying({ param: "r" }, [0.1, 0.4]);
  s.setVarying({ param: "r", model: 1 }, [{ filter: "mlp", value: 0.3 }, { value: 0.2 }]);
  s.setVarying({ model: 0 }, [0, 1]);
  expect(recipe().vary).toEqual({ r: [0.1, 0.4] });
  expect(summarise({ ...recipe(), vary: { lambda: [0, 1] } }, store.getState().methods)).toBe("λ varies");
  expect(recipe().models.map(({ weight, params }) => ({ weight, params }))).toEqual([{ weight: [0, 1], params: undefined }, { weight: undefined, params: { r: [{ filter: "mlp", value: 0.3 }, { value: 0.2 }] } }]);
  s.setVarying({ param: "r" }, undefined);
  s.setVarying({ param: "r", model: 1 }, undefined);
  s.setVarying({ model: 0 }, undefined);
  expect(recipe()).toEqual(before);
});

test("each change is one step of undo", async () => {
  const { store, recipe } = await setup();
  const s = store.getState();
  s.setVarying({ param: "r" }, [0.1, 0.4]);
  s.setTensors({ exclude: ["*norm*"] });
  s.undo();
  expect(recipe()).toMatchObject({ vary: { r: [0.1, 0.4] } });
  expect(recipe().tensors).toBeUndefined();
  s.undo();
  expect(recipe().vary).toBeUndefined();
  s.redo();
  expect(recipe().vary).toEqual({ r: [0.1, 0.4] });
});

test("another method keeps weights and patterns, not the settings of the last; reset all takes them away too", async () => {
  const { store, recipe } = await setup();
  const s = store.getState();
  s.setVarying({ param: "r" }, [0.1, 0.4]);
  s.setVarying({ param: "r", model: 0 }, 0.5);
  s.setVarying({ model: 1 }, [0, 1]);
  s.setTensors({ include: ["*layers*"] });
  s.resetAll();
  expect(recipe().vary).toBeUndefined();
  expect(recipe().models.map((m) => m.params)).toEqual([undefined, undefined]);
  s.undo();
  await s.setMethod("ties");
  expect(recipe()).toMatchObject({ method: "ties", tensors: { include: ["*layers*"] } });
  expect(recipe().vary).toBeUndefined();
  expect(recipe().models.map(({ weight, params }) => [weight, params])).toEqual([[undefined, undefined], [[0, 1], undefined]]);
});
