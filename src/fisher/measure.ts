import { StudioError } from "../core/errors";
import type { Gpu } from "../gpu/gpu";
import type { PassResult } from "../model/decoder";
import { cutOf, cutWithoutRank, keepRule, rankOf, RankSelect } from "../kernels/stats/trim";
import type { PassState } from "./journal";
import { modelElements, rankBelow, scopeOf, shareRule, type ModelCut } from "./threshold";
import type { FisherPass, TrimOptions } from "./types";
import { fisherWalk } from "./walk";

export type { FisherPass, PassMemory, PassOutput } from "./types";

/** RankSelect sees every key twice. */
const COUNTING_WALKS = 2;

/**
 * The Fisher pass: forward and backward over the sequences, and while a block is on the GPU, F, the change, w = F |delta|,
 * the exact threshold and the mask of each of its tensors. F itself is not kept.
 *   F = mean over sequences of (d loss / d theta)^2        FIM-Merging eq. 7
 * Trimming over the whole model needs the threshold before any mask, so it walks through the model three times.
 * With a journal it goes on after the last finished block; tensors finished before that are told again, in their order.
 * Returns the loss of each sequence, and how many blocks the last walk read once. Throws "unknown-architecture", "gpu-limit", "gpu-lost", "cancelled", and journalDamaged.
 */
export async function fisherPass(gpu: Gpu, pass: FisherPass): Promise<PassResult> {
  const start: PassState = { walk: 0, done: 0, taken: pass.experts.map(() => 0) };
  const state = pass.journal?.state ?? start;
  for (const stats of pass.journal?.stats ?? []) pass.onTensor(stats);
  if (pass.trim?.scope !== "model") return fisherWalk(gpu, pass, { kind: "trim", cuts: undefined }, state);
  const cuts = state.cuts ?? (await modelCuts(gpu, pass, pass.trim, state));
  return fisherWalk(gpu, pass, { kind: "trim", cuts }, state.cuts ? state : { ...start, walk: COUNTING_WALKS, cuts });
}

/** The threshold of each fine-tuned model over all its keys, in two counting walks. */
async function modelCuts(gpu: Gpu, pass: FisherPass, trim: TrimOptions, state: PassState): Promise<ModelCut[]> {
  const n = modelElements(pass.outputs, trim);
  const first = pass.outputs.find((o) => scopeOf(o.role, trim) === "model");
  if (!first) return [];
  const searches = pass.experts.map((_, expert) => {
    const share = shareRule(trim, first, expert);
    const rule = keepRule(n, share.rule, share.share);
    const rank = rankOf(rule, n);
    return { rule, ranks: rank === undefined ? [] : [rank, rankBelow(n, share)].filter((r) => r !== undefined) };
  });
  if (searches.every(({ ranks }) => ranks.length === 0)) return searches.map(({ rule }) => ({ cut: cutWithoutRank(rule), below: undefined }));
  const selects = state.selects?.map((row) => row.map((saved) => RankSelect.from(saved))) ?? searches.map(({ ranks }) => ranks.map((rank) => new RankSelect(rank)));
  const start = { done: 0, taken: state.taken.map(() => 0) };
  for (let walk = state.walk; walk < COUNTING_WALKS; walk++) {
    await fisherWalk(gpu, { ...pass, probes: "none", trimEmbed: false, onTensor: () => undefined }, { kind: "count", selects }, walk === state.walk ? state : { ...start, walk });
    for (const select of selects.flat()) select.next();
    await pass.journal?.commit({ ...start, walk: walk + 1, selects: selects.map((row) => row.map((s) => s.save())) }, { stats: [], drop: [] });
  }
  return selects.map(([at, below], k) => ({ cut: at ? cutOf(searches[k]!.rule, at) : cutWithoutRank(searches[k]!.rule), below: below?.threshold }));
}

/** Guards a combination that cannot be measured. Throws "bad-recipe". */
export function checkPass(pass: Pick<FisherPass, "trim" | "probes">): void {
  if (pass.probes === "activations" && pass.trim?.scope === "block")
    throw new StudioError("bad-recipe", 'calib is "activations" and trimScope is "block": the inputs of a layer are gone when its block\'s threshold is known. Set trimScope to tensor, or calib to frobenius.', { where: "params.calib" });
}
