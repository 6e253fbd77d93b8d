import { throwIfCancelled } from "../core/errors";
import { rowLength, storedBytes } from "../core/tensors";
import type { PassState } from "../fisher/journal";
import { changeSums, keptSums, magnitudeCut, slicesOf } from "../fisher/magnitude";
import type { PassOutput } from "../fisher/measure";
import type { Change } from "../fisher/trimTensor";
import type { TensorStats } from "../fisher/types";
import { magnitudes } from "../kernels/stats/maskMaker";
import { cutOf, cutWithoutRank, keepRule, rankOf, RankSelect, type Cut, type KeepRule } from "../kernels/stats/trim";
import { studyTensor } from "../merge/studyTensor";
import type { RecipeContext } from "./context";
import { isTrimmed, studyOf, trimPlanOf } from "./operation";
import type { PassRun } from "./passes";

/** RankSelect sees every key twice. */
const COUNTING_WALKS = 2;

/**
 * The pass of a method without Fisher: sums of the change, the cuts of a magnitude trim, and what else the method studies.
 * Everything on the CPU, a slice at a time; masks are made again while merging. With a journal it goes on after the last finished tensor.
 */
export async function runChangePass(context: RecipeContext, run: PassRun): Promise<void> {
  const { base, experts, outputs } = context;
  const { signal, meter } = run;
  const journal = run.journal?.stage(0);
  const changeOf = (output: PassOutput, k: number): Change => {
    const cols = output.shape.length >= 2 ? output.elements / output.shape[0]! : output.elements;
    return { base: { source: base, name: output.baseName }, tuned: { source: experts[k]!, name: output.tunedNames[k]! }, rows: cols > 0 ? output.elements / cols : 0, cols, sliceElements: run.memory?.sliceElements };
  };
  let state: PassState = journal?.state ?? { walk: 0, done: 0, taken: experts.map(() => 0) };
  const save = async (next: PassState, stats: TensorStats[] = []): Promise<void> => {
    state = next;
    await journal?.commit(state, { stats, drop: [] });
  };
  for (const stats of journal?.stats ?? []) run.onTensor(stats);

  const modelWide = outputs.filter((o) => trimPlanOf(context, o, 0)?.scope === "model");
  const first = modelWide[0];
  const ruleOf = (k: number) => (n: number): KeepRule => {
    const { rule, share } = trimPlanOf(context, first!, k)!;
    return keepRule(n, rule, share);
  };
  const searching = first !== undefined && state.walk < COUNTING_WALKS * experts.length;
  const at = searching ? "the search for the cut" : `tensor ${state.done + 1} of ${outputs.length}`;
  const bytes = run.journal?.reached?.bytes;
  if (bytes !== undefined) {
    meter.startAt(bytes, bytes);
    meter.note = `Continues at ${at}.`;
  }
  meter.phase("changes", journal?.state ? `continues at ${at}` : `0 of ${outputs.length}`);
  const cuts: Cut[] = first ? await modelWideCuts(experts.map((_, k) => modelWide.map((o) => changeOf(o, k))), modelWide.reduce((sum, o) => sum + o.elements, 0), ruleOf, state, save, signal) : [];

  for (const [i, output] of outputs.entries()) {
    if (i < state.done) continue;
    throwIfCancelled(signal);
    const stats: TensorStats = { ...output.role, name: output.name, shape: output.shape, elements: output.elements, experts: [] };
    const taken = [...state.taken];
    for (let k = 0; k < experts.length; k++) {
      const change = changeOf(output, k);
      const sums = await changeSums(change, signal);
      stats.base2Sum ??= sums.base2;
      stats.experts[k] = { delta2Sum: sums.delta2 };
      const plan = trimPlanOf(context, output, k);
      if (!plan) continue;
      const cut = plan.scope === "model" ? cuts[k]! : await magnitudeCut([change], keepRule(output.elements, plan.rule, plan.share), signal);
      // Equal keys at the threshold are taken in file order; where this tensor's turn begins is part of its cut.
      const turn = { taken: plan.scope === "model" ? taken[k]! : 0 };
      const before = turn.taken;
      const kept = await keptSums(change, cut, plan.dropZero, turn, signal, plan.l1);
      if (plan.scope === "model") taken[k] = turn.taken;
      stats.experts[k] = { ...stats.experts[k]!, ...kept, threshold: cut.threshold, maker: { kind: "cut", cut: { threshold: cut.threshold, equal: Math.max(0, cut.equal - before) }, dropZero: plan.dropZero } };
    }
    const study = studyOf(context, output);
    if (study) {
      const sides = { name: output.name, base: { source: base, name: output.baseName }, tuned: experts.map((source, k) => ({ source, name: output.tunedNames[k]! })), elements: output.elements, cols: rowLength(output), sliceElements: run.memory?.sliceElements };
      const found = await studyTensor(study, sides, signal);
      stats.study = found.study;
      found.experts.forEach((expert, k) => Object.assign(stats.experts[k]!, expert));
    }
    run.onTensor(stats);
    await save({ ...state, done: i + 1, taken }, [stats]);
    meter.count(`${i + 1} of ${outputs.length}`);
  }
}

