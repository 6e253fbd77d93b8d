import { readFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { nodeGpu } from "../../src/cli/nodeGpu";
import { readFolder } from "../../src/cli/nodeFiles";
import { openCheckpoint } from "../../src/formats/checkpoint";
import { createGenerator } from "../../src/generate/generator";
import { stopIds } from "../../src/generate/stopIds";
import { Gpu } from "../../src/gpu/gpu";
import { parseModelConfig } from "../../src/model/config";
import { tokenizerOf } from "../../src/text/tokenizer";

const SAMPLES = new URL("../../public/samples/", import.meta.url).pathname;

interface Problem { prompt: string; answer: string }

/** Prints tokens per second and dispatches per step for each batch size; the first row also compiles the kernels. */
export async function main({ problems, batches, model }: { problems: number; batches: number[]; model: string }): Promise<number> {
  const gpu = await Gpu.create(await nodeGpu());
  const checkpoint = await openCheckpoint(model, (await readFolder(`${SAMPLES}${model}`)).files);
  const tokenizer = await tokenizerOf(checkpoint);
  const stops = (await stopIds(checkpoint)).map(({ id }) => id);
  const asked = readFileSync(`${SAMPLES}problems.jsonl`, "utf8").trim().split("\n").slice(0, problems).map((line) => JSON.parse(line) as Problem);
  const prompts = asked.map(({ prompt }) => tokenizer.encode(prompt));
  console.log(`${gpu.facts.name}, ${cpus().length} cores, load ${loadavg()[0]!.toFixed(1)}; ${model}, ${prompts.length} problems`);
  const started = performance.now();
  const generator = await createGenerator(gpu, checkpoint, parseModelConfig(checkpoint.config));
  console.log(`weights: ${generator.plan.residentBytes} bytes in ${Math.round(performance.now() - started)} ms`);
  for (const batch of batches) {
    const at = performance.now();
    const cpu = process.cpuUsage();
    const { dispatches } = gpu;
    const answers = await generator.generate(prompts, { maxNewTokens: 220, stopIds: stops, batch });
    const seconds = (performance.now() - at) / 1000;
    const used = process.cpuUsage(cpu);
    const tokens = answers.reduce((sum, a) => sum + a.tokens, 0);
    const right = answers.filter((a, i) => tokenizer.decode(a.ids).endsWith(`answer=${asked[i]!.answer}`)).length;
    console.log(`batch ${batch}: ${tokens} tokens in ${seconds.toFixed(1)} s, ${(tokens / seconds).toFixed(0)} tokens/s, ${(tokens / ((used.user + used.system) / 1e6)).toFixed(0)} per CPU-second, ${((gpu.dispatches - dispatches) / tokens).toFixed(1)} dispatches a token; ${right} of ${prompts.length} right, mean length ${(tokens / prompts.length).toFixed(1)}`);
  }
  generator.end();
  gpu.destroy();
  return 0;
}
