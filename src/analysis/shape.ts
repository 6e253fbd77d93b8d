import type { Params } from "../core/params";
import type { Recipe } from "../core/recipe";
import { settingsOf, type MergeMethod, type Settings, type TensorSettings } from "../merge/methods";
import { alphasOf, meansOf, type Alphas } from "./shapeAlphas";
import { calibrate, type Calibration } from "./shapeCalibration";
import { shapeSentence } from "./shapeSentence";
import type { ExpertShape, LayerRow, Shape, ShapeInfo, TensorRow, TensorStats } from "./types";

/** 1 - sigmoid(-1): the largest alpha that adaptive theta can give (METHODS 8.2.2). */
export const MAX_ADAPTIVE_ALPHA = 1 / (1 + Math.exp(-1));

/**
 * Every number per layer and per tensor that follows from the sums of a pass and the options, in float64 and without the GPU.
 * `stats` holds one entry per output tensor; what is unknown stays undefined here too. `params` are resolved.
 * The TensorRow's alpha is the coefficient that the merge applies. Throws "bad-recipe" for weights that the method cannot use.
 */
export function computeShape(recipe: Pick<Recipe, "models" | "vary">, params: Params, method: MergeMethod, stats: readonly TensorStats[], info: ShapeInfo): Shape {
  const settings = info.settings ?? settingsOf(method, recipe, params, Math.max(1, ...stats.map((t) => (t.layer ?? 0) + 1)));
  const told = distinct(settings, stats);
  const found = stats.find((tensor) => tensor.study)?.study;
  const warnings = [...(info.warnings ?? []), ...told.flatMap((t) => [...new Set(t.models)].flatMap((p) => method.advise?.(p, t.weights, found) ?? []))];
  const calibration: Calibration = { byTensor: new Map(), tested: 0, moved: 0 };
  const experts = recipe.models.map((model, k): ExpertShape => {
    const alphas = method.needs.fisher ? alphasOf(stats, k, params) : undefined;
    const applied = (tensor: TensorStats): number | undefined => {
      const { params: own, weights } = settings.at(tensor);
      if (alphas) return appliedAlpha(alphas, tensor, own);
      return method.coefficients ? method.coefficients(own, weights)[k] : tensor.study && method.tensorShares?.(own, weights, tensor.study)[k];
    };
    // With several models the norm of the result has cross terms that no pass has measured.
    if (alphas && recipe.models.length === 1) Object.assign(calibration, calibrate(stats, applied, params));
    if (alphas) warnings.push(...alphaWarnings(alphas, recipe.models.length > 1 ? model.name : undefined, params));
    warnings.push(...trimWarnings(stats, k));
    const rows = stats.map((tensor) => tensorRow(tensor, k, applied(tensor), calibration));
    return {
      name: model.name,
      layers: layerRows(stats, k, params, alphas, applied, settings.varied),
      tensors: rows,
      outsideAlpha: settings.varied ? common(stats.filter((t) => t.layer === undefined).map(applied)) : alphas ? scaled(alphas.outside, params) : method.coefficients?.(params, settings.at({ name: "", layer: undefined }).weights)[k],
      reachable: alphas && params.theta === "adaptive" ? [0.5, MAX_ADAPTIVE_ALPHA] : undefined,
      theta: alphas?.map?.theta,
      median: alphas?.map && !Number.isNaN(alphas.map.median) ? alphas.map.median : undefined,
    };
  });
  return {
    experts,
    sentence: shapeSentence(method, experts, recipe.models.length),
    calibration: { mode: typeof params.calib === "string" && recipe.models.length === 1 ? params.calib : "off", tested: calibration.tested, moved: calibration.moved },
    complete: info.complete,
    needsPass: info.needsPass,
    warnings: [...new Set(warnings)],
  };
}

/** What tensors are told, each once; what all are told where nothing was read yet. */
function distinct(settings: Settings, stats: readonly TensorStats[]): TensorSettings[] {
  if (!settings.varied) return [settings.at({ name: "", layer: undefined })];
  const seen = new Map<string, TensorSettings>();
  for (const tensor of stats) {
    const told = settings.at(tensor);
    seen.set(JSON.stringify([told.models, told.weights]), told);
  }
  return [...seen.values()];
}

/** The number that all have, undefined where they differ or there is none. */
const common = (numbers: readonly (number | undefined)[]): number | undefined => (numbers.every((n) => n === numbers[0]) ? numbers[0] : undefined);

const scaled = (alpha: number | undefined, params: Params): number | undefined => (alpha === undefined ? undefined : alpha * (params.scale as number));

function appliedAlpha(alphas: Alphas, tensor: TensorStats, params: Params): number | undefined {
  const alpha = scaled(alphas.tensor(tensor), params);
  return alpha !== undefined && tensor.isGate && tensor.inBlock2d ? alpha * (params.gateFactor as number) : alpha;
}

