import { StudioError, throwIfCancelled } from "../core/errors";
import { ProgressMeter, type OnProgress } from "../core/progress";
import type { Checkpoint } from "../core/tensors";
import type { EvaluatedItem, Evaluation, MergesTried, Problem, TryAnswer, TryFacts, TryModel, TryOptions, TryPiece, WeightsBrought } from "../core/trying";
import { chatTemplateOf } from "../analysis/preflightTokens";
import { byTier, isRight, majorityCurve, summarise, type JudgedProblem, type Response } from "../evaluate/metrics";
import { parseJsonRecord } from "../formats/checkpoint";
import { planGenerator, type Generated } from "../generate/generator";
import { stopIds } from "../generate/stopIds";
import { parseModelConfig } from "../model/config";
import { fisherSupport } from "../model/support";
import { compareAnswers, findAnswer, reflects } from "../text/answers";
import { chatRenderer } from "../text/chat";
import { tokenizerOf, type Tokenizer } from "../text/tokenizer";
import type { Answering } from "./answering";
import type { Device } from "./device";
import { HeldModels } from "./heldModels";
import type { Resources } from "./resources";

export interface TryHost {
  device: Device;
  resources: Resources;
  /** Opens a model; a merge measures first what it needs. */
  answering(model: TryModel, jobId: string, signal: AbortSignal, onProgress: OnProgress): Promise<Answering>;
}

/** Before a model answers. */
const WEIGHTS = { id: "weights", label: "Weights made and brought to the GPU" };
/** Answers that come in are told this often. */
const PIECE_MS = 60;
const THOUGHT = "</think>";

const settingsOf = async (files: Checkpoint): Promise<Record<string, unknown>> => {
  const text = await files.text("tokenizer_config.json");
  return text === undefined ? {} : parseJsonRecord(text, "tokenizer_config.json");
};

export function requireForward({ name, files }: Answering): void {
  const support = fisherSupport(files.config, files.tensors);
  if (!support.available) throw new StudioError("unknown-architecture", `Answering with "${name}": ${(support.reason ?? "this architecture has no forward pass here").replace(/\.$/, "")}.`, { title: "This model cannot answer here", where: name, ...(support.reason ? { found: support.reason } : {}) });
}

/** Makes of a prompt what a model is asked, in tokens. */
async function prompter(answering: Answering, tokenizer: Tokenizer, options: TryOptions): Promise<(prompt: string) => number[]> {
  if (options.prompt === "raw") return (prompt) => tokenizer.encode(prompt);
  const template = await chatTemplateOf(answering.files);
  if (template === undefined) throw new StudioError("bad-request", `Asking "${answering.name}": it has no chat template. Choose the raw prompt.`, { title: "No chat template", where: answering.name, todo: "Choose the raw prompt." });
  const render = chatRenderer(answering.name, template, await settingsOf(answering.files));
  const before = options.system ? [{ role: "system" as const, content: options.system }] : [];
  return (prompt) => tokenizer.encode(render([...before, { role: "user", content: prompt }]), { addSpecialTokens: false });
}

/** Generation over stored models and merges that are not written. */
export class Trying {
  private readonly models: HeldModels;

  constructor(readonly host: TryHost) {
    this.models = new HeldModels(host.resources);
  }

  get tried(): MergesTried {
    return { ...this.models.tried };
  }

  /** `inputs`: files that each weight is made from, 1 for a stored model. */
  async facts(answering: Answering, inputs = 1): Promise<TryFacts> {
    requireForward(answering);
    const { resources } = this.host;
    const streamed = inputs * planGenerator(answering.files, parseModelConfig(answering.files.config), resources.gpuBytes).streamedBytesPerStep;
    // A merge is not read for this: that would be to make it.
    if (streamed > 0 && answering.recipeHash === undefined) await resources.learnReading(answering.files);
    const rate = resources.seen.readBytes;
    const generation = await answering.files.text("generation_config.json");
    const limit = generation === undefined ? undefined : parseJsonRecord(generation, "generation_config.json").max_new_tokens;
    const context = answering.files.config.max_position_embeddings;
    return {
      stops: await stopIds(answering.files),
      chatTemplate: (await chatTemplateOf(answering.files)) !== undefined,
      context: typeof context === "number" ? context : undefined,
      maxNewTokens: typeof limit === "number" ? limit : undefined,
      bytesPerToken: streamed > 0 ? streamed : undefined,
      secondsPerToken: streamed > 0 && rate !== undefined ? streamed / rate : undefined,
    };
  }

