import type { MergeMethod } from "../merge/methods";
import type { ExpertShape } from "./types";

const share = (alpha: number): string => {
  const percent = Math.round(alpha * 100);
  return percent === 50 ? "half" : percent === 0 ? "nothing" : percent === 100 ? "all" : `${percent}%`;
};

/** One sentence for the page head: which layer takes least and which most; of the first fine-tuned model when there are several. */
export function shapeSentence(method: MergeMethod, experts: readonly ExpertShape[], models: number): string {
  const first = experts[0];
  if (!first) return "";
  const prefix = models > 1 ? `Of ${first.name}: ` : "";
  const known = first.layers.filter((l): l is typeof l & { alpha: number } => l.alpha !== undefined);
  if (!method.needs.fisher) return fixedSentence(method, experts);
  if (known.length === 0 || known.length < first.layers.length) return `α compares every layer with the highest score, so it appears when layer ${first.layers[0]?.layer ?? 0} is done.`;
  const least = known.reduce((a, b) => (b.alpha < a.alpha ? b : a));
  const most = known.reduce((a, b) => (b.alpha > a.alpha ? b : a));
  if (least.alpha === most.alpha) return upper(`${prefix}${known.length === 1 ? "the one layer takes" : "all layers matter alike; each takes"} ${share(most.alpha)}.`);
  return upper(`${prefix}layer ${least.layer} matters most to the base and takes ${share(least.alpha)}; layer ${most.layer} matters least and takes ${share(most.alpha)}.`);
}

function fixedSentence(method: MergeMethod, experts: readonly ExpertShape[]): string {
  if (experts.some((e) => e.outsideAlpha === undefined || e.layers.some((l) => l.alpha !== undefined && l.alpha !== e.outsideAlpha))) return studiedSentence(method, experts);
  const parts = experts.map((e) => ({ name: e.name, alpha: e.outsideAlpha! }));
  if (method.id === "linear") return `Every entry is a weighted mean: ${parts.map((p) => `${share(p.alpha)} of ${p.name}`).join(", ")}.`;
  const kept = experts[0]!.layers.some((l) => l.kept !== undefined) || method.id === "ties" ? "kept " : "";
  if (parts.length === 1) return `Every layer takes ${share(parts[0]!.alpha)} of the ${kept}change.`;
  return `Every layer takes ${parts.map((p) => `${share(p.alpha)} of the ${kept}change to ${p.name}`).join(", ")}.`;
}

/** For methods whose shares come from the tensors themselves; before they were read, and where there are none, what the method does. */
function studiedSentence(method: MergeMethod, experts: readonly ExpertShape[]): string {
  const parts = experts.map((e) => ({ name: e.name, alphas: e.layers.flatMap((l) => l.alpha ?? []) }));
  if (parts.some((p) => p.alphas.length === 0)) return upper(method.summary);
  const range = (alphas: number[]): string => {
    const [least, most] = [share(Math.min(...alphas)), share(Math.max(...alphas))];
    return least === most ? least : `${least} to ${most}`;
  };
  return `Layers take ${parts.map((p) => `${range(p.alphas)} of ${p.name}`).join(", ")}.`;
}

const upper = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
