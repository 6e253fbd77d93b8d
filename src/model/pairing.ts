import type { Reconciliation } from "../core/recipe";
import { isFloatDtype, type Checkpoint, type Dtype, type TensorInfo } from "../core/tensors";
import { architectureOf, EMBEDDING, HEAD } from "./architectures";
import { architectureName } from "./config";
import { isBuffer } from "./support";
import { chooseRows, sameButRows, vocabularyOf } from "./vocabulary";

type Tensors = Pick<Checkpoint, "config" | "tensors">;

const sameShape = (a: TensorInfo, b: TensorInfo): boolean => a.shape.length === b.shape.length && a.shape.every((d, i) => d === b.shape[i]);

/**
 * Whether the output head is the embedding matrix. config.json decides (transformers re-ties whatever the file stores);
 * when it is silent the known classes are untied, and for others a missing head means tied.
 */
export function isTied({ config, tensors }: Tensors): boolean {
  if (typeof config.tie_word_embeddings === "boolean") return config.tie_word_embeddings;
  return architectureOf(architectureName(config)) ? false : !tensors.has(HEAD);
}

/** Tensor that acts as the output head, undefined when the folder has neither head nor embedding under the usual names. */
export function headTensor(model: Tensors): TensorInfo | undefined {
  return isTied(model) ? model.tensors.get(EMBEDDING) : model.tensors.get(HEAD);
}

export interface Pairing {
  /** In base order: present in all with one shape, or, where there is a row for each token id, with one width. */
  shared: string[];
  /** In the base, absent from a fine-tuned model; the head of a tied pair is not counted. */
  missing: { name: string; model: number }[];
  extra: { name: string; model: number }[];
  mismatched: { name: string; model: number; base: number[]; tuned: number[] }[];
}

/** Names and shapes side by side. Buffers that are recomputed, and a head that tying explains, are no difference. */
export function pairTensors(base: Tensors, tuned: readonly Tensors[]): Pairing {
  const pairing: Pairing = { shared: [], missing: [], extra: [], mismatched: [] };
  const headsDiffer = tuned.some((t) => isTied(t) !== isTied(base));
  const explained = (name: string): boolean => isBuffer(name) || (name === HEAD && (headsDiffer || isTied(base)));
  for (const [name, info] of base.tensors) {
    let shared = true;
    tuned.forEach((model, i) => {
      const other = model.tensors.get(name);
      if (!other) {
        shared = false;
        if (!explained(name)) pairing.missing.push({ name, model: i });
      } else if (!sameShape(info, other) && !sameButRows(name, architectureName(base.config), info, other)) {
        shared = false;
        pairing.mismatched.push({ name, model: i, base: info.shape, tuned: other.shape });
      }
    });
    if (shared) pairing.shared.push(name);
  }
  tuned.forEach((model, i) => {
    for (const name of model.tensors.keys()) if (!base.tensors.has(name) && !explained(name)) pairing.extra.push({ name, model: i });
  });
  return pairing;
}

/** One tensor of the result and where its values come from. */
export interface OutputTensor {
  name: string;
  dtype: Dtype;
  shape: number[];
  elements: number;
  /** Tensor of the base at this place; `lm_head.weight` of a tied base is its embedding. */
  baseName: string;
  /** The same of each fine-tuned model; undefined when it has none. */
  tunedNames: (string | undefined)[];
  /** `copy` takes the stored bytes of `from`. */
  action: "merge" | "copy";
  from: "base" | "finetuned";
  reason: string;
  /** Elements from `at` on are rows that not all models have: copied from this one. Only those before are merged, or copied from `from`. */
  rest?: { at: number; from: "base" | "finetuned" };
}

/** Elements that are merged, or copied from where `from` says; the others are `rest`. */
export const bodyElements = ({ elements, rest }: Pick<OutputTensor, "elements" | "rest">): number => rest?.at ?? elements;

/** Shape of the body. */
export const bodyShape = ({ shape, elements, rest }: Pick<OutputTensor, "shape" | "elements" | "rest">): number[] => (rest ? [rest.at / (elements / shape[0]!), ...shape.slice(1)] : shape);

/**
 * Tensors of the merged model, in base order, a head that the base lacks at the end (METHODS 8.4).
 *   heads alike                 as any other tensor; a tied result stores none
 *   untie                       H = merge of both heads, an embedding standing in for a tied one
 *   tie-as-base                 tied base: no head; untied base: its head is copied
 *   head-from-finetuned         the first fine-tuned model's head (or embedding) is copied
 * Vocabularies of different size have the rows that `vocabulary` chooses; `vocab` is their number then.
 */
export function outputTensors(base: Tensors, tuned: readonly Tensors[], choice: Pick<Reconciliation, "tied"> & Partial<Pick<Reconciliation, "vocabulary" | "tokenizer">>): { tensors: OutputTensor[]; tied: boolean; vocab: number | undefined } {
  const { tensors, tied } = pairedOutputs(base, tuned, choice.tied);
  return { tied, ...chooseRows(tensors, base, tuned, vocabularyOf(choice)) };
}

/** The same before vocabularies of different size have their rows chosen. */
export function pairedOutputs(base: Tensors, tuned: readonly Tensors[], choice: Reconciliation["tied"]): { tensors: OutputTensor[]; tied: boolean } {
  const architecture = architectureName(base.config);
  const baseTied = isTied(base);
  const headsDiffer = tuned.some((t) => isTied(t) !== baseTied);
  const tied = baseTied && (!headsDiffer || choice === "tie-as-base");
  const tensors: OutputTensor[] = [];
  for (const info of base.tensors.values()) {
    // A tied configuration ignores a stored head, so writing one would only mislead.
    if (info.name === HEAD && (baseTied || headsDiffer)) continue;
    tensors.push(describe(info, info.name, architecture, tuned.map((t) => t.tensors.get(info.name))));
  }
  const stand = headTensor(base);
  if (headsDiffer && !tied && stand) {
    const heads = tuned.map(headTensor);
    const head = describe(stand, HEAD, architecture, heads);
    if (choice === "tie-as-base") tensors.push({ ...head, action: "copy", from: "base", reason: "head of the base, as chosen" });
    else if (choice === "head-from-finetuned" && heads[0]) tensors.push({ ...head, dtype: heads[0].dtype, shape: heads[0].shape, elements: heads[0].elements, action: "copy", from: "finetuned", reason: "head of the fine-tuned model, as chosen" });
    else tensors.push({ ...head, reason: head.action === "merge" ? "untied: both heads are merged, an embedding stands in where a model has no head" : head.reason });
  }
  return { tensors, tied };
}

function describe(info: TensorInfo, name: string, architecture: string, others: (TensorInfo | undefined)[]): OutputTensor {
  const row = { name, dtype: info.dtype, shape: info.shape, elements: info.elements, baseName: info.name, tunedNames: others.map((o) => o?.name), from: "base" as const };
  const copy = (reason: string): OutputTensor => ({ ...row, action: "copy", reason });
  if (isBuffer(name)) return copy("a buffer, not a weight");
  if (info.elements === 0) return copy("it has no values");
  if (!isFloatDtype(info.dtype)) return copy(`${info.dtype} is not computed with`);
  if (others.length === 0 || others.some((o) => !o)) return copy("a fine-tuned model has no tensor of this name");
  if (others.some((o) => !sameShape(info, o!) && !sameButRows(name, architecture, info, o!))) return copy("the shapes differ");
  const odd = others.find((o) => !isFloatDtype(o!.dtype));
  if (odd) return copy(`a fine-tuned model stores it as ${odd.dtype}`);
  return { ...row, action: "merge", reason: "" };
}
