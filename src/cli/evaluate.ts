import { mkdir, open, readFile, rename, stat, writeFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { sha256 } from "../core/digest";
import { StudioError, toStudioError } from "../core/errors";
import { drawProblems, readProblems, tierSizes } from "../core/problems";
import type { Recipe } from "../core/recipe";
import type { EvaluatedItem, TryFacts, TryModel } from "../core/trying";
import { needsCalibration, withCalibration } from "../core/calibration";
import { createEngine } from "../engine/engine";
import { memoryKeyValue } from "../store/keyValue";
import { tokenizerOf } from "../text/tokenizer";
import { parseArgs, parseStage, wholeFlag } from "./args";
import { parseBudgets } from "./budgets";
import { runCommand } from "./command";
import { diskLibrary } from "./diskLibrary";
import { evaluationReport, partOf, percent, tableCsv, tableLines, type EvaluatedModel, type EvaluatedSet } from "./evaluationReport";
import { nodeGpu, nodeTuning } from "./nodeGpu";
import { progressLines } from "./progressLines";
import { nameWeights, recipeFromFile, weightHashes } from "./recipes";
import { optionsFor, readTryOptions, stopWords, streamedWords, TRY_FLAGS, TRY_USAGE } from "./tryOptions";

const USAGE = `npm run evaluate -- --base DIR --model DIR [--model DIR]... --problems FILE [--recipe FILE]... [--method ID[:k=v,...]]...
  Answers every problem with the base, each fine-tuned model, and the merge of every --recipe and --method, none of which is
  written. Prints accuracy and length of each; lengths are in tokens, the stop token included. Without a merge, --base or
  --model may be left out.
  --problems FILE       lines of {"prompt": ..., "answer": ..., "tier": optional}
  --count N             N problems, of each tier its share, the first ones; all when absent
  --samples N           answers to each problem, for maj@N; 1
${TRY_USAGE}
  --report FILE         everything as JSON: settings, hashes, problems, every response and why it counts; written after each
                        model, and at Ctrl C with the answers that had ended
  --csv FILE            the table, a line for each model and for each of its tiers; written when the report is
  --gpu-budget SIZE, --host-budget SIZE   as in 2GB
  --quiet               the table alone
  --help
Ends with 0 when all was answered, 1 after an error, 130 after Ctrl C.`;

const FLAGS = {
  base: { value: true }, model: { value: true, repeat: true }, problems: { value: true }, recipe: { value: true, repeat: true }, method: { value: true, repeat: true },
  count: { value: true }, samples: { value: true }, ...TRY_FLAGS, report: { value: true }, csv: { value: true }, "gpu-budget": { value: true }, "host-budget": { value: true }, quiet: {}, help: {},
};
const bad = (sentence: string): StudioError => new StudioError("bad-request", sentence);

/** "ties:density=0.2,lambda=1" */
async function methodRecipe(engine: ReturnType<typeof createEngine>, text: string, base: string, models: string[]): Promise<Recipe> {
  const { method: id, params } = parseStage(text, "method");
  const recipe = await engine.defaultRecipe(id, base, models);
  Object.assign(recipe.params, params);
  const method = (await engine.methods()).find((m) => m.id === recipe.method);
  return needsCalibration(recipe, method) ? withCalibration(recipe, method) : recipe;
}

/** The problems of a file and what tells them apart. */
async function readSet(name: string, cwd: string): Promise<Omit<EvaluatedSet, "asked"> & { problems: EvaluatedSet["asked"] }> {
  const path = resolve(cwd, name);
  let digest = "";
  const set = await readProblems({
    name,
    size: await stat(path).then((info) => info.size, (cause) => {
      throw new StudioError("bad-request", `Reading the problems ${path}: the file does not exist or cannot be read.`, { where: path }, { cause });
    }),
    arrayBuffer: async () => {
      const bytes = await readFile(path).catch((cause: unknown) => {
        throw new StudioError("bad-request", `Reading the problems ${path}: it is no file that can be read.`, { where: path }, { cause });
      });
      digest = await sha256(bytes);
      return Uint8Array.from(bytes).buffer;
    },
  });
  return { file: name, sha256: digest, of: set.problems.length, problems: set.problems };
}

/** Writes a file whole or not at all. */
async function writeWhole(path: string, text: string): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(`${path}.part`, text);
    await rename(`${path}.part`, path);
  } catch (cause) {
    throw new StudioError("bad-request", `Writing ${path}: it cannot be written. Give a file in a folder that you may write to.`, { where: path }, { cause });
  }
}

