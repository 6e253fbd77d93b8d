import { StudioError } from "../../core/errors";
import type { MergeMethod } from "./defineMethod";
import { arceeFusion } from "./arceeFusion";
import { breadcrumbs, breadcrumbsTies } from "./breadcrumbs";
import { dareLinear, dareTies } from "./dare";
import { della, dellaLinear } from "./della";
import { fisherAverage } from "./fisherAverage";
import { fimTa } from "./fimTa";
import { fimTies } from "./fimTies";
import { karcher } from "./karcher";
import { linear } from "./linear";
import { METHOD_NOTES } from "./notes";
import { modelStock } from "./modelStock";
import { multislerp } from "./multislerp";
import { nearswap } from "./nearswap";
import { nuslerp } from "./nuslerp";
import { passthrough } from "./passthrough";
import { ram, ramPlus } from "./ram";
import { regmean } from "./regmean";
import { sce } from "./sce";
import { sensMerging } from "./sensMerging";
import { slerp } from "./slerp";
import { taskArithmetic } from "./taskArithmetic";
import { ties } from "./ties";

/** Every method, in the order the panel offers them. */
export const METHODS: readonly MergeMethod[] = [
  fimTies, fimTa, taskArithmetic, ties, dareLinear, dareTies, linear, slerp, nuslerp, multislerp, karcher, modelStock,
  della, dellaLinear, breadcrumbs, breadcrumbsTies, sce, nearswap, ram, ramPlus, arceeFusion, regmean, fisherAverage, sensMerging, passthrough,
];

/** Throws "bad-recipe" for an id that no method has. */
export function methodOf(id: string): MergeMethod {
  const method = METHODS.find((m) => m.id === id);
  if (!method) throw new StudioError("bad-recipe", `Reading the recipe: there is no method "${id}". There are ${METHODS.map((m) => m.id).join(", ")}.`, { title: "Unknown method", found: id });
  return method;
}

/** Throws "bad-recipe" when a method is given fewer or more fine-tuned models than it takes. */
export function checkModels(method: MergeMethod, models: number): void {
  const { minModels, maxModels } = method.needs;
  if (models < minModels || models > maxModels)
    throw new StudioError("bad-recipe", `Merging with ${method.label}: ${models} fine-tuned models were given, it takes ${minModels} to ${maxModels}.`, { title: "Number of models", found: String(models), expected: `${minModels} to ${maxModels}` });
}

/** The plain-data part of a method: what the page lists and draws the form from. */
export function methodInfo(method: MergeMethod) {
  const { id, label, kind, summary, formula, source, needs, params, presets } = method;
  const note = METHOD_NOTES[id];
  return { id, label, kind, summary, formula, source, needs, params, presets, ...(method.gpuPass === undefined ? {} : { gpuPass: method.gpuPass }), ...(note ? { note } : {}) };
}

export { keptShare } from "./fimTies";
export { passKey, resolveParams } from "./resolve";
export { settingsOf, type Settings, type TensorSettings } from "./settings";
export type { MergeMethod, PlanContext, TensorFacts, TrimPlan } from "./defineMethod";
