import type { Params } from "../../../src/core/params";
import { randomUniform } from "../../../src/core/random";
import { drawKey } from "../../../src/kernels/stats/sparsify";
import * as arithmetic from "./arithmetic";
import * as dataFree from "./dataFree";

/** A tensor as the formulas take it; its name and place among the models key what is drawn at random. */
export type NamedTensor = dataFree.WholeTensor & { name: string };
type Formula = (t: NamedTensor, params: Params) => number[];

const num = (value: unknown): number => value as number;
const all = (t: NamedTensor): boolean[][] => t.models.map((m) => m.map(() => true));
const draws = (t: NamedTensor, k: number, seed: unknown) => (element: number): number => randomUniform(drawKey(num(seed), k, t.name), element);
const divisor = (normalize: unknown): "weights" | "none" => (normalize ? "weights" : "none");

const dare = (ties: boolean): Formula => (t, { density, rescale, seed, lambda, normalize }) => {
  const keep = t.models.map((m, k) => m.map((_, i) => draws(t, k, seed)(i) < num(density)));
  const factor = rescale === "l1-match" ? "l1" : rescale === "none" || density === 0 ? 1 : 1 / num(density);
  return arithmetic.combined(t, keep, density === 1 && factor === "l1" ? 1 : factor, { lambda: num(lambda), ties, divisor: divisor(normalize) });
};
const della = (ties: boolean): Formula => (t, { density, epsilon, rescale, seed, lambda, normalize }) => {
  const keep = arithmetic.deltas(t).map((d, k) => arithmetic.dellaKept(d, t.cols, num(density), num(epsilon), draws(t, k, seed)));
  return arithmetic.combined(t, keep, rescale && density !== 1 ? "l1" : 1, { lambda: num(lambda), ties, divisor: divisor(normalize) });
};
const breadcrumbs = (ties: boolean): Formula => (t, { density, gamma, rescale, lambda, normalize }) =>
  arithmetic.combined(t, dataFree.breadcrumbsKept(t, num(density), num(gamma)), rescale && density !== 1 ? "l1" : 1, { lambda: num(lambda), ties, divisor: divisor(normalize) });

/** The float64 formula of every method that needs no texts and no gradients, by its id. */
export const FORMULAS: Readonly<Record<string, Formula>> = {
  linear: (t, { normalize, includeBase, baseWeight }) => arithmetic.linear(t, normalize === true, includeBase ? num(baseWeight) : undefined),
  "task-arithmetic": (t, { lambda, normalize }) => arithmetic.combined(t, all(t), 1, { lambda: num(lambda), ties: false, divisor: divisor(normalize) }),
  ties: (given, { density, keepRule, rescale, lambda, elect, divisor: by, weights }) => {
    const t = weights === "ignore" ? { ...given, weights: given.weights.map(() => 1) } : given;
    const keep = arithmetic.deltas(t).map((d) => arithmetic.keptBy(String(keepRule), d, num(density)));
    return arithmetic.combined(t, keep, rescale ? "l1" : 1, { lambda: num(lambda), ties: true, elect: elect as "sum" | "count", divisor: by as arithmetic.Combining["divisor"] });
  },
  dare_linear: dare(false),
  dare_ties: dare(true),
  della: della(true),
  della_linear: della(false),
  breadcrumbs: breadcrumbs(false),
  breadcrumbs_ties: breadcrumbs(true),
  slerp: (t, { t: at }) => dataFree.slerp(t, num(at)),
  nuslerp: (t, { changes, flatten, rowWise }) => dataFree.nuslerp(t, flatten ? "tensor" : rowWise ? "column" : "row", changes === true),
  multislerp: (t, { changes }) => dataFree.multislerp(t, changes === true),
  karcher: (t, { includeBase }) => dataFree.karcher(t, includeBase === true),
  model_stock: (t, { filterWise }) => dataFree.modelStock(t, filterWise === true),
  sce: (t, { selectTopk }) => dataFree.sce(t, num(selectTopk)),
  nearswap: (t, { t: step }) => dataFree.nearswap(t, num(step)),
  ram: (t) => dataFree.ram(t, undefined),
  ramplus_tl: (t, { r, alpha }) => dataFree.ram(t, { r: num(r), alpha: num(alpha) }),
  arcee_fusion: (t) => dataFree.fusion(t),
  passthrough: (t, { scale }) => t.models[0]!.map((v) => num(scale) * v),
};
