import { mkdir, open as openFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { needsCalibration } from "../core/calibration";
import { StudioError } from "../core/errors";
import { formatBytes } from "../core/modelFiles";
import type { Recipe } from "../core/recipe";
import type { FloatDtype } from "../core/tensors";
import { keptBytes } from "../export/journal";
import { createEngine } from "../engine/engine";
import { canGoOn } from "../engine/exporting";
import type { RandomFile } from "../engine/fisherFile";
import { parseArgs, parseSettings, parseStage } from "./args";
import { parseBudgets, parseRates } from "./budgets";
import { takeChoices } from "./choices";
import { CALIBRATION_FLAGS, CALIBRATION_USAGE, calibrationLines, withCalibrationFlags } from "./calibration";
import { runCommand } from "./command";
import { diskLibrary } from "./diskLibrary";
import { endAtInterrupt } from "./interrupt";
import { diskKeyValue } from "./diskKeyValue";
import { checkTarget, diskOutput, partialPaths } from "./diskOutput";
import { nodeGpu, nodeTuning } from "./nodeGpu";
import { progressLines } from "./progressLines";
import { nameWeights, readText, recipeFromFile, weightHashes, writeMergekit } from "./recipes";
import { buildReport } from "./report";
import { takeVarying } from "./varying";

const USAGE = `npm run merge -- --base DIR --model DIR [--model DIR]... --method ID --out DIR
  --weight W          weight of each model, in their order: a number, [0,1] from the first layer to the last, or rules by name
  --vary name=[A,B]   a number of the method that differs over depth, or by rules [{"filter":"mlp","value":A},{"value":B}];
                      2:name=... for the second model alone
  --include PATTERN   tensors that are merged, * for any text; may be given several times. The others are the base's
  --exclude PATTERN   tensors that are the base's
  --then ID[:k=v,...] a stage after the merge, aim or acm, with its settings; several in their order
  --set key=value     a setting of the method, or tied, vocabulary, context, tokenizer, chatTemplate, generationConfig, stopIds, clashRows
  --rows ID=WHOSE,... embedding rows of single token ids: mix, base or finetuned
  --dtype T           float32, bfloat16 or float16; the base's when absent
  --max-shard-bytes N size limit of a file, 5000000000 when absent
${CALIBRATION_USAGE}
  --tokens FILE       JSON list of lists of token ids in place of random ones
  --recipe FILE       a recipe.json, or a mergekit file (.yaml), in place of --method and all from --weight to --tokens
  --yaml FILE         write the recipe as a mergekit file too, with the layer weights of the pass
  --report FILE       numbers per tensor and layer, losses, timings, as JSON
  --fisher FILE       keep the element-wise Fisher as safetensors
  --gpu-budget SIZE   most bytes of GPU buffers, 2GiB when absent
  --host-budget SIZE  most bytes of memory beside them, 512MiB when absent
  --plan              print as JSON what the merge will take, from headers alone, and stop; --out is not needed
  --tab               with --plan: what the merge will take in a browser tab
  --rate KEY=N        with --plan: speed in operations (gpu) or bytes (read, write) per second, for times
  --work DIR          where masks and the journal of the pass are kept until the merge is whole; beside --out when absent
  --quiet             no progress lines
A merge that was killed, or that found the disk full, goes on when the same command is given again: the pass at the first
unfinished block, the output at the last flushed byte. With --fisher the pass starts over.`;

const FLAGS = {
  base: { value: true }, model: { value: true, repeat: true }, weight: { value: true, repeat: true }, vary: { value: true, repeat: true }, include: { value: true, repeat: true }, exclude: { value: true, repeat: true }, method: { value: true }, then: { value: true, repeat: true }, out: { value: true },
  dtype: { value: true }, "max-shard-bytes": { value: true }, set: { value: true, repeat: true }, rows: { value: true, repeat: true }, tokens: { value: true }, ...CALIBRATION_FLAGS, recipe: { value: true },
  yaml: { value: true }, report: { value: true }, fisher: { value: true }, work: { value: true }, quiet: {}, help: {},
  "gpu-budget": { value: true }, "host-budget": { value: true }, plan: {}, tab: {}, rate: { value: true, repeat: true },
};
const DTYPES: Record<string, FloatDtype> = { float32: "F32", bfloat16: "BF16", float16: "F16", F32: "F32", BF16: "BF16", F16: "F16" };
const bad = (sentence: string): StudioError => new StudioError("bad-request", sentence);

async function readTokens(path: string): Promise<number[][]> {
  const text = await readText(path, "the token ids");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new StudioError("bad-request", `Reading the token ids ${path}: it is no valid JSON (${(cause as Error).message}). Expected a list of lists of token ids.`, { where: path }, { cause });
  }
  if (!Array.isArray(value) || value.length === 0 || !value.every((row) => Array.isArray(row) && row.length >= 2 && row.every((id) => Number.isSafeInteger(id) && id >= 0)))
    throw bad(`Reading the token ids ${path}: expected a JSON list of lists of at least 2 token ids each.`);
  return value as number[][];
}

