import { StudioError, throwIfCancelled, toStudioError, type ErrorCode } from "../core/errors";
import type { OutputFolder } from "../core/files";
import { formatBytes } from "../core/modelFiles";
import { jobClock } from "../core/pause";
import { clockOf } from "../core/stages";
import { ProgressMeter, type OnProgress, type StripCell } from "../core/progress";
import type { Recipe } from "../core/recipe";
import type { Gpu } from "../gpu/gpu";
import { licenceOf } from "../analysis/facts";
import type { Shape } from "../analysis/types";
import { smallFiles } from "../export/config";
import { exportKey } from "../export/journal";
import { modelCard } from "../export/modelCard";
import { recipeHash, serialiseRecipe } from "../export/recipeFile";
import { verifyOutput } from "../export/verify";
import { writeShards, writeSmall, type WrittenFile } from "../export/writer";
import type { ExportFile, ExportPlan, ExportReport, OutputJob, VerifyCheck } from "./api";
import type { ReadAhead } from "../store/readAhead";
import type { RecipeContext } from "./context";
import { exportStretches } from "./estimate";
import { planWork, type Measured } from "./work";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** The recipe as it is written beside the model: without the ids of this browser's store, which mean nothing elsewhere. */
function portable(recipe: Recipe): Recipe {
  const bare = ({ id: _, ...rest }: Recipe["base"]): Recipe["base"] => rest;
  return { ...recipe, base: bare(recipe.base), models: recipe.models.map(bare) };
}

async function card(context: RecipeContext, shape: Shape | undefined, hash: string, adapter: string | undefined, checks?: VerifyCheck[]): Promise<string> {
  const side = async (model: RecipeContext["base"]) => ({ name: model.name, licence: await licenceOf(model) });
  return modelCard({
    recipe: context.recipe, recipeHash: hash, method: context.method, plan: context.plan,
    base: await side(context.base), tuned: await Promise.all(context.experts.map(side)),
    ...(shape ? { shape } : {}), ...(adapter ? { adapter } : {}), ...(checks ? { checks } : {}),
  });
}

const dtypesOf = (context: RecipeContext, names: readonly { dtype: string }[]): string => [...new Set(names.map((t) => t.dtype))].join(", ") || context.recipe.output.dtype;

/** What an export will write, with sizes; the card's size is known only after verification, so it is marked approximate. */
export async function planFiles(context: RecipeContext, shape: Shape | undefined, adapter: string | undefined): Promise<ExportPlan> {
  const { plan } = context;
  const hash = await recipeHash(context.recipe);
  const recipeJson = serialiseRecipe(portable(context.recipe));
  const files: ExportFile[] = [];
  let first = 1;
  for (const shard of plan.shards) {
    files.push({ path: shard.path, bytes: shard.bytes, from: `tensors ${first}–${first + shard.tensors.length - 1}, ${dtypesOf(context, shard.tensors)}` });
    first += shard.tensors.length;
  }
  if (plan.index) files.push({ path: plan.index.path, bytes: encode(plan.index.text).byteLength, from: `${plan.tensors.length.toLocaleString("en-US")} names, total_size` });
  for (const small of await smallFiles(context.base, context.experts, context.recipe, plan)) files.push({ path: small.path, bytes: small.file.size, from: small.from });
  const text = await card(context, shape, hash, adapter);
  files.push({ path: "recipe.json", bytes: encode(recipeJson).byteLength, from: "method, options, seeds, input hashes" });
  files.push({ path: "README.md", bytes: encode(text).byteLength, from: shape?.experts.some((e) => e.layers.length > 0) ? "model card: lineage, α per layer, licences" : "model card: lineage, licences" });
  return { files, totalBytes: files.reduce((sum, f) => sum + f.bytes, 0), tensors: plan.tensors.length, parameters: plan.parameters, recipeHash: hash, recipeJson, modelCard: text, approximate: true };
}

/** What an export is, for its place: its key, and all it will write. */
export async function outputJob(context: RecipeContext, shape: Shape, adapter: string): Promise<OutputJob> {
  const { recipe, plan, base, experts } = context;
  const { files, recipeHash: hash } = await planFiles(context, shape, adapter);
  const refs = [recipe.base, ...recipe.models];
  const inputs = [base, ...experts].map((model, i) => refs[i]!.hash ?? model.files.map((f) => [f.path, f.size, f.lastModified]));
  const numbers = shape.experts.map((e) => e.tensors.map((t) => [t.alpha, t.threshold, t.kept, t.calibrated, t.rho]));
  return { key: await exportKey({ recipeHash: hash, plan, inputs, numbers, adapter }), recipe, paths: files.map((f) => f.path), bytes: plan.shards.reduce((sum, s) => sum + s.bytes, 0) };
}

export interface ExportRun {
  gpu: Gpu | undefined;
  adapter: string;
  context: RecipeContext;
  shape: Shape;
  measured: Measured | undefined;
  output: OutputFolder;
  signal: AbortSignal;
  jobId: string;
  onProgress: OnProgress;
  sliceElements?: number | undefined;
  /** What the sources of the context read through. */
  ahead?: ReadAhead | undefined;
  flushBytes?: number | undefined;
}

