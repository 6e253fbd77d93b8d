import type { Preflight } from "../core/check";
import type { Reconciliation, TensorChoice } from "../core/recipe";
import { isChosen } from "../core/tensorChoice";
import { StudioError } from "../core/errors";
import type { Checkpoint } from "../core/tensors";
import { parseModelConfig, type ModelConfig } from "../model/config";
import { pairTensors } from "../model/pairing";
import { fisherSupport } from "../model/support";
import { modelFacts } from "./facts";
import { findAll, tooFewRows, type Pair, type Side } from "./preflightFindings";
import { checkRows, reconcile, resultSize } from "./preflightRows";
import { tokenizerFacts } from "./preflightTokens";

function parsed(model: Checkpoint): ModelConfig | undefined {
  try {
    return parseModelConfig(model.config);
  } catch (error) {
    if (error instanceof StudioError) return undefined;
    throw error;
  }
}

async function readSide(model: Checkpoint): Promise<Side> {
  return { model, facts: await modelFacts(model), tokens: await tokenizerFacts(model), config: parsed(model) };
}

/** Everything that the check, the plan and the card know of a pair; reads config, headers and small texts only. */
export async function readPair(base: Checkpoint, tuned: readonly Checkpoint[]): Promise<Pair> {
  const sides = await Promise.all([base, ...tuned].map(readSide));
  return { base: sides[0]!, tuned: sides.slice(1), pairing: pairTensors(base, tuned), fisher: fisherSupport(base.config, base.tensors) };
}

/** A pair without the differences of tensors that are not merged. */
function ofChosen(pair: Pair, tensors: TensorChoice): Pair {
  const { missing, mismatched } = pair.pairing;
  const merged = ({ name }: { name: string }): boolean => isChosen(tensors, name);
  return { ...pair, pairing: { ...pair.pairing, missing: missing.filter(merged), mismatched: mismatched.filter(merged) } };
}

/**
 * Whether base and fine-tuned models can be merged, and what has to be chosen; never reads a weight.
 * `choice` overrides the defaults of METHODS 8.4; tensors that `tensors` leaves to the base need no counterpart. Blocking findings are results, not errors; a small file that is
 * malformed throws "bad-file".
 */
export async function preflight(base: Checkpoint, tuned: readonly Checkpoint[], choice: Partial<Reconciliation> = {}, tensors: TensorChoice = {}): Promise<Preflight> {
  const started = performance.now();
  const pair = ofChosen(await readPair(base, tuned), tensors);
  const reconciliation = reconcile(pair, choice);
  const size = resultSize(pair, reconciliation);
  const found = findAll(pair);
  const blocker = found.find((f) => f.severity === "block")?.code;
  const findings = blocker === undefined ? [...tooFewRows(pair, reconciliation, size.vocab), ...found] : found;
  const rows = checkRows(pair, reconciliation, blocker);
  return {
    verdict: findings.some((f) => f.severity === "block") ? "blocked" : "ok",
    elapsedMs: performance.now() - started,
    rows,
    findings,
    reconciliation,
    fisher: pair.fisher,
    parameters: size.parameters,
    ...(size.vocab === undefined ? {} : { vocab: size.vocab }),
  };
}
