import type { Recipe } from "../core/recipe";
import type { ExportReport, GpuInfo, MeasureReport, Shape } from "../engine/api";

type One<T> = T | T[];

/**
 * The report of a terminal merge. Counts, not shares, under `kept`. With one fine-tuned model the numbers are plain; with
 * several, each is a list in the order of the models.
 */
export function buildReport(recipe: Recipe, shape: Shape, measured: MeasureReport | undefined, result: ExportReport, gpu: GpuInfo): Record<string, unknown> {
  const several = shape.experts.length > 1;
  const each = <T>(values: T[]): One<T> => (several ? values : values[0]!);
  const names = shape.experts[0]?.tensors.map((t) => t.name) ?? [];
  const layers = shape.experts[0]?.layers.map((l) => l.layer) ?? [];
  const column = <R, T>(rows: R[], read: (row: R) => T | undefined): One<T | null> => each(rows.map((r) => read(r) ?? null));
  return {
    recipe,
    recipeHash: result.recipeHash,
    losses: measured?.losses ?? [],
    tensors: Object.fromEntries(
      names.map((name, i) => {
        const rows = shape.experts.map((e) => e.tensors[i]!);
        return [name, {
          fisherMean: rows[0]!.fisherMean ?? null,
          delta2Mean: column(rows, (r) => r.delta2Mean),
          threshold: column(rows, (r) => r.threshold),
          kept: column(rows, (r) => (r.kept === undefined ? undefined : Math.round(r.kept * r.elements))),
          elements: rows[0]!.elements,
          delta2ShareKept: column(rows, (r) => r.delta2ShareKept),
          alpha: column(rows, (r) => r.alpha),
          rho: column(rows, (r) => r.rho),
          calibrated: each(rows.map((r) => r.calibrated)),
        }];
      }),
    ),
    layers: layers.map((layer, i) => {
      const rows = shape.experts.map((e) => e.layers[i]!);
      return {
        layer,
        fisher: rows[0]!.fisher ?? null,
        delta2: column(rows, (r) => r.delta2),
        s: column(rows, (r) => r.s),
        alpha: column(rows, (r) => r.alpha),
        gateAlpha: column(rows, (r) => r.gateAlpha),
        kept: column(rows, (r) => r.kept),
      };
    }),
    outsideAlpha: each(shape.experts.map((e) => e.outsideAlpha ?? null)),
    theta: each(shape.experts.map((e) => e.theta ?? null)),
    calibration: shape.calibration,
    warnings: [...new Set([...(measured?.warnings ?? []), ...shape.warnings])],
    timings: { ...(measured?.timings ?? {}), measureMs: measured?.elapsedMs ?? 0, exportMs: result.elapsedMs },
    phases: [...(measured?.phases ?? []), ...(result.phases ?? [])],
    reads: { ...(measured?.reads ? { measure: measured.reads } : {}), ...(result.reads ? { export: result.reads } : {}) },
    ...(measured?.kernels ? { kernels: measured.kernels } : {}),
    ...(measured?.gpuMemory ? { gpuMemory: measured.gpuMemory } : {}),
    adapter: { name: gpu.name, state: gpu.state, vendor: gpu.vendor, architecture: gpu.architecture, description: gpu.description },
    checks: result.checks,
    tiles: result.tiles,
    files: result.files,
  };
}