  /** Gives back what is held for models that answer nothing now. */
  release(): void {
    this.models.release();
  }

  /**
   * Answers to prompts, in their order, `samples` of each side by side; `onToken` tells each token as it comes. `begin` is called
   * first, and again when a device was lost in between: then everything is told anew. It gives what the phase counts.
   */
  private async answers(answering: Answering, meter: ProgressMeter, prompts: readonly string[], options: TryOptions, samples: number, signal: AbortSignal, begin: () => string | undefined, onToken: (index: number, id: number) => void, onDone: (index: number, answer: TryAnswer) => void): Promise<void> {
    requireForward(answering);
    const tokenizer = await tokenizerOf(answering.files);
    const stops = options.stopIds ?? (await stopIds(answering.files)).map((s) => s.id);
    const idsOf = await prompter(answering, tokenizer, options);
    const ids: number[][] = [];
    let turn = performance.now();
    for (const [i, prompt] of prompts.entries()) {
      // A turn for messages, among which may be the one that cancels: a large problem set takes seconds.
      if (performance.now() - turn > 100) {
        await new Promise((resolve) => setTimeout(resolve, 0));
        turn = performance.now();
      }
      throwIfCancelled(signal);
      const of = idsOf(prompt);
      if (of.length === 0) throw new StudioError("bad-request", `Asking "${answering.name}": ${prompts.length > 1 ? `prompt ${i + 1}` : "the prompt"} has no token in its tokenizer. Write it with characters that this model knows.`, { title: "An empty prompt", where: answering.name, found: JSON.stringify(prompt.slice(0, 60)) });
      ids.push(of);
    }
    const { temperature, topK, topP, repetitionPenalty, seed, maxNewTokens } = options;
    const answer = ({ ids: found, ...rest }: Generated, weights: WeightsBrought): TryAnswer => ({ ...rest, ids: found, text: tokenizer.decode(found, { skipSpecial: true }), ...(answering.recipeHash === undefined ? {} : { recipeHash: answering.recipeHash }), weights });
    await this.host.device.run("Answering", signal, async (gpu) => {
      const count = begin();
      meter.phase("weights");
      await this.models.use(answering, gpu, signal, (generator, brought) => {
        meter.phase("answer", count);
        return generator.generate(ids, { temperature, topK, topP, repetitionPenalty, seed, maxNewTokens, samples, stopIds: stops, signal, onEnd: (index, found) => onDone(index, answer(found, brought)) }, onToken);
      }, (part, parts) => {
        meter.count(`part ${part} of ${parts}`);
        meter.emit(0, true);
      });
      throwIfCancelled(signal);
    });
  }

  /** Greedy tokens after these. */
  async continued(answering: Answering, ids: readonly number[], maxNewTokens: number, signal: AbortSignal): Promise<number[]> {
    const stops = (await stopIds(answering.files)).map((s) => s.id);
    return this.host.device.run("Probing", signal, async (gpu) => {
      const [found] = await this.models.use(answering, gpu, signal, (generator) => generator.generate([ids], { maxNewTokens, stopIds: stops, signal }));
      throwIfCancelled(signal);
      return found!.ids;
    });
  }