/**
 * The cut of each fine-tuned model over all its changes, as magnitudeCut finds it, written down after every tensor. The
 * search of model k is walks 2k and 2k + 1 of the pass; the state it leaves has them all behind it.
 */
async function modelWideCuts(changes: Change[][], n: number, ruleOf: (k: number) => (n: number) => KeepRule, from: PassState, save: (next: PassState) => Promise<void>, signal: AbortSignal): Promise<Cut[]> {
  const rules = changes.map((_, k) => ruleOf(k)(n));
  if (rules.every((rule) => rankOf(rule, n) === undefined)) return rules.map(cutWithoutRank);
  let state = from;
  const go = async (next: PassState): Promise<void> => save((state = next));
  while (state.walk < COUNTING_WALKS * changes.length) {
    const k = Math.floor(state.walk / COUNTING_WALKS);
    const rule = rules[k]!;
    const rank = rankOf(rule, n);
    if (rank === undefined) {
      await go({ ...state, walk: COUNTING_WALKS * (k + 1), done: 0, selects: undefined, cuts: [...(state.cuts ?? []), { cut: cutWithoutRank(rule), below: undefined }] });
      continue;
    }
    const select = state.selects ? RankSelect.from(state.selects[0]![0]!) : new RankSelect(rank);
    const mine = changes[k]!;
    for (const [i, change] of mine.entries()) {
      if (i < state.done) continue;
      for await (const { base, tuned, keys } of slicesOf(change, signal)) select.add(magnitudes(base, tuned, keys));
      await go({ ...state, done: i + 1, selects: [[select.save()]] });
    }
    const again = select.next();
    await go({ ...state, walk: state.walk + 1, done: 0, ...(again ? { selects: [[select.save()]] } : { selects: undefined, cuts: [...(state.cuts ?? []), { cut: cutOf(rule, select), below: undefined }] }) });
  }
  return state.cuts!.map((c) => c.cut);
}

/** Walks over a tensor of all models that its study takes. */
function studyWalks(context: RecipeContext, output: PassOutput): number {
  const study = studyOf(context, output);
  if (!study) return 0;
  if (study.kind === "masks") return study.masks.kind === "band" ? 2 * context.experts.length + 1 : 1;
  return study.kind === "variance" ? (study.share < 1 ? 4 : 1) : study.kind === "fusion" ? 3 : 1;
}

/** Bytes that runChangePass reads: every tensor once for its sums; twice more for its cut, once more for what is kept; and what a study walks. */
export function changePassBytes(context: RecipeContext): number {
  const { base, experts, outputs } = context;
  return outputs.reduce((sum, o) => {
    const reads = isTrimmed(context, o) ? 4 : 1;
    const own = storedBytes(base, o.baseName, o.elements);
    const once = experts.reduce((s, e, k) => s + storedBytes(e, o.tunedNames[k]!, o.elements), 0);
    return sum + reads * (experts.length * own + once) + studyWalks(context, o) * (own + once);
  }, 0);
}
