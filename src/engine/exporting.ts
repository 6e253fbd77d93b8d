import { createSHA256 } from "hash-wasm";
import { throwIfCancelled } from "../core/errors";
import type { OutputFolder } from "../core/files";
import { jobClock } from "../core/pause";
import { ProgressMeter, type OnProgress, type StripCell } from "../core/progress";
import type { Recipe } from "../core/recipe";
import type { Gpu } from "../gpu/gpu";
import { licenceOf } from "../analysis/facts";
import type { Shape } from "../analysis/types";
import { smallFiles } from "../export/config";
import { modelCard } from "../export/modelCard";
import { recipeHash, serialiseRecipe } from "../export/recipeFile";
import { verifyOutput } from "../export/verify";
import { writeShards, writeSmall, type WrittenFile } from "../export/writer";
import type { ExportFile, ExportPlan, ExportReport, VerifyCheck } from "./api";
import type { RecipeContext } from "./context";
import { planWork, type Measured } from "./work";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** The recipe as it is written beside the model: without the ids of this browser's store, which mean nothing elsewhere. */
function portable(recipe: Recipe): Recipe {
  const bare = ({ name, hash, weight }: Recipe["base"]): Recipe["base"] => ({ name, ...(hash ? { hash } : {}), ...(weight === undefined ? {} : { weight }) });
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
}

/**
 * Writes the merged model and checks it: shards, index, small files, recipe; then everything is read back; the card is
 * written last, because it tells what the checks found. On any failure nothing stays behind.
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
  ], 3 * shardBytes, run.onProgress, { signal });
  const cells: StripCell[] = plan.shards.map(() => "empty");
  meter.strips = [{ label: "shards", cells }];
  meter.bytesTotal = shardBytes;
  let work = 0;
  try {
    const workOf = await planWork(context, run.shape, run.measured, signal);
    meter.phase("write", `0 of ${plan.shards.length}`);
    cells[0] = "now";
    const written: WrittenFile[] = await writeShards({
      gpu: run.gpu, sources: context, plan, workOf, output, signal, sliceElements: run.sliceElements,
      onBytes: (bytes) => {
        meter.bytesDone += bytes;
        meter.gpuBytes = run.gpu?.allocatedBytes;
        meter.emit((work += bytes));
      },
      onShard: (index) => {
        cells[index] = "half";
        if (index + 1 < cells.length) cells[index + 1] = "now";
        meter.count(`${index + 1} of ${plan.shards.length}`);
      },
    });
    meter.phase("small");
    const hasher = await createSHA256();
    const hash = await recipeHash(recipe);
    const from = new Map((await planFiles(context, run.shape, run.adapter)).files.map((f) => [f.path, f.from]));
    if (plan.index) written.push(await writeSmall(output, plan.index.path, encode(plan.index.text), hasher));
    for (const small of await smallFiles(context.base, context.experts, recipe, plan)) written.push(await writeSmall(output, small.path, await small.file.read(0, small.file.size), hasher));
    written.push(await writeSmall(output, "recipe.json", encode(serialiseRecipe(portable(recipe))), hasher));
    meter.count(`${written.length - plan.shards.length} files`);

    meter.phase("verify");
    const { checks, tiles } = await verifyOutput({
      plan, written, sources: context, workOf, output, recipeHash: hash, signal,
      exact: run.gpu === undefined || run.gpu.software,
      sliceElements: run.sliceElements,
      onBytes: (bytes) => meter.emit((work += bytes)),
    });
    written.push(await writeSmall(output, "README.md", encode(await card(context, run.shape, hash, run.adapter, checks)), hasher));
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
    };
  } catch (error) {
    await output.discard().catch(() => undefined);
    throw error;
  }
}
