import { StudioError, throwIfCancelled, toStudioError } from "../core/errors";
import type { TensorSource } from "../core/tensors";
import { MAX_BINDING_BYTES, type Gpu } from "../gpu/gpu";
import type { ModelConfig } from "../model/config";
import { Pace } from "../model/pace";
import { checkTensors } from "../model/weights";
import { KeyValueCache, planCache } from "./cache";
import { PromptPlaces } from "./promptPlaces";
import { checkSampling, chooseToken, GREEDY, samplingKey, type SamplingOptions } from "./sampling";
import { CachedWalk, promptRows, type Row } from "./walk";
import { WeightPool } from "./pool";
import { GeneratorWeights, planWeights, poolKeys, type WeightPlan } from "./weights";

/** "context": prompt and answer fill the positions that the model has. */
export type StopReason = "stop id" | "length" | "context" | "cancelled";

export interface GenerateOptions extends Partial<SamplingOptions> {
  maxNewTokens: number;
  /** Ids that end an answer; see stopIds. */
  stopIds: readonly number[];
  /** Answers to each prompt; 1 when absent. */
  samples?: number | undefined;
  /** Sequences that are decoded together, as far as memory goes; 32 when absent, which is the most. */
  batch?: number | undefined;
  signal?: AbortSignal | undefined;
  /** Told as soon as an answer is whole, in whatever order they end. */
  onEnd?: ((sequence: number, answer: Generated) => void) | undefined;
}

/** One answer. Sequence s is sample s % samples of prompt floor(s / samples). */
export interface Generated {
  prompt: number;
  sample: number;
  /** The answer, without the stop id. */
  ids: number[];
  stop: StopReason;
  stopId: number | undefined;
  promptTokens: number;
  /** Length of the answer with its stop id, as lengths are usually counted. */
  tokens: number;
  /** From when its prompt was begun to its last token, in company of the batch. */
  seconds: number;
  /** From its first token to its last, since the first one waits for the prompt; of a single token, with the prompt. */
  tokensPerSecond: number;
}

export type OnToken = (sequence: number, id: number, step: number) => void;

export interface Generator {
  readonly config: ModelConfig;
  /** Known before the first token: what stays on the GPU, and what each step reads again. */
  readonly plan: WeightPlan;
  /** Tensors on the GPU that were brought for it, and those that it shares with models that had them. */
  readonly loaded: Readonly<{ made: number; taken: number }>;
  /**
   * Answers to all prompts, in their order. `onToken` sees every token but stop ids as it is chosen. An answer depends on
   * its prompt, the options and the number of its sample, not on the prompts beside it. When the signal fires, what there is
   * comes back as "cancelled". Throws "bad-request" for an unusable prompt or setting.
   */
  generate(prompts: readonly (readonly number[])[], options: GenerateOptions, onToken?: OnToken): Promise<Generated[]>;
  /** Gives all buffers back. */
  end(): void;
}

export interface GeneratorOptions {
  /** GPU bytes for weights, cache and what a step needs, those of all models in `pool` together; all that is asked for when absent. */
  budgetBytes?: number | undefined;
  /** Models with one pool have tensors in common once; a pool of its own when absent. */
  pool?: WeightPool | undefined;
  /** Told how many bytes beside those in the pool would let all weights stay, so that others can be ended. What they share with this model stays. */
  makeRoom?: ((bytes: number) => void) | undefined;
  signal?: AbortSignal | undefined;
  /** Parts of the model brought to the GPU so far. */
  onProgress?: ((part: number, parts: number) => void) | undefined;
}

/** Buffers of one step beside weights and cache, roughly: activations of prompt rows, scores, logits. */
function stepBytes(config: ModelConfig, batch: number): number {
  const rows = Math.min(512, config.maxPosition);
  return 4 * rows * (4 * config.hidden + 3 * config.intermediate + 3 * config.heads * config.headDim) + 34 * 1024 * 1024 + 8 * batch * config.vocab;
}

