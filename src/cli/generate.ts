import { resolve } from "node:path";
import { StudioError } from "../core/errors";
import { GREEDY_OPTIONS, type TryModel, type TryOptions } from "../core/trying";
import { createEngine } from "../engine/engine";
import { memoryKeyValue } from "../store/keyValue";
import { numberFlag, parseArgs } from "./args";
import { parseBudgets } from "./budgets";
import { runCommand } from "./command";
import { diskLibrary } from "./diskLibrary";
import { nodeGpu, nodeTuning } from "./nodeGpu";
import { recipeFromFile } from "./recipes";

const USAGE = `npm run generate -- --model DIR --prompt TEXT [--prompt TEXT]...
npm run generate -- --base DIR --model DIR --recipe FILE --prompt TEXT     the merge of a recipe, which is not written
  --max-new-tokens N  --temperature T (0 is greedy)  --top-p P  --top-k K  --repetition-penalty R  --seed N
  --system TEXT       before the prompt, in the chat template
  --raw               the prompt as it is, although the model has a chat template
  --stop ID           in place of the model's own stop ids; several
  --gpu-budget SIZE, --host-budget SIZE, --help`;

const FLAGS = {
  base: { value: true }, model: { value: true, repeat: true }, recipe: { value: true }, prompt: { value: true, repeat: true }, system: { value: true }, raw: {}, stop: { value: true, repeat: true },
  "max-new-tokens": { value: true }, temperature: { value: true }, "top-p": { value: true }, "top-k": { value: true }, "repetition-penalty": { value: true }, seed: { value: true },
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
  const library = diskLibrary();
  try {
    const engine = createEngine({ gpu: await nodeGpu(), library, passes: memoryKeyValue(), tuning: nodeTuning(), budgets: parseBudgets(flags), ingest: "in place", openOutput: async () => Promise.reject(bad("Generating writes no model.")) });
    const say = (line: string): void => void process.stderr.write(`${line}\n`);
    const model: TryModel = flags.recipe ? { kind: "merge", recipe: await recipeFromFile(engine, resolve(cwd, flags.recipe[0]!), resolve(cwd, flags.base![0]!), models, say) } : { kind: "model", id: models[0]! };
    const facts = await engine.tryFacts(model);
    const number = (name: string, fallback: number): number => numberFlag(flags, name, fallback);
    const options: TryOptions = {
      ...GREEDY_OPTIONS,
      maxNewTokens: number("max-new-tokens", facts.maxNewTokens ?? 512), temperature: number("temperature", 0), topP: number("top-p", 1), topK: number("top-k", 0), repetitionPenalty: number("repetition-penalty", 1), seed: number("seed", 42),
      prompt: flags.raw || !facts.chatTemplate ? "raw" : "chat",
      ...(flags.system ? { system: flags.system[0]! } : {}),
      ...(flags.stop ? { stopIds: flags.stop.map(Number) } : {}),
    };
    say(`Stops at ${(options.stopIds ?? facts.stops.map((s) => s.id)).join(", ") || "nothing but the limit"}; at most ${options.maxNewTokens} new tokens.`);
    // "\n" in a shell's argument is two characters; prompts of base models often end in a line break.
    const prompts = flags.prompt.map((prompt) => prompt.replaceAll("\\n", "\n"));
    let told = "";
    const answers = await engine.generate("generate", model, prompts, options, () => undefined, ({ index, text }) => {
      if (prompts.length > 1 || index > 0) return;
      process.stdout.write(text.slice(told.length));
      told = text;
    });
    if (prompts.length > 1) answers.forEach((answer, i) => console.log(`${prompts[i]!.trimEnd()}\n${answer.text}\n`));
    else process.stdout.write("\n");
    for (const answer of answers) say(`${answer.ids.length} tokens after ${answer.promptTokens}, ${answer.tokensPerSecond.toFixed(1)} tokens/s, stopped by ${answer.stop}.`);
  } finally {
    await library.close();
  }
}

export const main = (args: string[]): Promise<number> => runCommand(generate, args);