/**
 * Writes the merged model and checks it: shards, index, small files, recipe; then everything is read back; the card is
 * written last, because it tells what the checks found. An output with a journal goes on where an earlier try stopped;
 * verification only reads and starts anew. On a failure nothing stays behind, unless it can be continued: then what is
 * flushed stays, for the same export asked for again.
 */
export async function exportFiles(run: ExportRun): Promise<ExportReport> {
  const { context, output, signal } = run;
  const { plan, recipe } = context;
  const clock = jobClock(signal);
  const started = clock();
  const shardBytes = plan.shards.reduce((sum, s) => sum + s.bytes, 0);
  const meter = new ProgressMeter(run.jobId, "export", [
    { id: "write", label: "Merge and write" },
    { id: "small", label: "Config, tokenizer, recipe" },
    { id: "verify", label: "Read back and verify" },
  ], 2 * shardBytes, run.onProgress, { signal });
  meter.expect(exportStretches(shardBytes));
  const cells: StripCell[] = plan.shards.map(() => "empty");
  meter.strips = [{ label: "shards", cells }];
  meter.bytesTotal = shardBytes;
  let work = 0;
  let kept = 0;
  try {
    const workOf = await planWork(context, run.shape, run.measured, signal);
    meter.phase("write", `0 of ${plan.shards.length}`);
    cells[0] = "now";
    const written: WrittenFile[] = await writeShards({
      gpu: run.gpu, sources: context, plan, workOf, output, signal, sliceElements: run.sliceElements, flushBytes: run.flushBytes,
      onBytes: (bytes) => {
        meter.bytesDone += bytes;
        meter.gpuBytes = run.gpu?.allocatedBytes;
        meter.emit((work += bytes));
      },
      onKept: (bytes) => {
        kept += bytes;
        meter.startAt((work += bytes), meter.bytesDone + bytes);
        meter.emit(work, true);
      },
      onShard: (index) => {
        cells[index] = "half";
        if (index + 1 < cells.length) cells[index + 1] = "now";
        meter.count(`${index + 1} of ${plan.shards.length}`);
      },
    });
    const stages = (await output.times?.()) ?? [];
    for (const { stage, busyMs, bytes } of stages) clockOf(signal)?.add(stage, busyMs, bytes);
    meter.phase("small");
    const hash = await recipeHash(recipe);
    const from = new Map((await planFiles(context, run.shape, run.adapter)).files.map((f) => [f.path, f.from]));
    if (plan.index) written.push(await writeSmall(output, plan.index.path, encode(plan.index.text)));
    for (const small of await smallFiles(context.base, context.experts, recipe, plan)) written.push(await writeSmall(output, small.path, await small.file.read(0, small.file.size)));
    written.push(await writeSmall(output, "recipe.json", encode(serialiseRecipe(portable(recipe)))));
    meter.count(`${written.length - plan.shards.length} files`);

    meter.phase("verify");
    const { checks, tiles } = await verifyOutput({
      plan, written, sources: context, workOf, output, recipeHash: hash, signal,
      exact: run.gpu === undefined || run.gpu.software,
      ahead: run.ahead,
      onBytes: (bytes) => meter.emit((work += bytes)),
    });
    written.push(await writeSmall(output, "README.md", encode(await card(context, run.shape, hash, run.adapter, checks))));
    throwIfCancelled(signal);
    await output.finish();
    cells.fill("full");
    meter.finish();
    return {
      name: recipe.output.name,
      files: written.map((f) => ({ ...f, from: from.get(f.path) ?? "" })),
      totalBytes: written.reduce((sum, f) => sum + f.bytes, 0),
      elapsedMs: clock() - started,
      checks, tiles, recipeHash: hash,
      ...(stages.length > 0 ? { stages } : {}),
      ...(kept > 0 ? { keptBytes: kept } : {}),
    };
  } catch (error) {
    if (!output.suspend || signal.aborted || !canGoOn(error)) {
      await output.discard().catch(() => undefined);
      throw error;
    }
    await output.suspend().catch(() => undefined);
    throw toStudioError(error).code === "storage-full" ? await exportFull(run, shardBytes, meter.bytesDone, error) : error;
  }
}

/** Faults after which the same export can go on: none of them says that the inputs or the recipe are wrong. */
const CONTINUES: ReadonlySet<ErrorCode> = new Set(["storage-full", "gpu-lost", "gpu-limit", "permission", "internal"]);
export const canGoOn = (error: unknown): boolean => CONTINUES.has(toStudioError(error).code);

/** The fault of a full disk, with what is still to be written and what would be granted. */
async function exportFull({ output, context }: ExportRun, total: number, done: number, cause: unknown): Promise<StudioError> {
  const needed = Math.max(0, total - done);
  const free = await output.freeBytes?.().catch(() => undefined);
  const { name } = context.recipe.output;
  const found = free === undefined ? "no more was granted" : free < needed ? `${formatBytes(free)} free` : `the disk is full, although ${formatBytes(free)} would be granted`;
  const todo = `Free space, then continue: the ${formatBytes(done)} written so far are kept. Or discard them.`;
  return new StudioError("storage-full", `Writing ${name}: ${formatBytes(needed)} more needed, ${found}. ${todo}`, {
    title: "Not enough storage", where: `Writing ${name}, ${formatBytes(done)} of ${formatBytes(total)} written`, found, expected: `${formatBytes(needed)} free`, todo,
    neededBytes: needed, ...(free === undefined ? {} : { freeBytes: free }),
  }, { cause });
}
