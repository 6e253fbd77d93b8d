import { basename, resolve } from "node:path";
import { StudioError } from "../core/errors";
import { mergedWords, type TryModel } from "../core/trying";
import { createEngine } from "../engine/engine";
import { memoryKeyValue } from "../store/keyValue";
import { parseArgs } from "./args";
import { parseBudgets } from "./budgets";
import { runCommand } from "./command";
import { diskLibrary } from "./diskLibrary";
import { nodeGpu, nodeTuning } from "./nodeGpu";
import { nameWeights, recipeFromFile, weightHashes } from "./recipes";
import { optionsFor, readTryOptions, stopWords, streamedWords, TRY_FLAGS, TRY_USAGE } from "./tryOptions";

const USAGE = `npm run generate -- --model DIR --prompt TEXT [--prompt TEXT]...
npm run generate -- --base DIR --model DIR --recipe FILE --prompt TEXT     the merge of a recipe, which is not written
  Answers go to stdout, as they come where there is one prompt; what else is said goes to stderr.
  --prompt TEXT         \\n in it is a line break, unless a small letter follows, as in \\neq
${TRY_USAGE}
  --gpu-budget SIZE, --host-budget SIZE   as in 2GB
  --help`;

const FLAGS = {
  base: { value: true }, model: { value: true, repeat: true }, recipe: { value: true }, prompt: { value: true, repeat: true }, ...TRY_FLAGS,
  "gpu-budget": { value: true }, "host-budget": { value: true }, help: {},
};
const bad = (sentence: string): StudioError => new StudioError("bad-request", sentence);

async function generate(args: string[], cwd: string): Promise<void> {
  const flags = parseArgs(args, FLAGS);
  if (flags.help) {
    console.log(USAGE);
    return;
  }
  const models = (flags.model ?? []).map((m) => resolve(cwd, m));
  if (models.length === 0 || !flags.prompt) throw bad(`The arguments --model and --prompt are needed.\n${USAGE}`);
  if ((flags.base === undefined) !== (flags.recipe === undefined)) throw bad("--base and --recipe belong together: they name a merge. Give both or neither.");
  if (!flags.recipe && models.length > 1) throw bad("One model answers: give --model once, or --base and --recipe for the merge of several.");
  const given = readTryOptions(flags);
  const budgets = parseBudgets(flags);
  const library = diskLibrary();
  try {
    const engine = createEngine({ gpu: await nodeGpu(), library, passes: memoryKeyValue(), tuning: nodeTuning(), budgets, ingest: "in place", openOutput: async () => Promise.reject(bad("Generating writes no model.")) });
    const say = (line: string): void => void process.stderr.write(`${line}\n`);
    let model: TryModel = { kind: "model", id: models[0]! };
    if (flags.recipe) {
      const recipe = await recipeFromFile(engine, resolve(cwd, flags.recipe[0]!), resolve(cwd, flags.base![0]!), models, say);
      await nameWeights(recipe, weightHashes(library));
      model = { kind: "merge", recipe };
    }
    const facts = await engine.tryFacts(model);
    const options = optionsFor(given, model.kind === "model" ? basename(model.id) : model.recipe.base.name, facts, [facts]);
    say(`${options.prompt === "raw" ? "The prompt as it is" : "The prompt by the chat template"}; stops at ${stopWords(options, facts)}; at most ${options.maxNewTokens} new tokens.`);
    const streamed = streamedWords(facts);
    if (streamed) say(streamed);
    // "\n" in a shell's argument is two characters; prompts of base models often end in a line break.
    const prompts = flags.prompt.map((prompt) => prompt.replace(/\\n(?![a-z])/g, "\n"));
    let told = "";
    const answers = await engine.generate("generate", model, prompts, options, () => undefined, ({ index, text }) => {
      if (prompts.length > 1 || index > 0) return;
      process.stdout.write(text.slice(told.length));
      told = text;
    });
    if (prompts.length > 1) answers.forEach((answer, i) => console.log(`${prompts[i]!.trimEnd()}\n${answer.text}\n`));
    else process.stdout.write("\n");
    if (model.kind === "merge") say(`Not written: ${mergedWords(answers[0]!.weights)}.`);
    for (const answer of answers) say(`${answer.ids.length} tokens after ${answer.promptTokens}, ${answer.tokensPerSecond.toFixed(1)} tokens/s, stopped by ${answer.stop}.`);
  } finally {
    await library.close();
  }
}

export const main = (args: string[]): Promise<number> => runCommand(generate, args);