/** Share of the budget that the cache gets at least, before weights take the rest. */
const CACHE_SHARE = 1 / 8;
/** Prompts up to this go along with the next tokens of others; longer ones by tiles, on their own. It is the prompt's own length that decides, so that company changes no bit. */
const SHORT_PROMPT = 32;
const MAX_BATCH = 32;

/** What a generator within this budget keeps on the GPU; headers are enough to know. `isHeld` names tensors that are there already. */
export const planGenerator = (source: TensorSource, config: ModelConfig, budgetBytes: number, isHeld?: (name: string) => boolean): WeightPlan => planWeights(source, config, (budgetBytes - stepBytes(config, 1)) * (1 - CACHE_SHARE), isHeld);

/**
 * A decoder that makes text: prompts by the products of the forward pass, then one token of each sequence at a time, with
 * keys and values in a cache and kernels for few rows. A sequence that ends makes room for the next one. Weights stay on the
 * GPU as far as the budget goes; the rest is brought for every step, block by block. The source may be a merge that was
 * never written: what is read of it is what an export would write. Tensors of known identity that the pool has are shared.
 * Throws as checkTensors and loadWeight do.
 */
export async function createGenerator(gpu: Gpu, source: TensorSource, config: ModelConfig, options: GeneratorOptions = {}): Promise<Generator> {
  const { budgetBytes = Infinity, pool = new WeightPool(gpu), makeRoom, signal } = options;
  checkTensors(source, config);
  const keys = await poolKeys(source, config, signal);
  // Held until the weights have their own part: what makes room may end the models that these are from.
  const kept = [...keys.values()].map((key) => pool.take(key));
  let weights: GeneratorWeights;
  try {
    const isHeld = (name: string): boolean => pool.has(keys.get(name));
    const whole = planGenerator(source, config, Infinity, isHeld);
    makeRoom?.(Math.ceil((whole.weightBytes - whole.sharedBytes) / (1 - CACHE_SHARE)) + stepBytes(config, 1));
    weights = await GeneratorWeights.load(gpu, source, config, planGenerator(source, config, budgetBytes - pool.heldBytes, isHeld), { ...options, pool, keys });
  } finally {
    for (const share of kept) share?.release();
  }
  return {
    config,
    plan: weights.plan,
    loaded: weights.loaded,
    generate: (prompts, request, onToken) => {
      const batch = request.batch ?? MAX_BATCH;
      const cacheBytes = budgetBytes - pool.heldBytes - stepBytes(config, batch);
      return new Generation(gpu, config, weights, { ...request, signal: request.signal ?? options.signal }, cacheBytes, onToken).run(prompts);
    },
    end: () => weights.release(),
  };
}

interface Sequence extends Generated {
  index: number;
  all: number[];
  seen: Set<number>;
  /** Tokens whose keys and values the cache has. */
  cached: number;
  key: number;
  place: number;
  begun: number;
  /** When the first token was chosen. */
  first: number;
  ended: boolean;
}

const answerOf = ({ prompt, sample, ids, stop, stopId, promptTokens, tokens, seconds, tokensPerSecond }: Sequence): Generated => ({ prompt, sample, ids: [...ids], stop, stopId, promptTokens, tokens, seconds, tokensPerSecond });

/** One call of `generate`. */
class Generation {
  private readonly sampling: SamplingOptions;
  private readonly samples: number;
  private readonly batch: number;
  private readonly stops: ReadonlySet<number>;
  private readonly prompts = new PromptPlaces();

