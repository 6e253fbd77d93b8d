import { toStudioError } from "../../core/errors";
import type { Slice } from "./env";
import type { ForecastSlice } from "./types";

/** What the merge will take, as the engine forecasts it; and the budgets it keeps to. */
export const createForecast: Slice<ForecastSlice> = (set, get, env) => ({
  budgets: undefined,
  forecast: undefined,
  refreshForecast: async () => {
    const { recipe } = get();
    if (!recipe) return;
    try {
      const forecast = await env.engine.plan(recipe);
      if (get().recipe === recipe) set({ forecast: { recipe, value: forecast }, budgets: forecast.budgets });
    } catch (caught) {
      // Nothing was asked for yet: the sentence stands where the numbers would.
      if (get().recipe === recipe) set({ forecast: { recipe, refused: toStudioError(caught).message } });
    }
  },
  kernels: undefined,
  refreshKernels: async () => {
    try {
      set({ kernels: await env.engine.kernels() });
    } catch {
      // The drawer shows what is known; this part is then left out.
    }
  },
  setBudgets: async (change) => {
    try {
      set({ budgets: await env.engine.budgets(change) });
      // Weights were placed within the budget before.
      await env.engine.endTrying();
      await get().refreshForecast();
    } catch (caught) {
      get().fail(caught, "Setting a memory budget");
    }
  },
});