/** Where a Fisher file is while it is written; it cannot be continued. */
const partialName = (path: string): string => `${path}.partial`;

async function randomFile(path: string, size: number): Promise<RandomFile> {
  const partial = partialName(path);
  const handle = await openFile(partial, "w");
  await handle.truncate(size);
  return {
    writeAt: async (offset, bytes) => void (await handle.write(bytes, 0, bytes.byteLength, offset)),
    close: async () => {
      await handle.close();
      await rename(partial, path);
    },
    discard: async () => {
      await handle.close().catch(() => undefined);
      await rm(partial, { force: true });
    },
  };
}

async function merge(args: string[], cwd: string): Promise<void> {
  const flags = parseArgs(args, FLAGS);
  if (flags.help) {
    console.log(USAGE);
    return;
  }
  const path = (name: "base" | "out" | "tokens" | "recipe" | "yaml" | "report" | "fisher" | "work"): string | undefined => flags[name] && resolve(cwd, flags[name][0]!);
  const base = path("base");
  const out = path("out");
  const models = (flags.model ?? []).map((m) => resolve(cwd, m));
  if (!base || models.length === 0 || (!out && !flags.plan)) throw bad(`The arguments --base, --model and --out are needed.\n${USAGE}`);
  const recipePath = path("recipe");
  if (recipePath) for (const name of ["method", "then", "set", "rows", "weight", "vary", "include", "exclude", "dtype", "tokens", "max-shard-bytes", ...(Object.keys(CALIBRATION_FLAGS) as (keyof typeof CALIBRATION_FLAGS)[])] as const) if (flags[name]) throw bad(`--${name} and --recipe were both given; the recipe already says it. Leave one out.`);
  if (!recipePath && !flags.method) throw bad(`The argument --method is needed (or --recipe).\n${USAGE}`);

  if (flags.plan) return printPlan(flags, base, models, cwd, recipePath);
  if (flags.rate) throw bad("--rate says how fast things go in a plan; it needs --plan.");
  if (!out) return;

  await checkTarget(out);
  // Where the same command finds them again after a kill; a name of its own in a folder that is the reader's.
  const work = path("work");
  const passes = diskKeyValue(work ? join(work, `tributary-${basename(out)}.pass`) : partialPaths(out).passes);
  const fisherPath = path("fisher");
  const library = diskLibrary();
  const forgetInterrupt = endAtInterrupt(out, fisherPath ? [partialName(fisherPath)] : []);
  try {
    const gpu = await nodeGpu();
    const engine = createEngine({
      gpu, library, passes, tuning: nodeTuning(), budgets: parseBudgets(flags), ingest: "in place",
      openOutput: async (_, job) => {
        const output = await diskOutput(out, job.key);
        const kept = keptBytes(output.journal?.earlier);
        if (kept > 0 && !flags.quiet) process.stderr.write(`Going on with a merge that was cut off: ${formatBytes(kept)} of ${formatBytes(job.bytes)} are written.\n`);
        return output;
      },
      ...(fisherPath ? { fisherFile: (_: string, size: number) => randomFile(fisherPath, size) } : {}),
    });
    const onProgress = flags.quiet ? () => undefined : progressLines();
    const say = (line: string): void => void (flags.quiet || process.stderr.write(`${line}\n`));
    const recipe = recipePath ? await recipeFromFile(engine, recipePath, base, models, say) : await fromFlags(engine, flags, base, models, cwd);
    if (!flags.quiet) for (const line of await differences(engine, recipe)) process.stderr.write(`${line}\n`);
    const method = (await engine.methods()).find((m) => m.id === recipe.method);
    if (fisherPath) {
      if (method && !method.needs.fisher) throw bad(`--fisher: the method ${method.id} takes no Fisher, so there is none to keep. Leave --fisher out.`);
      recipe.params.keepFisher = true;
    }
    recipe.output.name = recipePath ? recipe.output.name : basename(out);
    await nameWeights(recipe, weightHashes(library));
    if (!flags.quiet && needsCalibration(recipe, method)) process.stderr.write(`${calibrationLines(await engine.calibration(recipe)).join("\n")}\n`);
    const reportPath = path("report");
    let measured;
    if ((await engine.shape(recipe)).needsPass || reportPath) measured = await engine.measure("merge", recipe, onProgress, () => undefined);
    const yaml = path("yaml");
    if (yaml) await writeMergekit(engine, recipe, yaml, say);
    const result = await engine.exportModel("merge", recipe, { kind: "stage", name: recipe.output.name }, onProgress);
    const failed = result.checks.filter((c) => c.verdict === "fail");
    if (reportPath) {
      await writeReport(reportPath, out, buildReport(recipe, await engine.shape(recipe), measured, result, await engine.gpu()));
    }
    await passes.remove();
    for (const check of result.checks) console.log(`${check.verdict === "pass" ? "ok  " : "FAIL"}  ${check.label}: ${check.found}`);
    if (failed.length > 0) throw new StudioError("internal", `The merged model was written to ${out}, but ${failed.length} of ${result.checks.length} checks failed: ${failed.map((c) => c.label).join(", ")}. Do not use it; merge again.`);
    console.log(`${result.files.length} files, ${result.totalBytes.toLocaleString("en-US")} bytes in ${out} (${(result.elapsedMs / 1000).toFixed(1)} s, recipe ${result.recipeHash})`);
  } catch (error) {
    if (!canGoOn(error)) await passes.remove();
    throw error;
  } finally {
    forgetInterrupt();
    await library.close();
  }
}