  async generate(answering: Answering, jobId: string, prompts: readonly string[], options: TryOptions, signal: AbortSignal, onProgress: OnProgress, onPiece: (piece: TryPiece) => void): Promise<TryAnswer[]> {
    const meter = new ProgressMeter(jobId, "try", [WEIGHTS, { id: "answer", label: `${answering.name} answers` }], prompts.length * options.maxNewTokens, onProgress, { signal });
    const tokenizer = await tokenizerOf(answering.files);
    const fresh = () => prompts.map(() => ({ stream: tokenizer.stream({ skipSpecial: true }), text: "", tokens: 0, told: -Infinity }));
    let texts = fresh();
    const answers: TryAnswer[] = [];
    let work = 0;
    await this.answers(answering, meter, prompts, options, 1, signal, () => {
      texts = fresh();
      work = 0;
      return undefined;
    }, (index, id) => {
      const state = texts[index]!;
      const chunk = state.stream.push(id);
      state.text += chunk;
      state.tokens++;
      meter.emit(++work);
      // The end of thinking is told at its token, so that its length can be counted.
      const thought = state.text.slice(-chunk.length - THOUGHT.length).includes(THOUGHT);
      if (!thought && performance.now() - state.told < PIECE_MS) return;
      state.told = performance.now();
      onPiece({ index, text: state.text, tokens: state.tokens });
    }, (index, answer) => {
      answers[index] = answer;
      onPiece({ index, text: answer.text, tokens: answer.ids.length });
    });
    meter.finish();
    return answers;
  }

  /** Answers problems, judges each answer, and sums up. What a cancelled evaluation judged was told by `onItem`. */
  async evaluate(answering: Answering, jobId: string, problems: readonly Problem[], options: TryOptions & { samples: number }, signal: AbortSignal, onProgress: OnProgress, onItem: (item: EvaluatedItem) => void): Promise<Evaluation> {
    const { samples } = options;
    const meter = new ProgressMeter(jobId, "try", [WEIGHTS, { id: "answer", label: `${answering.name} answers ${problems.length} problems` }], problems.length * samples, onProgress, { signal });
    const started = performance.now();
    const fresh = (): JudgedProblem[] => problems.map(({ prompt, answer, tier }) => ({ prompt, reference: answer, ...(tier === undefined ? {} : { tier }), responses: [] }));
    let judged = fresh();
    let done = 0;
    let tokens = 0;
    await this.answers(answering, meter, problems.map((p) => p.prompt), options, samples, signal, () => {
      judged = fresh();
      done = tokens = 0;
      return `0 of ${problems.length}`;
    }, () => tokens++, (index, answer) => {
      if (answer.stop === "cancelled") return;
      const problem = judged[Math.floor(index / samples)]!;
      // In the order of the samples, whichever ends first.
      problem.responses[index % samples] = judge(answer, problem.reference);
      meter.emit(++done, true);
      if (Object.keys(problem.responses).length < samples) return;
      meter.count(`${Math.floor(done / samples)} of ${problems.length}`);
      onItem(itemOf(problem, Math.floor(index / samples)));
    });
    meter.finish();
    const seconds = (performance.now() - started) / 1000;
    return {
      name: answering.name, ...(answering.recipeHash === undefined ? {} : { recipeHash: answering.recipeHash }),
      options, samples, summary: summarise(judged),
      tiers: [...byTier(judged)].map(([tier, summary]) => ({ tier, summary })),
      majority: samples > 1 ? majorityCurve(judged, [...[1, 4, 8, 16, 32].filter((n) => n < samples), samples]) : [],
      items: judged.map(itemOf), seconds, tokensPerSecond: tokens / seconds,
    };
  }
}

function judge({ text, tokens, stop }: TryAnswer, reference: string): Response {
  const answer = findAnswer(text);
  return { text, tokens, truncated: stop === "length" || stop === "context", answer, verdict: compareAnswers(answer.text, reference), reflects: reflects(text) };
}

const itemOf = (problem: JudgedProblem, index: number): EvaluatedItem => ({
  index,
  responses: problem.responses.map((r) => ({ text: r.text, tokens: r.tokens, truncated: r.truncated, found: r.answer.text, rule: r.answer.rule, right: isRight(r), verdict: r.verdict, reflects: r.reflects })),
});