  constructor(
    private readonly gpu: Gpu,
    private readonly config: ModelConfig,
    private readonly weights: GeneratorWeights,
    private readonly options: GenerateOptions,
    private readonly cacheBytes: number,
    private readonly onToken: OnToken | undefined,
  ) {
    const { temperature, topK, topP, repetitionPenalty, seed } = { ...GREEDY, ...withoutAbsent(options) };
    this.sampling = { temperature, topK, topP, repetitionPenalty, seed };
    this.samples = options.samples ?? 1;
    this.batch = options.batch ?? MAX_BATCH;
    this.stops = new Set(options.stopIds);
    checkSampling(this.sampling);
    for (const [name, value, most] of [["maxNewTokens", options.maxNewTokens, Infinity], ["samples", this.samples, Infinity], ["batch", this.batch, MAX_BATCH]] as const)
      if (!Number.isInteger(value) || value < 1 || value > most)
        throw new StudioError("bad-request", `Generating: ${name} is ${value}, expected a whole number from 1${most < Infinity ? ` to ${most}` : " on"}.`, { title: "A setting cannot be used", where: name, found: String(value) });
  }

  async run(prompts: readonly (readonly number[])[]): Promise<Generated[]> {
    const { config, gpu } = this;
    const { signal, maxNewTokens } = this.options;
    checkPrompts(prompts, config.vocab);
    const sequences = prompts.flatMap((ids, prompt) => Array.from({ length: this.samples }, (_, sample) => this.sequence(ids, prompt, sample)));
    const waiting = sequences.filter((s) => !this.noRoom(s));
    if (waiting.length > 0) {
      const longest = Math.max(...waiting.map((s) => Math.min(s.all.length + maxNewTokens, config.maxPosition)));
      const logitRows = Math.floor(MAX_BINDING_BYTES / (4 * config.vocab));
      const cache = new KeyValueCache(gpu, config, planCache(config, longest, Math.min(this.batch, waiting.length, logitRows), this.cacheBytes));
      let walk: CachedWalk | undefined;
      try {
        walk = new CachedWalk(gpu, config, this.weights, cache, new Pace(gpu, signal));
        await this.decode(walk, waiting, cache.plan.places);
      } catch (error) {
        if (!signal?.aborted || toStudioError(error).code !== "cancelled") throw error;
        for (const s of sequences) if (!s.ended) this.end(s, "cancelled");
      } finally {
        walk?.end();
        cache.release();
      }
    }
    return sequences.map(answerOf);
  }

  private sequence(ids: readonly number[], prompt: number, sample: number): Sequence {
    return {
      index: prompt * this.samples + sample, prompt, sample, ids: [], stop: "cancelled", stopId: undefined, promptTokens: ids.length, tokens: 0, seconds: 0, tokensPerSecond: 0,
      all: [...ids], seen: new Set(ids), cached: 0, key: samplingKey(this.sampling.seed, ids, sample), place: -1, begun: 0, first: 0, ended: false,
    };
  }

  private async decode(walk: CachedWalk, waiting: Sequence[], places: number): Promise<void> {
    const free = Array.from({ length: places }, (_, i) => places - 1 - i);
    let running: Sequence[] = [];
    while (waiting.length > 0 || running.length > 0) {
      throwIfCancelled(this.options.signal);
      const fresh = waiting.splice(0, free.length);
      const first: Sequence[] = [];
      const others: Sequence[] = [];
      for (const s of fresh) {
        s.place = free.pop()!;
        s.begun = performance.now();
        if (!(await this.share(walk, s))) (first.some(({ prompt }) => prompt === s.prompt) ? others : first).push(s);
      }
      const long = first.filter((s) => s.promptTokens > SHORT_PROMPT);
      if (long.length > 0) await this.advance(walk, long, true);
      const together = [...running, ...first.filter((s) => s.promptTokens <= SHORT_PROMPT)];
      if (together.length > 0) await this.advance(walk, together, false);
      for (const s of others) await this.share(walk, s);
      running = [...running, ...fresh];
      free.push(...running.filter((s) => s.ended).map((s) => s.place));
      running = running.filter((s) => !s.ended);
    }
  }

