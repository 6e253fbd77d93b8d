import { StudioError } from "../core/errors";
import type { Recipe } from "../core/recipe";
import { idlePatterns, isChosen } from "../core/tensorChoice";
import { isFloatDtype, type Checkpoint, type TensorInfo } from "../core/tensors";
import { tensorBytes, writeSafetensorsHeader } from "../formats/safetensors";
import { pairedOutputs, pairTensors, type OutputTensor } from "../model/pairing";
import { isBuffer } from "../model/support";
import { chooseRows, vocabularyOf } from "../model/vocabulary";
import { compactRecipe } from "./recipeFile";

export interface PlannedShard {
  path: string;
  /** Length prefix, JSON and padding: the first bytes of the file. */
  header: Uint8Array;
  /** In file order, with absolute byte ranges. */
  tensors: (OutputTensor & Pick<TensorInfo, "begin" | "end">)[];
  /** Size of the whole file. */
  bytes: number;
}

export interface OutputPlan {
  /** In base order, a new head last. */
  tensors: OutputTensor[];
  shards: PlannedShard[];
  /** Absent when one file holds all. */
  index: { path: string; text: string } | undefined;
  /** Tensor bytes without headers: `total_size` of the index. */
  tensorBytes: number;
  parameters: number;
  /** Tensors that the recipe's patterns leave to the base. */
  leftOut: string[];
  /** Tensors that only a fine-tuned model has, and the result has not. */
  dropped: string[];
  /** Whether the result's head is its embedding: `tie_word_embeddings` of its config.json. */
  tied: boolean;
  /** Rows of the result's embedding, where the models have different numbers of them: `vocab_size` of its config.json. */
  vocab: number | undefined;
}

const MIN_SHARD_BYTES = 1 << 20;

/** Greedy, in order: a shard closes before the tensor that would overfill it; a tensor above the cap has one of its own. */
function fillShards(tensors: OutputTensor[], cap: number): OutputTensor[][] {
  const shards: OutputTensor[][] = [];
  let current: OutputTensor[] = [];
  let bytes = 0;
  for (const tensor of tensors) {
    const size = tensorBytes(tensor);
    if (size > cap) {
      shards.push([tensor]);
      continue;
    }
    if (bytes + size > cap) {
      shards.push(current);
      current = [];
      bytes = 0;
    }
    current.push(tensor);
    bytes += size;
  }
  if (current.length > 0) shards.push(current);
  return shards;
}

/**
 * Every byte of the result's layout, fixed before anything is computed: tensors, dtypes, shards, headers and offsets.
 * `output.dtype` changes float tensors only; a copied one is converted too, so that the model has one dtype.
 * Throws "bad-recipe" when maxShardBytes is below 1 MiB, the base has no tensor, or a pattern of the recipe fits none.
 * Source: Hugging Face sharded checkpoints, model-00001-of-0000N.safetensors, as split by huggingface_hub.
 */
export function planOutput(base: Checkpoint, tuned: readonly Checkpoint[], recipe: Recipe): OutputPlan {
  const cap = recipe.output.maxShardBytes;
  if (!(cap >= MIN_SHARD_BYTES)) throw new StudioError("bad-recipe", `Planning the output: output.maxShardBytes is ${cap}, expected at least 1,048,576 (1 MiB).`, { title: "Shards too small", where: "output.maxShardBytes", path: "output.maxShardBytes" });
  const { tensors: paired, tied } = pairedOutputs(base, tuned, recipe.reconciliation.tied);
  const { tensors: chosen, leftOut } = choose(base, paired, recipe.tensors);
  const { tensors: kept, vocab } = chooseRows(chosen, base, tuned, vocabularyOf(recipe.reconciliation));
  const wanted = recipe.output.dtype;
  const tensors = kept.map((t) => (wanted !== "base" && isFloatDtype(t.dtype) && !isBuffer(t.name) ? { ...t, dtype: wanted } : t));
  if (tensors.length === 0) throw new StudioError("bad-recipe", `Planning the output: the base "${base.name}" has no tensors.`, { title: "Nothing to write", where: base.name });

  const { format: _, tributary_recipe: __, ...others } = base.metadata;
  const metadata = { format: "pt", tributary_recipe: compactRecipe(recipe), ...Object.fromEntries(Object.entries(others).sort(([a], [b]) => (a < b ? -1 : 1))) };
  const groups = fillShards(tensors, cap);
  const number = (i: number): string => String(i).padStart(5, "0");
  const shards = groups.map((group, i): PlannedShard => {
    const { bytes: header, order } = writeSafetensorsHeader(group, metadata);
    const byName = new Map(group.map((t) => [t.name, t]));
    return {
      path: groups.length === 1 ? "model.safetensors" : `model-${number(i + 1)}-of-${number(groups.length)}.safetensors`,
      header,
      tensors: order.map(({ name, begin, end }) => ({ ...byName.get(name)!, begin, end })),
      bytes: order.at(-1)!.end,
    };
  });
  const total = tensors.reduce((sum, t) => sum + tensorBytes(t), 0);
  return {
    tensors, shards, tied, vocab, leftOut, dropped: [...new Set(pairTensors(base, tuned).extra.map((t) => t.name))],
    index: shards.length > 1 ? { path: "model.safetensors.index.json", text: indexText(shards, total) } : undefined,
    tensorBytes: total,
    parameters: tensors.reduce((sum, t) => sum + (isBuffer(t.name) ? 0 : t.elements), 0),
  };
}

/** What the recipe's patterns leave out becomes a copy of the base's tensor, whatever else was to be done with it. */
function choose(base: Checkpoint, tensors: OutputTensor[], choice: Recipe["tensors"]): { tensors: OutputTensor[]; leftOut: string[] } {
  if (!choice) return { tensors, leftOut: [] };
  const names = tensors.map((t) => t.name);
  const idle = idlePatterns(choice, names)[0];
  if (idle)
    throw new StudioError("bad-recipe", `Choosing tensors: the pattern "${idle.pattern}" of tensors.${idle.key} fits none of the ${names.length} tensors, such as "${names[Math.min(1, names.length - 1)]}". A pattern is a whole name, in which * stands for any text: "${idle.pattern.includes("*") ? "*mlp*" : `*${idle.pattern}*`}".`, { title: "A pattern that fits nothing", where: `tensors.${idle.key}`, path: `tensors.${idle.key}`, found: idle.pattern, expected: "a pattern that fits at least one tensor" });
  const leftOut = new Set(names.filter((name) => !isChosen(choice, name)));
  return {
    leftOut: [...leftOut],
    tensors: tensors.map((tensor): OutputTensor => {
      const own = base.tensors.get(tensor.baseName);
      if (!leftOut.has(tensor.name) || !own) return tensor;
      return { ...tensor, dtype: own.dtype, shape: own.shape, elements: own.elements, action: "copy", from: "base", reason: "left to the base by the recipe" };
    }),
  };
}

function indexText(shards: readonly PlannedShard[], total: number): string {
  const rows = shards.flatMap((s) => s.tensors.map((t) => [t.name, s.path] as const)).sort(([a], [b]) => (a < b ? -1 : 1));
  return `${JSON.stringify({ metadata: { total_size: total }, weight_map: Object.fromEntries(rows) }, null, 2)}\n`;
}
