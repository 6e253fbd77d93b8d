import type { Reconciliation } from "../core/recipe";
import { isFloatDtype, type Checkpoint, type TensorInfo } from "../core/tensors";
import { architectureName } from "./config";
import type { OutputTensor } from "./pairing";
import { describeTensor } from "./roles";

type Tensors = Pick<Checkpoint, "config" | "tensors">;

/** Whose rows the result has where the vocabularies differ in size: as chosen, else those of the model that gives the tokenizer. */
export const vocabularyOf = ({ vocabulary, tokenizer }: Partial<Pick<Reconciliation, "vocabulary" | "tokenizer">>): NonNullable<Reconciliation["vocabulary"]> => vocabulary ?? tokenizer ?? "base";

/** Whether a tensor has a row (of a bias: an entry) for each token id. */
export function hasTokenRows(name: string, architecture: string): boolean {
  const { group } = describeTensor(name, architecture);
  return group === "embedding" || group === "head";
}

/** Whether the shapes of a tensor with a row for each token id agree in all but the number of rows (METHODS 0.3). */
export const sameButRows = (name: string, architecture: string, a: TensorInfo, b: TensorInfo): boolean =>
  hasTokenRows(name, architecture) && isFloatDtype(a.dtype) && isFloatDtype(b.dtype) && a.shape.length > 0 && a.shape.length === b.shape.length && a.shape.slice(1).every((d, i) => d === b.shape[i + 1]);

/** Rows of the input embedding, or of what stands in for it; undefined where no tensor has a row for each token id. */
export function tokenRows({ config, tensors }: Tensors): number | undefined {
  const architecture = architectureName(config);
  const all = [...tensors.values()].filter((t) => t.shape.length === 2 && hasTokenRows(t.name, architecture));
  return (all.find((t) => describeTensor(t.name, architecture).isEmbedding) ?? all[0])?.shape[0];
}

/** `vocab_size` of config.json, of its text part where there is one. */
export const vocabSize = (config: Checkpoint["config"]): unknown => (config.text_config as { vocab_size?: unknown } | undefined)?.vocab_size ?? config.vocab_size;

/**
 * Cuts or lengthens tensors with a row for each token id to the vocabulary of the result: `base` and `finetuned` (the first)
 * have the rows of that model, `common` those that all have. Rows that all have are merged, the others are copied from the
 * model that the vocabulary is of; a copied tensor takes its own rows first. `vocab`: rows of the result's embedding,
 * undefined where all models have one number of rows.
 */
export function chooseRows(tensors: readonly OutputTensor[], base: Tensors, tuned: readonly Tensors[], vocabulary: NonNullable<Reconciliation["vocabulary"]>): { tensors: OutputTensor[]; vocab: number | undefined } {
  const architecture = architectureName(base.config);
  let vocab: { rows: number; embedding: boolean } | undefined;
  const out = tensors.map((tensor) => {
    const own = base.tensors.get(tensor.baseName)!;
    const others = tensor.tunedNames.map((name, k) => (name === undefined ? undefined : tuned[k]!.tensors.get(name)));
    const first = others[0];
    const same = (other: TensorInfo | undefined): boolean => other !== undefined && sameButRows(tensor.name, architecture, own, other);
    if (!first || !others.every(same)) return tensor;
    const counts = [own, ...others].map((info) => info!.shape[0]!);
    const least = Math.min(...counts);
    if (counts.every((count) => count === least)) return tensor;
    const rows = { base: counts[0]!, finetuned: counts[1]!, common: least }[vocabulary];
    const body = tensor.action === "merge" ? least : Math.min(rows, tensor.from === "base" ? counts[0]! : counts[1]!);
    const width = own.elements / counts[0]!;
    const { isEmbedding } = describeTensor(tensor.name, architecture);
    if (own.shape.length === 2 && (!vocab || (isEmbedding && !vocab.embedding))) vocab = { rows, embedding: isEmbedding };
    return {
      ...tensor, shape: [rows, ...own.shape.slice(1)], elements: rows * width,
      // Where rows are left over, `common` is not the choice.
      ...(body < rows ? { rest: { at: body * width, from: vocabulary === "base" ? "base" as const : "finetuned" as const } } : {}),
    };
  });
  return { tensors: out, vocab: vocab?.rows };
}
