import type { Params } from "../core/params";
import { alphaOfScore, layerAlphas, middle, score, type LayerAlphas, type ScoreMode } from "./alpha";
import type { TensorStats } from "./types";

/** Means of one member of T: a block, or one tensor. Undefined while a part of it is unknown. */
export interface Means {
  fisher: number | undefined;
  delta2: number | undefined;
  joint: number | undefined;
}

interface Sums {
  sum: number | undefined;
  elements: number;
}

/** Mean over all elements, or the unweighted mean of the tensors' means (METHODS A7). */
function mean(parts: readonly Sums[], mode: string): number | undefined {
  if (parts.length === 0 || parts.some((p) => p.sum === undefined)) return undefined;
  if (mode === "tensors") return parts.reduce((a, p) => a + p.sum! / p.elements, 0) / parts.length;
  return parts.reduce((a, p) => a + p.sum!, 0) / parts.reduce((a, p) => a + p.elements, 0);
}

export const fisherSumOf = (tensor: TensorStats, expert: number): number | undefined => tensor.experts[expert]?.fisherSum ?? tensor.fisherSum;

export function meansOf(tensors: readonly TensorStats[], expert: number, mode: string): Means {
  const column = (value: (t: TensorStats) => number | undefined) => mean(tensors.map((t) => ({ sum: value(t), elements: t.elements })), mode);
  return {
    fisher: column((t) => fisherSumOf(t, expert)),
    delta2: column((t) => t.experts[expert]?.delta2Sum),
    joint: column((t) => t.experts[expert]?.jointSum),
  };
}

/** Whether a tensor counts in the statistics of its block: the linear weights, and the biases on request (METHODS A6). */
export const inStatistics = (tensor: TensorStats, params: Params): boolean => tensor.inBlock2d || (params.includeBiasInScore === true && tensor.isBias && tensor.layer !== undefined);

/** alpha before gate factor and scale: of each block, of each tensor of T when alpha is per tensor, and of the tensors outside. */
export interface Alphas {
  /** The mapping itself; undefined until every member of T is known. */
  map: LayerAlphas | undefined;
  layers: { layer: number; means: Means; s: number | undefined; alpha: number | undefined }[];
  tensor(tensor: TensorStats): number | undefined;
  outside: number | undefined;
}

/**
 * Layer weights of one fine-tuned model under these options.
 * T are the blocks, or their linear weights one by one. In-block tensors outside T take their block's alpha; with one alpha
 * per tensor, a bias takes that of its weight and a norm the element-weighted mean of its block. Embedding, final norm and head
 * follow `outsideT`; `own`, `base`, `finetuned` and a fixed number hold for every tensor outside T (METHODS A19).
 */
export function alphasOf(tensors: readonly TensorStats[], expert: number, params: Params): Alphas {
  const scoreMode = params.scoreMode as ScoreMode;
  const perTensor = params.alphaScope === "tensor";
  const byLayer = new Map<number, TensorStats[]>();
  for (const tensor of tensors) if (tensor.layer !== undefined && inStatistics(tensor, params)) byLayer.set(tensor.layer, [...(byLayer.get(tensor.layer) ?? []), tensor]);
  const layerNumbers = [...byLayer.keys()].sort((a, b) => a - b);
  const blocks = layerNumbers.map((layer) => ({ layer, members: byLayer.get(layer)!, means: meansOf(byLayer.get(layer)!, expert, params.blockMean as string) }));

  const members = perTensor ? blocks.flatMap((b) => b.members.map((t) => ({ key: t.name, means: meansOf([t], expert, "elements") }))) : blocks.map((b) => ({ key: String(b.layer), means: b.means }));
  const needed = (m: Means) => (scoreMode === "fimOnly" ? m.fisher : scoreMode === "normOnly" ? m.delta2 : scoreMode === "joint" ? m.joint : m.fisher === undefined ? undefined : m.delta2);
  const known = members.length > 0 && members.every((m) => needed(m.means) !== undefined);
  const map = known
    ? layerAlphas(
        { fisher: members.map((m) => m.means.fisher ?? 0), delta2: members.map((m) => m.means.delta2 ?? 0) },
        { scoreMode, theta: params.theta as "adaptive" | number, joint: members.map((m) => m.means.joint ?? 0) },
      )
    : undefined;
  const byKey = new Map(members.map((m, i) => [m.key, map?.alpha[i]]));

  const blockAlpha = (block: (typeof blocks)[number]): number | undefined => {
    if (!perTensor) return byKey.get(String(block.layer));
    const weighted = block.members.map((t) => ({ sum: byKey.has(t.name) && byKey.get(t.name) !== undefined ? byKey.get(t.name)! * t.elements : undefined, elements: t.elements }));
    return mean(weighted, "elements");
  };
  const layers = blocks.map((block) => {
    const s = needed(block.means) === undefined ? undefined : score(block.means, scoreMode);
    return { layer: block.layer, means: block.means, s: s !== undefined && Number.isFinite(s) ? s : undefined, alpha: blockAlpha(block) };
  });
  const layerAlpha = new Map(layers.map((l) => [l.layer, l.alpha]));
  const outside = outsideAlpha(params, map);

  return {
    map,
    layers,
    outside,
    tensor: (tensor) => {
      if (perTensor && byKey.has(tensor.name)) return byKey.get(tensor.name);
      if (tensor.layer !== undefined && tensor.inBlock2d) return layerAlpha.get(tensor.layer);
      switch (params.outsideT) {
        case "own":
          return ownAlpha(meansOf([tensor], expert, "elements"), scoreMode, map);
        case "base":
          return 0;
        case "finetuned":
          return 1;
        case "median":
        case "mean":
          break;
        default:
          return params.outsideT as number;
      }
      if (tensor.layer === undefined) return outside;
      const weight = tensor.isBias ? byKey.get(tensor.name.replace(/\.bias$/, ".weight")) : undefined;
      return weight ?? layerAlpha.get(tensor.layer);
    },
  };
}

/** alpha of embedding, final norm and head; undefined when each has its own. */
function outsideAlpha(params: Params, map: LayerAlphas | undefined): number | undefined {
  switch (params.outsideT) {
    case "base":
      return 0;
    case "finetuned":
      return 1;
    case "own":
      return undefined;
    case "median":
    case "mean": {
      const inT = map?.alpha.filter((_, i) => !map.dropped.includes(i)) ?? [];
      if (!map) return undefined;
      if (inT.length === 0) return map.maxAlpha;
      if (params.outsideT === "mean") return inT.reduce((a, b) => a + b, 0) / inT.length;
      return middle(inT);
    }
    default:
      return params.outsideT as number;
  }
}

function ownAlpha(means: Means, mode: ScoreMode, map: LayerAlphas | undefined): number | undefined {
  if (!map || (mode !== "normOnly" && means.fisher === undefined && means.joint === undefined)) return undefined;
  const s = score(means, mode);
  if (!Number.isFinite(s)) return map.maxAlpha;
  return alphaOfScore(s, map);
}
