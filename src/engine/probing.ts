import { StudioError } from "../core/errors";
import { ProgressMeter, type OnProgress } from "../core/progress";
import { Scratch } from "../core/scratch";
import type { Probe, ProbedModel, TryModel } from "../core/trying";
import { brokenBecause, repetitionRate } from "../evaluate/broken";
import { compareOutputs } from "../evaluate/compareOutputs";
import { parseModelConfig } from "../model/config";
import { tokenizerOf } from "../text/tokenizer";
import type { Answering } from "./answering";
import { requireForward, type Trying } from "./trying";

const WINDOW = 512;
/** Tokens of the text that are used: a probe is to be quick. */
const MOST_TOKENS = 2048;
/** The continuation: after so many tokens of the text, so many new ones. */
const PROMPT = 64;
const CONTINUED = 64;

export interface ProbeJob {
  jobId: string;
  signal: AbortSignal;
  onProgress: OnProgress;
}

/** Windows of at most `size` tokens; what is left over at the end and predicts nothing is dropped. */
const windowsOf = (ids: readonly number[], size: number): number[][] =>
  Array.from({ length: Math.ceil(ids.length / size) }, (_, w) => ids.slice(w * size, (w + 1) * size)).filter((w) => w.length > 1);

/**
 * Perplexity of each model on a text, KL of each stored model to each merge, and repetition in a greedy continuation of the
 * text's beginning. Merges are not written. What models hold between questions is given back first: the walks need the room.
 */
export async function probeModels(trying: Trying, models: readonly TryModel[], text: string, { jobId, signal, onProgress }: ProbeJob): Promise<Probe> {
  const { device, resources } = trying.host;
  const asked: Answering[] = [];
  for (const model of models) asked.push(await trying.host.answering(model, jobId, signal, onProgress));
  if (asked.length === 0) throw new StudioError("bad-request", "Probing a text: no model was named.", { title: "No model to probe" });
  asked.forEach(requireForward);
  const started = performance.now();
  const configs = asked.map((a) => parseModelConfig(a.files.config));
  const tokenizer = await tokenizerOf(asked[0]!.files);
  const all = tokenizer.encode(text);
  const windows = windowsOf(all.slice(0, MOST_TOKENS), Math.min(WINDOW, ...configs.map((c) => c.maxPosition)));
  const tokens = windows.reduce((sum, w) => sum + w.length, 0);
  if (tokens === 0) throw new StudioError("bad-request", `Probing a text: it has ${all.length} token${all.length === 1 ? "" : "s"} in the tokenizer of "${asked[0]!.name}", at least 2 are needed. Give a longer text.`, { title: "The text is too short", found: `${all.length} tokens`, expected: "at least 2 tokens", todo: "Give a longer text." });

  const blocks = configs.reduce((sum, c) => sum + c.layers, 0);
  const meter = new ProgressMeter(jobId, "try", [{ id: "forward", label: `${tokens} tokens through ${asked.length} models` }, { id: "continue", label: "Continuing the text" }], 2 * blocks, onProgress, { signal });
  const pairs = asked.flatMap((merge, q) => (merge.recipeHash === undefined ? [] : asked.flatMap((parent, p): [number, number][] => (parent.recipeHash === undefined ? [[p, q]] : []))));
  trying.release();
  const { perplexities, divergences } = await device.run("Probing", signal, async (gpu) => {
    gpu.budgetBytes = resources.gpuBytes;
    let done = 0;
    meter.phase("forward", `0 of ${blocks} blocks`);
    const onBlock = (): void => {
      meter.gpuBytes = gpu.allocatedBytes;
      meter.count(`${++done} of ${blocks} blocks`);
      meter.emit(done);
    };
    try {
      const weights = [];
      for (const a of asked) weights.push(await a.weights(gpu, signal));
      return await compareOutputs(gpu, { models: weights.map((source, k) => ({ source, config: configs[k]! })), pairs, windows, signal, onBlock });
    } finally {
      await gpu.settle().catch(() => undefined);
      Scratch.clear();
    }
  });

  meter.phase("continue");
  const prompt = windows[0]!.slice(0, Math.min(PROMPT, windows[0]!.length >> 1));
  const probed: ProbedModel[] = [];
  for (const [k, a] of asked.entries()) {
    const perplexity = perplexities[k]!;
    meter.count(a.name);
    const ids = Number.isNaN(perplexity) ? [] : await trying.continued(a, prompt, CONTINUED, signal);
    const repetition = repetitionRate(ids);
    meter.emit(blocks + (blocks * (k + 1)) / asked.length);
    probed.push({
      name: a.name, perplexity, continuation: tokenizer.decode(ids, { skipSpecial: true }),
      ...(a.recipeHash === undefined ? {} : { recipeHash: a.recipeHash }), ...(repetition === undefined ? {} : { repetition }),
      divergences: pairs.flatMap(([p, q], i) => (q === k ? [{ from: asked[p]!.name, nats: divergences[i]! }] : [])),
    });
  }
  meter.finish();
  const found = ({ perplexity, repetition }: ProbedModel): Parameters<typeof brokenBecause>[0] => ({ perplexity, repetition });
  const parents = probed.filter((m) => m.recipeHash === undefined).map(found);
  return {
    tokens, ofTokens: all.length, seconds: (performance.now() - started) / 1000,
    models: probed.map((m) => {
      const broken = m.recipeHash === undefined ? undefined : brokenBecause(found(m), parents);
      return broken === undefined ? m : { ...m, broken };
    }),
  };
}