/** Prints the forecast; no weight is read. */
async function printPlan(flags: Record<string, string[]>, base: string, models: string[], cwd: string, recipePath: string | undefined): Promise<void> {
  const passes = diskKeyValue();
  const engine = createEngine({ gpu: await nodeGpu(), library: diskLibrary(), passes, budgets: parseBudgets(flags), ingest: flags.tab ? "copy" : "in place", openOutput: async () => Promise.reject(bad("A plan writes nothing.")) });
  const recipe = recipePath ? await recipeFromFile(engine, recipePath, base, models, () => undefined) : await fromFlags(engine, flags, base, models, cwd);
  console.log(JSON.stringify(await engine.plan(recipe, undefined, parseRates(flags.rate ?? [])), null, 2));
}

/** What the check has to say of a pair that can be merged, and of tensors that only one side has, a line each. */
async function differences(engine: ReturnType<typeof createEngine>, { base, models, reconciliation, tensors }: Recipe): Promise<string[]> {
  const check = await engine.preflight(base.id!, models.map((m) => m.id!), reconciliation, tensors);
  if (check.verdict === "blocked") return [];
  const warnings = check.findings.filter((f) => f.severity === "warn").map((f) => [f.title, f.found, f.why].filter(Boolean).map((s) => s!.replace(/\.?$/, ".")).join(" "));
  const lists = check.rows.flatMap((row) => row.lists ?? []).map(({ title, names }) => `${names.length} tensors ${title}: ${names.join(", ")}`);
  return [...warnings, ...lists, `${check.parameters.toLocaleString("en-US")} parameters in the result${check.vocab === undefined ? "" : `, ${check.vocab.toLocaleString("en-US")} token rows`}.`];
}

async function writeReport(path: string, out: string, report: Record<string, unknown>): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, `${JSON.stringify(report, null, 2)}\n`);
  } catch (cause) {
    throw new StudioError("bad-request", `Writing the report ${path}: it cannot be written. The merged model itself is whole, in ${out}.`, { where: path }, { cause });
  }
}

async function fromFlags(engine: ReturnType<typeof createEngine>, flags: Record<string, string[]>, base: string, models: string[], cwd: string): Promise<Recipe> {
  const recipe = await engine.defaultRecipe(flags.method![0]!, base, models);
  Object.assign(recipe.params, takeChoices(recipe.reconciliation, parseSettings(flags.set ?? []), flags.rows));
  if (flags.then) recipe.then = flags.then.map((text) => parseStage(text));
  if (flags.dtype) {
    const dtype = DTYPES[flags.dtype[0]!];
    if (!dtype) throw bad(`--dtype ${flags.dtype[0]}: expected float32, bfloat16 or float16.`);
    recipe.output.dtype = dtype;
  }
  if (flags["max-shard-bytes"]) recipe.output.maxShardBytes = Number(flags["max-shard-bytes"][0]);
  takeVarying(recipe, flags);
  if (flags.tokens) recipe.tokens = await readTokens(resolve(cwd, flags.tokens[0]!));
  return withCalibrationFlags(recipe, (await engine.methods()).find((m) => m.id === recipe.method), flags, cwd);
}

/** Runs the command; returns the exit code. */
export const main = (args: string[]): Promise<number> => runCommand(merge, args);