  /** A prompt that another sample of it has brought into the cache is copied there, and the next token chosen; false when there is none. */
  private async share(walk: CachedWalk, s: Sequence): Promise<boolean> {
    const found = this.prompts.find(s.prompt, s.place);
    if (!found) return false;
    if (found.place !== s.place) await walk.copyCached(found.place, s.place, s.promptTokens);
    s.cached = s.promptTokens;
    this.prompted(s, found.logits);
    this.take(s, found.logits);
    return true;
  }

  private prompted(s: Sequence, logits: Float32Array): void {
    this.prompts.set(s.place, s.prompt, logits, s.sample + 1 < this.samples);
  }

  /** What the cache lacks of each sequence goes into it, in pieces of bounded size, and the next token of each is chosen. */
  private async advance(walk: CachedWalk, sequences: readonly Sequence[], prompt: boolean): Promise<void> {
    const rows = sequences.flatMap((s) => s.all.slice(s.cached).map((token, i) => ({ s, row: { place: s.place, position: s.cached + i, token }, last: s.cached + i + 1 === s.all.length })));
    const step = promptRows(this.config, Math.max(...sequences.map((s) => s.all.length)));
    for (let from = 0; from < rows.length; from += step) {
      const piece = rows.slice(from, from + step);
      const lasts = piece.map(({ last }, i) => (last ? i : -1)).filter((i) => i >= 0);
      const logits = await walk.logits(piece.map(({ row }): Row => row), lasts, prompt);
      lasts.forEach((i, n) => {
        const { s } = piece[i]!;
        s.cached = s.all.length;
        if (s.tokens === 0) this.prompted(s, logits[n]!);
        this.take(s, logits[n]!);
      });
    }
  }

  /** The next token of a sequence. */
  private take(s: Sequence, logits: Float32Array): void {
    const step = s.ids.length;
    const id = chooseToken(logits, this.sampling, s.seen, s.key, step);
    if (s.tokens++ === 0) s.first = performance.now();
    if (this.stops.has(id)) {
      s.stopId = id;
      return this.end(s, "stop id");
    }
    s.ids.push(id);
    s.all.push(id);
    s.seen.add(id);
    this.onToken?.(s.index, id, step);
    if (s.ids.length >= this.options.maxNewTokens) this.end(s, "length");
    else this.noRoom(s);
  }

  /** Whether the model has no position left for another token; the sequence then ends. */
  private noRoom(s: Sequence): boolean {
    if (s.all.length < this.config.maxPosition) return false;
    this.end(s, "context");
    return true;
  }

  private end(s: Sequence, stop: StopReason): void {
    s.ended = true;
    s.stop = stop;
    const now = performance.now();
    s.seconds = s.begun > 0 ? (now - s.begun) / 1000 : 0;
    const [tokens, seconds] = s.tokens > 1 ? [s.tokens - 1, (now - s.first) / 1000] : [s.tokens, s.seconds];
    s.tokensPerSecond = seconds > 0 ? tokens / seconds : 0;
    this.options.onEnd?.(s.index, answerOf(s));
  }
}

/** Keys that are there but undefined would hide defaults. */
const withoutAbsent = (options: GenerateOptions): GenerateOptions => Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as unknown as GenerateOptions;

function checkPrompts(prompts: readonly (readonly number[])[], vocab: number): void {
  prompts.forEach((ids, p) => {
    const refuse = (found: string, where: string): never => {
      throw new StudioError("bad-request", `Generating: ${where} ${found}.`, { title: "A prompt cannot be used", where, found });
    };
    if (ids.length === 0) refuse("has no tokens; at least one is needed. Write something, or begin with the model's begin-of-text token", `prompt ${p + 1}`);
    const bad = ids.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= vocab);
    if (bad >= 0) refuse(`has ${String(ids[bad])} at position ${bad + 1}; token ids of this model are whole numbers from 0 to ${vocab - 1}. Use the tokenizer of this model`, `prompt ${p + 1}`);
  });
}
