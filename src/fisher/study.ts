/**
 * What a method must know of a tensor before it can merge it, beyond the sums of its changes.
 *   gram      inner products of the base and the models, or of the changes; of whole tensors, of each row or of each column
 *   masks     one mask per model, made again while merging; with `rescale` l1 what |delta|_1 lost by it is given back.
 *             `models`: where they are not alike, that of each model; undefined keeps every entry
 *   variance  the `share` of the entries with a variance above 0 that vary most; then mean delta^2 of each model there
 *   touched   how many entries each model changes alone, and how many together with another
 *   fusion    the threshold over |delta| times the divergence of the row
 */
export type Study =
  | { kind: "gram"; of: "models" | "changes"; by: "tensor" | "row" | "column" }
  | { kind: "masks"; masks: MaskStudy; rescale: "l1" | "none"; models?: (MaskStudy | undefined)[] }
  | { kind: "variance"; share: number }
  | { kind: "touched" }
  | { kind: "fusion" };

export type MaskStudy =
  | { kind: "random"; keep: number; seed: number }
  | { kind: "ranks"; density: number; epsilon: number; seed: number }
  | { kind: "band"; density: number; gamma: number };

/** What a study found, as plain data; it is kept with the pass. */
export interface TensorStudy {
  /** Symmetric; index 0 is the base where the models were asked for. */
  gram?: number[][];
  /** Per row or column: one array for each pair (i, j), i <= j, in the order (0, 0), (0, 1), .. (1, 1), .. */
  lineGram?: Float64Array[];
  /** Mean delta^2 of each model after the mask of the variance. */
  delta2Means?: number[];
  /** Entries that a model changes alone, and together with others. */
  touched?: { alone: number; shared: number }[];
  /** Of each model that is averaged: |F|_2 and the mean of F over all of it, and the mean over this tensor; `known`: whether all have a Fisher of it. */
  fisher?: { norms: number[]; means: number[]; own: number[]; known: boolean };
  /** Share of each fine-tuned model in a tensor that is fitted: the mean diagonal of its projection. */
  shares?: number[];
  /** Of the tensor's layer in each model, and of each model: alpha and tau of Sens-Merging. */
  sensitivity?: { alphas: number[]; taus: number[] };
}