/** An evaluation takes long: where its result cannot be written is said before, and what is there stays until then. */
async function checkWritable(path: string): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
    await (await open(path, "a")).close();
  } catch (cause) {
    throw new StudioError("bad-request", `Writing ${path}: it cannot be written. Give a file in a folder that you may write to.`, { where: path }, { cause });
  }
}

interface Asked extends Pick<EvaluatedModel, "label" | "folder" | "weights" | "recipe"> {
  model: TryModel;
  facts: TryFacts;
}

async function evaluate(args: string[], cwd: string): Promise<number> {
  const flags = parseArgs(args, FLAGS);
  if (flags.help) {
    console.log(USAGE);
    return 0;
  }
  const base = flags.base && resolve(cwd, flags.base[0]!);
  const models = (flags.model ?? []).map((m) => resolve(cwd, m));
  const merges = (flags.recipe?.length ?? 0) + (flags.method?.length ?? 0);
  if (!flags.problems || (!base && models.length === 0)) throw bad(`The arguments --problems and --base or --model are needed.\n${USAGE}`);
  if (merges > 0 && (!base || models.length === 0)) throw bad("A merge, by --recipe or --method, is of a base and fine-tuned models: --base and --model are needed.");
  const given = readTryOptions(flags);
  const samples = wholeFlag(flags, "samples", 1);
  if (samples > 1 && given.temperature === 0) throw bad("--samples asks for several answers, which are all alike when greedy. Give --temperature too, for example 0.7.");
  const count = wholeFlag(flags, "count", Number.MAX_SAFE_INTEGER);
  const budgets = parseBudgets(flags);
  const { problems: all, ...file } = await readSet(flags.problems[0]!, cwd);
  const set: EvaluatedSet = { ...file, asked: drawProblems(all, count) };
  const [reportPath, csvPath] = [flags.report, flags.csv].map((flag) => flag && resolve(cwd, flag[0]!));
  for (const path of [reportPath, csvPath]) if (path) await checkWritable(path);

  const library = diskLibrary();
  let interrupted = false;
  let interrupt: (() => void) | undefined;
  try {
    const engine = createEngine({ gpu: await nodeGpu(), library, passes: memoryKeyValue(), tuning: nodeTuning(), budgets, ingest: "in place", openOutput: async () => Promise.reject(bad("An evaluation writes no model.")) });
    const say = (line: string): void => void (flags.quiet || process.stderr.write(`${line}\n`));
    const onProgress = flags.quiet ? () => undefined : progressLines();
    const hashOf = weightHashes(library);
    const asked: Asked[] = [];
    const stored = async (label: string, id: string): Promise<void> => {
      const model: TryModel = { kind: "model", id };
      const facts = await engine.tryFacts(model);
      await tokenizerOf(await library.get(id));
      asked.push({ label, folder: id, weights: await hashOf(id), model, facts });
    };
    const merged = async (label: string, recipe: Recipe): Promise<void> => {
      await nameWeights(recipe, hashOf);
      const model: TryModel = { kind: "merge", recipe };
      asked.push({ label, recipe, model, facts: await engine.tryFacts(model) });
    };
    if (base) await stored("base", base);
    for (const [i, id] of models.entries()) await stored(models.length > 1 ? `fine-tuned ${i + 1}` : "fine-tuned", id);
    for (const path of flags.recipe ?? []) await merged(path.split("/").at(-1)!.replace(/\.(json|ya?ml)$/i, ""), await recipeFromFile(engine, resolve(cwd, path), base!, models, say));
    for (const text of flags.method ?? []) await merged(text, await methodRecipe(engine, text, base!, models));

    const facts = asked.map((a) => a.facts);
    const options = asked.map((a) => ({ ...optionsFor(given, a.label, a.facts, facts), samples }));
    const tiers = [...tierSizes(set.asked)].flatMap(([tier, n]) => (tier === undefined ? [] : `${n} ${tier}`));
    say(`${set.asked.length} of ${set.of} problems${tiers.length > 0 && tiers.length <= 6 ? ` (${tiers.join(", ")})` : ""}, ${asked.length} model${asked.length === 1 ? "" : "s"}, ${given.temperature === 0 ? "greedy" : `temperature ${given.temperature}, seed ${given.seed}`}, at most ${options[0]!.maxNewTokens} new tokens.`);
    for (const line of alike(asked.map((a, i) => ({ label: a.label, words: `${options[i]!.prompt === "raw" ? "prompts as they are" : "prompts by its chat template"}; stops at ${stopWords(options[i]!, a.facts)}` })))) say(line);
    for (const { label, facts: own } of asked) if (own.bytesPerToken !== undefined) say(`${label}: ${streamedWords(own)}`);

    const adapter = await engine.gpu();
    const rows: EvaluatedModel[] = [];
    const { prompt: _, ...common } = options[0]!;
    const save = async (): Promise<void> => {
      if (reportPath) await writeWhole(reportPath, `${JSON.stringify(evaluationReport(set, common, adapter, rows, asked.length), null, 1)}\n`);
      if (csvPath) await writeWhole(csvPath, tableCsv(rows));
    };
    // Once: a second Ctrl C ends the program at once.
    interrupt = () => {
      interrupted = true;
      void engine.cancel("evaluate");
    };
    process.once("SIGINT", interrupt);
    try {
      for (const [i, { model, facts: own, ...named }] of asked.entries()) {
        const items: EvaluatedItem[] = [];
        const began = performance.now();
        const evaluation = await engine.evaluate("evaluate", model, [...set.asked], options[i]!, onProgress, (item) => items.push(item)).catch((error: unknown) => {
          if (!interrupted || toStudioError(error).code !== "cancelled") throw error;
          return items.length > 0 ? partOf(named.label, set.asked, options[i]!, items, (performance.now() - began) / 1000) : undefined;
        });
        if (evaluation) {
          rows.push({ ...named, stops: options[i]!.stopIds ?? own.stops, complete: !interrupted, evaluation });
          say(`${named.label}: ${percent(evaluation.summary.accuracy.mean)} at ${evaluation.summary.length.mean.toFixed(1)} tokens, ${evaluation.tokensPerSecond.toFixed(0)} tokens/s`);
          await save();
        }
        if (interrupted) break;
      }
    } finally {
      // Also when a later model fails: what was measured is not lost.
      if (rows.length > 0) for (const line of tableLines(rows)) console.log(line);
    }
    if (interrupted) process.stderr.write(`Stopped: ${rows.filter((r) => r.complete).length} of ${asked.length} models have answered everything.${reportPath && rows.length > 0 ? ` What had ended is in ${reportPath}.` : ""}\n`);
    return interrupted ? 130 : 0;
  } finally {
    if (interrupt) process.off("SIGINT", interrupt);
    await library.close();
  }
}

/** One line where all are asked alike, else a line for each. */
const alike = (models: readonly { label: string; words: string }[]): string[] =>
  new Set(models.map((m) => m.words)).size === 1 ? [`All: ${models[0]!.words}.`] : models.map((m) => `${m.label}: ${m.words}.`);

export const main = (args: string[]): Promise<number> => runCommand(evaluate, args);
