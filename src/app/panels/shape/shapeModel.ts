/** What the Shape step knows, worked out from the store's data: which state it is in, which numbers exist, and the words. */
import type { Recipe } from "../../../core/recipe";
import type { LayerRow, MethodInfo, Preflight, Shape, StoredModel, GpuInfo } from "../../../engine/api";
import type { Quantity } from "../../charts/columns";
import { bytes, capitalised, count, duration, plural, words } from "../../ui/format";

export type ShapeState = "empty" | "loading" | "running" | "ready" | "stale" | "done";

/** `stale`: a pass exists, but for other options. `ready`: none exists yet. */
export function shapeState(s: { recipe: Recipe | undefined; shape: Shape | undefined; measuring: string | undefined; everMeasured: boolean }): ShapeState {
  if (!s.recipe) return "empty";
  if (s.measuring !== undefined) return "running";
  if (!s.shape) return "loading";
  if (s.shape.needsPass) return s.everMeasured ? "stale" : "ready";
  return "done";
}

/** Rows with nothing known, for charts that exist before their numbers. */
export const emptyRows = (layers: number): LayerRow[] =>
  Array.from({ length: layers }, (_, layer) => ({ layer, alpha: undefined, gateAlpha: undefined, fisher: undefined, delta2: undefined, s: undefined, kept: undefined, delta2ShareKept: undefined }));

const anyKnown = (rows: readonly LayerRow[], key: Quantity): boolean => rows.some((r) => r[key] !== undefined);

/** Numbers this method has or will have, in the order of the readout. */
export function quantitiesOf(method: MethodInfo | undefined, rows: readonly LayerRow[]): Quantity[] {
  const fisher = method?.needs.fisher ?? false;
  const trims = method !== undefined && ("r" in method.params || "density" in method.params);
  const expected: Record<Quantity, boolean> = {
    alpha: true,
    gateAlpha: method !== undefined && "gateFactor" in method.params,
    fisher,
    delta2: true,
    s: fisher,
    kept: trims,
    delta2ShareKept: trims,
  };
  return (Object.keys(expected) as Quantity[]).filter((q) => expected[q] || anyKnown(rows, q));
}

export interface PassFacts {
  /** "8 × 64", or undefined for a pass without tokens. */
  inputs: string | undefined;
  sequences: number | undefined;
  tokens: number | undefined;
  seed: number | undefined;
  readBytes: number;
}

/** What a pass will do, from the recipe and the stored sizes. */
export function passFacts(recipe: Recipe, method: MethodInfo | undefined, models: readonly StoredModel[]): PassFacts {
  const size = (id: string | undefined) => models.find((m) => m.id === id)?.bytes ?? 0;
  const readBytes = size(recipe.base.id) + recipe.models.reduce((a, m) => a + size(m.id), 0);
  if (!method?.needs.fisher) return { inputs: undefined, sequences: undefined, tokens: undefined, seed: undefined, readBytes };
  if (recipe.tokens) {
    const lengths = recipe.tokens.map((t) => t.length);
    const [short, long] = [Math.min(...lengths), Math.max(...lengths)];
    return { inputs: `${recipe.tokens.length} × ${short === long ? count(short) : `${count(short)}–${count(long)}`}`, sequences: recipe.tokens.length, tokens: lengths.reduce((a, b) => a + b, 0), seed: undefined, readBytes };
  }
  const number = (key: string): number | undefined => {
    const value = recipe.params[key] ?? method.params[key]?.default;
    return typeof value === "number" ? value : undefined;
  };
  const [n, len] = [number("N"), number("len")];
  return {
    inputs: n === undefined || len === undefined ? undefined : `${count(n)} × ${count(len)}`,
    sequences: n,
    tokens: n === undefined || len === undefined ? undefined : n * len,
    seed: number("seed"),
    readBytes,
  };
}

/** The sentence under the title while a pass is needed or runs. */
export function passSentence(method: MethodInfo | undefined, facts: PassFacts, custom: boolean): string {
  if (method?.gpuPass) return `${method.needs.calibration ? "The calibration text goes" : "Token sequences go"} through every model, one block on the GPU at a time.`;
  if (!method?.needs.fisher) return "Every tensor of the base and the fine-tuned model is read once and compared. No gradients are needed.";
  const n = facts.sequences;
  const what = n === undefined ? "The calibration sequences go" : n === 1 ? `One ${custom ? "given" : "random"} sequence goes` : `${capitalised(words(n))} ${custom ? "given" : "random"} sequences go`;
  return `${what} forward and backward through the base, one block on the GPU at a time.`;
}

/** Why a pass cannot start; undefined when it can. */
export function passBlocked(method: MethodInfo | undefined, preflight: Preflight | undefined, gpu: GpuInfo | undefined, stages = 0): string | undefined {
  const runsModels = method !== undefined && (method.needs.fisher || method.gpuPass !== undefined || stages > 0);
  if (runsModels && preflight && !preflight.fisher.available) return preflight.fisher.reason ?? "The pass does not know this architecture.";
  if (runsModels && gpu?.state === "none") return gpu.reason ?? "The pass needs WebGPU, and this browser offers none.";
  return undefined;
}

/** Left of the action bar before a pass: what the button will do. */
export function readySentence(method: MethodInfo | undefined, facts: PassFacts, layers: number, gpu: GpuInfo | undefined): string {
  const reads = facts.readBytes > 0 ? `reads ${bytes(facts.readBytes)}` : "reads both models";
  const slow = gpu?.state === "software" ? " This GPU is software, so it is slow." : "";
  if (method?.gpuPass) return `One pass through every model, ${plural(layers, "block")} each.${slow}`;
  if (!method?.needs.fisher) return `One pass over both models ${reads}.${slow}`;
  const tokens = facts.tokens === undefined ? "" : `${count(facts.tokens)} tokens through `;
  return `One pass: ${tokens}${plural(layers, "block")}, forward and backward; ${reads}.${slow}`;
}

export function doneSentence(method: MethodInfo | undefined, elapsedMs: number | undefined): string {
  const ready = "The α curve is ready to save.";
  if (elapsedMs === undefined) return method?.needs.fisher ? `The numbers of this pass are kept. ${ready}` : ready;
  return `${method?.needs.fisher ? "Fisher pass" : method?.gpuPass ? "Pass through every model" : "Pass over both models"} done in ${duration(elapsedMs)}. ${ready}`;
}
