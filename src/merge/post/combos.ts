import type { PostStage } from "../../core/recipe";
import type { Params } from "../../core/params";

/** A method and what comes after it, under the name that the papers give the pair. */
export interface Combo {
  id: string;
  label: string;
  summary: string;
  method: string;
  params: Params;
  then: PostStage[];
  source: string;
}

const LONG_TO_SHORT_TIES: Params = { density: 0.2, lambda: 1 };

/** Pairs that the papers compare with, as starting points: choosing one fills the form, which then says the parts. */
export const COMBOS: readonly Combo[] = [
  { id: "acm-ta", label: "ACM-TA", summary: "Task arithmetic, then ACM against the base.", method: "task-arithmetic", params: { lambda: 1 }, then: [{ method: "acm", params: {} }], source: "https://arxiv.org/abs/2505.14009" },
  { id: "acm-ties", label: "ACM-TIES", summary: "TIES, then ACM against the base.", method: "ties", params: LONG_TO_SHORT_TIES, then: [{ method: "acm", params: {} }], source: "https://arxiv.org/abs/2505.14009" },
  { id: "aim-ties", label: "AIM-TIES", summary: "TIES, then AIM against the base.", method: "ties", params: LONG_TO_SHORT_TIES, then: [{ method: "aim", params: { omega: 0.4 } }], source: "https://arxiv.org/abs/2502.02421" },
];