function tensorRow(tensor: TensorStats, k: number, alpha: number | undefined, calibration: Calibration): TensorRow {
  const expert = tensor.experts[k] ?? {};
  const means = meansOf([tensor], k, "elements");
  const tested = calibration.byTensor.get(tensor.name);
  return {
    name: tensor.name,
    role: tensor.role,
    layer: tensor.layer,
    elements: tensor.elements,
    fisherMean: means.fisher,
    delta2Mean: means.delta2,
    threshold: expert.threshold,
    kept: expert.kept === undefined ? undefined : expert.kept / tensor.elements,
    delta2ShareKept: expert.kept === undefined ? undefined : ratio(expert.delta2KeptSum, expert.delta2Sum),
    alpha,
    rho: tested?.rho,
    calibrated: tested?.fired ?? false,
  };
}

const ratio = (part: number | undefined, whole: number | undefined): number | undefined => (part === undefined || whole === undefined || whole === 0 ? undefined : part / whole);

function layerRows(stats: readonly TensorStats[], k: number, params: Params, alphas: Alphas | undefined, applied: (tensor: TensorStats) => number | undefined, varied: boolean): LayerRow[] {
  const numbers = [...new Set(stats.flatMap((t) => (t.layer === undefined ? [] : [t.layer])))].sort((a, b) => a - b);
  return numbers.map((layer) => {
    const inLayer = stats.filter((t) => t.layer === layer);
    const row = alphas?.layers.find((l) => l.layer === layer);
    const matrices = inLayer.filter((t) => t.inBlock2d);
    const means = row?.means ?? meansOf(matrices.length > 0 ? matrices : inLayer, k, "elements");
    const gates = inLayer.filter((t) => t.isGate && t.inBlock2d);
    const ungated = matrices.filter((t) => !gates.includes(t));
    const alpha = !alphas ? meanShare(matrices.length > 0 ? matrices : inLayer, applied) : varied && ungated.length > 0 ? meanShare(ungated, applied) : scaled(row?.alpha, params);
    const gateAlpha = gates.length === 0 ? undefined : applied(gates[0]!);
    const trimmed = inLayer.filter((t) => t.experts[k]?.kept !== undefined);
    const total = (value: (t: TensorStats) => number | undefined) => trimmed.reduce<number | undefined>((sum, t) => (sum === undefined || value(t) === undefined ? undefined : sum + value(t)!), 0);
    return {
      layer,
      alpha,
      gateAlpha,
      fisher: means.fisher,
      delta2: means.delta2,
      s: row?.s,
      kept: trimmed.length === 0 ? undefined : ratio(total((t) => t.experts[k]!.kept), total((t) => t.elements)),
      delta2ShareKept: trimmed.length === 0 ? undefined : ratio(total((t) => t.experts[k]!.delta2KeptSum), total((t) => t.experts[k]!.delta2Sum)),
    };
  });
}

/** Mean over the entries of what each tensor takes; undefined while a part of it is unknown. */
function meanShare(tensors: readonly TensorStats[], applied: (tensor: TensorStats) => number | undefined): number | undefined {
  const shares = tensors.map((tensor) => ({ share: applied(tensor), elements: tensor.elements }));
  if (shares.length === 0 || shares.some(({ share }) => share === undefined)) return undefined;
  if (shares.every(({ share }) => share === shares[0]!.share)) return shares[0]!.share;
  return shares.reduce((sum, { share, elements }) => sum + share! * elements, 0) / shares.reduce((sum, { elements }) => sum + elements, 0);
}

function alphaWarnings(alphas: Alphas, name: string | undefined, params: Params): string[] {
  const { map } = alphas;
  if (!map || map.dropped.length === 0) return [];
  const where = name === undefined ? "" : ` of "${name}"`;
  if (params.alphaScope === "tensor") return [`${map.dropped.length} tensors${where} have no score, because their Fisher or their change is zero; they take the largest α.`];
  const layers = map.dropped.map((i) => alphas.layers[i]!);
  const numbers = layers.map((l) => l.layer).join(", ");
  const one = layers.length === 1;
  const reason = layers.every((l) => l.means.delta2 === 0) ? "did not change" : `${one ? "has no score, because its" : "have no score, because their"} Fisher or change is zero`;
  return [`${one ? "Layer" : "Layers"} ${numbers}${where} ${reason}; ${one ? "it is left out of the comparison and takes" : "they are left out of the comparison and take"} the largest α.`];
}

/** A threshold of 0 keeps everything, also entries that no input used (METHODS A24). */
function trimWarnings(stats: readonly TensorStats[], k: number): string[] {
  const all = stats.filter((t) => t.experts[k]?.threshold === 0 && t.experts[k]?.kept === t.elements && t.elements > 1);
  if (all.length === 0) return [];
  const first = all[0]!;
  return [`${all.length === 1 ? `"${first.name}" keeps` : `"${first.name}" and ${all.length - 1} more keep`} every entry: more than the trimmed share have a trim score of exactly 0, so the threshold is 0.`];
}
