import { mkdir, writeFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { StudioError } from "../core/errors";
import { drawProblems, parseProblems, tierSizes } from "../core/problems";
import type { Recipe } from "../core/recipe";
import { GREEDY_OPTIONS, type Evaluation, type TryModel, type TryOptions } from "../core/trying";
import { needsCalibration, withCalibration } from "../core/calibration";
import { createEngine } from "../engine/engine";
import { memoryKeyValue } from "../store/keyValue";
import { numberFlag, parseArgs, parseStage } from "./args";
import { parseBudgets } from "./budgets";
import { runCommand } from "./command";
import { diskLibrary } from "./diskLibrary";
import { nodeGpu, nodeTuning } from "./nodeGpu";
import { progressLines } from "./progressLines";
import { readText, recipeFromFile } from "./recipes";

const USAGE = `npm run evaluate -- --base DIR --model DIR [--model DIR]... --problems FILE [--recipe FILE]... [--method ID[:k=v,...]]...
  Answers every problem with the base, each fine-tuned model, and the merge of every --recipe and --method, none of which is
  written. Prints accuracy and length of each.
  --problems FILE       lines of {"prompt": ..., "answer": ..., "tier": optional}
  --count N             N problems, of each tier its share, the first ones; all when absent
  --samples N           answers per problem, for maj@N; 1
  --temperature T       0 is greedy
  --top-p P, --top-k K, --seed N
  --max-new-tokens N    from the base's generation_config.json, else 512
  --raw                 prompts as they are, although the models have a chat template
  --report FILE         everything as JSON: options, every response and why it counts
  --gpu-budget SIZE, --host-budget SIZE
  --quiet, --help`;

const FLAGS = {
  base: { value: true }, model: { value: true, repeat: true }, problems: { value: true }, recipe: { value: true, repeat: true }, method: { value: true, repeat: true },
  count: { value: true }, samples: { value: true }, temperature: { value: true }, "top-p": { value: true }, "top-k": { value: true }, seed: { value: true }, "max-new-tokens": { value: true },
  raw: {}, report: { value: true }, "gpu-budget": { value: true }, "host-budget": { value: true }, quiet: {}, help: {},
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

const percent = (x: number): string => `${(100 * x).toFixed(1)} %`;

function printTable(rows: readonly { label: string; evaluation: Evaluation }[]): void {
  const lines = [["model", "accuracy", "95 %", "mean tokens", "95 %", "median", "cut", "reflecting"], ...rows.map(({ label, evaluation: { summary: s } }) => [
    label, percent(s.accuracy.mean), `${percent(s.accuracy.low)} to ${percent(s.accuracy.high)}`, s.length.mean.toFixed(1), `${s.length.low.toFixed(1)} to ${s.length.high.toFixed(1)}`, String(s.medianLength), percent(s.truncated), percent(s.reflecting),
  ])];
  const widths = lines[0]!.map((_, c) => Math.max(...lines.map((line) => line[c]!.length)));
  for (const line of lines) console.log(line.map((cell, c) => (c === 0 ? cell.padEnd(widths[c]!) : cell.padStart(widths[c]!))).join("  "));
}

async function evaluate(args: string[], cwd: string): Promise<void> {
  const flags = parseArgs(args, FLAGS);
  if (flags.help) {
    console.log(USAGE);
    return;
  }
  const base = flags.base && resolve(cwd, flags.base[0]!);
  const models = (flags.model ?? []).map((m) => resolve(cwd, m));
  if (!base || models.length === 0 || !flags.problems) throw bad(`The arguments --base, --model and --problems are needed.\n${USAGE}`);
  const file = resolve(cwd, flags.problems[0]!);
  const all = parseProblems(flags.problems[0]!, await readText(file, "the problems")).problems;
  const problems = drawProblems(all, numberFlag(flags, "count", all.length, 1));
  const samples = numberFlag(flags, "samples", 1, 1);

  const library = diskLibrary();
  try {
    const engine = createEngine({ gpu: await nodeGpu(), library, passes: memoryKeyValue(), tuning: nodeTuning(), budgets: parseBudgets(flags), ingest: "in place", openOutput: async () => Promise.reject(bad("An evaluation writes no model.")) });
    const say = (line: string): void => void (flags.quiet || process.stderr.write(`${line}\n`));
    const onProgress = flags.quiet ? () => undefined : progressLines();
    const facts = await engine.tryFacts({ kind: "model", id: base });
    const options: TryOptions & { samples: number } = {
      ...GREEDY_OPTIONS, samples,
      temperature: numberFlag(flags, "temperature", 0, 0), topP: numberFlag(flags, "top-p", 1, 0), topK: numberFlag(flags, "top-k", 0, 0), seed: numberFlag(flags, "seed", 42, 0),
      maxNewTokens: numberFlag(flags, "max-new-tokens", facts.maxNewTokens ?? 512, 1),
      prompt: flags.raw || !facts.chatTemplate ? "raw" : "chat",
    };
    if (samples > 1 && options.temperature === 0) throw bad("--samples asks for several answers, which are all alike when greedy. Give --temperature too, for example 0.7.");
    const asked: { label: string; model: TryModel; recipe?: Recipe }[] = [
      { label: "base", model: { kind: "model", id: base } },
      ...models.map((id, i) => ({ label: models.length > 1 ? `fine-tuned ${i + 1}` : "fine-tuned", model: { kind: "model" as const, id } })),
    ];
    for (const path of flags.recipe ?? []) {
      const recipe = await recipeFromFile(engine, resolve(cwd, path), base, models, say);
      asked.push({ label: path.split("/").at(-1)!.replace(/\.json$/, ""), model: { kind: "merge", recipe }, recipe });
    }
    for (const text of flags.method ?? []) {
      const recipe = await methodRecipe(engine, text, base, models);
      asked.push({ label: text, model: { kind: "merge", recipe }, recipe });
    }
    const tiers = [...tierSizes(problems)].flatMap(([tier, n]) => (tier === undefined ? [] : `${n} ${tier}`));
    say(`${problems.length} of ${all.length} problems${tiers.length > 0 && tiers.length <= 6 ? ` (${tiers.join(", ")})` : ""}, ${asked.length} models, ${options.temperature === 0 ? "greedy" : `temperature ${options.temperature}, seed ${options.seed}`}, ${options.prompt === "raw" ? "prompts as they are" : "by chat template"}, at most ${options.maxNewTokens} new tokens; stops at ${facts.stops.map((s) => `${s.id} (${s.from.join(", ")})`).join(", ")}.`);
    const rows: { label: string; evaluation: Evaluation; recipe?: Recipe }[] = [];
    for (const { label, model, recipe } of asked) {
      const evaluation = await engine.evaluate("evaluate", model, problems, options, onProgress, () => undefined);
      rows.push({ label, evaluation, ...(recipe ? { recipe } : {}) });
      say(`${label}: ${percent(evaluation.summary.accuracy.mean)} at ${evaluation.summary.length.mean.toFixed(1)} tokens, ${evaluation.tokensPerSecond.toFixed(0)} tokens/s`);
    }
    printTable(rows);
    const report = flags.report && resolve(cwd, flags.report[0]!);
    if (report) {
      await mkdir(dirname(report), { recursive: true });
      await writeFile(report, `${JSON.stringify({ problems: { file: flags.problems[0], count: problems.length }, options, adapter: (await engine.gpu()).name, models: rows }, null, 1)}\n`);
    }
  } finally {
    await library.close();
  }
}

export const main = (args: string[]): Promise<number> => runCommand(evaluate, args);
