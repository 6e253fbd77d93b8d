import type { ChoiceSpec, FlagSpec, NumberSpec, ParamSpec, ParamSpecs, Params } from "../../core/params";

type Texts = Pick<NumberSpec, "label" | "help" | "effect" | "advanced">;
const choice = (texts: Texts, options: Record<string, string>, initial = Object.keys(options)[0]!): ChoiceSpec => ({ kind: "choice", ...texts, default: initial, options: Object.entries(options).map(([value, label]) => ({ value, label })) });
const flag = (texts: Texts, initial = false): FlagSpec => ({ kind: "flag", ...texts, default: initial });

/** Shown at once: from the numbers of a pass to the layer weights. METHODS 8.3 A1, A5, A19, A25, A31. */
const mapping: ParamSpecs = {
  gateFactor: { kind: "number", label: "Gate factor", help: "gate_proj takes this × its layer’s α; 1 turns it off.", effect: "at-once", default: 0.7, min: 0, max: 1, step: 0.05, varies: "tensor" },
  theta: { kind: "number-or-word", label: "Steepness θ", help: "adaptive = 1 / range of s", effect: "at-once", default: "adaptive", words: [{ value: "adaptive", label: "Adaptive" }], min: 0, max: 10, step: 0.05 },
  scoreMode: choice({ label: "Signal", help: "what the score is made of", effect: "at-once" }, { product: "F × mean δ²", joint: "mean of F × δ²", fimOnly: "F only", normOnly: "mean δ² only" }),
  alphaScope: choice({ label: "One α per", help: "a layer’s tensors share α, or each has its own", effect: "at-once" }, { block: "Block", tensor: "Tensor" }),
  outsideT: {
    kind: "number-or-word", label: "Outside the blocks", help: "embedding, final norm, head", effect: "at-once", default: "median", min: 0, max: 1, step: 0.05,
    words: [{ value: "median", label: "Median α" }, { value: "mean", label: "Mean α" }, { value: "own", label: "Own score" }, { value: "base", label: "Base" }, { value: "finetuned", label: "Fine-tuned" }],
  },
};

/** Under "All options", and still without a pass. A6, A7, A35. */
const mappingDetails: ParamSpecs = {
  includeBiasInScore: flag({ label: "Biases in the score", help: "count the biases of a layer in F and mean δ²", effect: "at-once", advanced: true }),
  blockMean: choice({ label: "Mean over a block", help: "every entry counts alike, or every tensor", effect: "at-once", advanced: true }, { elements: "Entries", tensors: "Tensors" }),
  scale: { kind: "number", label: "Scale", help: "multiplies every α at the end", effect: "at-once", default: 1, min: 0, max: 2, step: 0.05, advanced: true, varies: "tensor" },
};

/** The trim, which only FIM-TIES has. A2, A20-A24, A32. */
export const trimParams: ParamSpecs = {
  r: { kind: "number-or-word", label: "Kept after trim, r", help: "Paper: 0.20 at 1.5B, 0.40 at 7B.", effect: "pass", default: "auto", words: [{ value: "auto", label: "Auto" }], min: 0, max: 1, step: 0.05, varies: "model" },
  trimScope: choice({ label: "Trim within", help: "which entries share one threshold", effect: "pass", advanced: true }, { tensor: "Tensor", block: "Block", model: "Model" }),
  trimScore: choice({ label: "Trim score", help: "what decides which entries are kept", effect: "pass", advanced: true }, { fim: "F × |δ|", magnitude: "|δ|" }),
  percentile: choice({ label: "Percentile rule", help: "NumPy: ties are kept", effect: "pass", advanced: true }, { numpy: "NumPy", exactK: "Exact count", official: "TIES, official" }),
  dropZeroW: flag({ label: "Drop zero scores", help: "never keep an entry whose trim score is 0", effect: "pass", advanced: true }),
  trim1D: flag({ label: "Trim biases and norms", help: "trim the one-dimensional tensors of a layer too", effect: "pass", advanced: true }),
  trimEmbed: choice({ label: "Trim embedding and head", help: "rows that no input used have no F", effect: "pass", advanced: true }, { none: "No", magnitude: "By |δ|" }),
};

/** What the random inputs are and how the gradients are squared. A9-A13, A36. */
const passFront: ParamSpecs = {
  N: { kind: "number", label: "Random inputs", help: "how many token sequences", effect: "pass", default: 8, min: 1, max: 64, step: 1, integer: true },
  len: { kind: "number", label: "Length", help: "tokens per sequence", effect: "pass", default: 64, min: 2, max: 512, step: 1, integer: true },
  seed: { kind: "number", label: "Seed", help: "of the random tokens", effect: "pass", default: 42, min: 0, max: 4294967295, step: 1, integer: true },
};
const passDetails: ParamSpecs = {
  fisherAt: choice({ label: "Fisher taken at", help: "whose gradients are squared", effect: "pass", advanced: true }, { base: "Base", finetuned: "Fine-tuned" }),
  fisher: choice({ label: "Square per", help: "each sequence’s gradient, or each token’s", effect: "pass", advanced: true }, { sequence: "Sequence", token: "Token" }),
  labels: choice({ label: "Labels", help: "the random tokens, or tokens drawn from the model", effect: "pass", advanced: true }, { self: "Same tokens", sampled: "Sampled" }),
  vocab: choice({ label: "Token range", help: "which ids are drawn", effect: "pass", advanced: true }, { config: "config.vocab_size", tokenizer: "Tokenizer’s ids", noSpecial: "No special ids" }),
  prependBos: flag({ label: "Begin with BOS", help: "put the begin token before each sequence", effect: "pass", advanced: true }),
  keepFisher: flag({ label: "Keep the Fisher", help: "as a safetensors file, 4 bytes an entry", effect: "pass", advanced: true }),
};

/** Norm calibration. A3, A27-A30. The closed form needs no pass; the two probes do. */
const calibration = (initial: "frobenius" | "off"): ParamSpecs => ({
  calib: choice({ label: "Norm calibration", help: "rescale if off by more than the limit", effect: "pass", advanced: true }, { frobenius: "Frobenius", gaussian: "Gaussian probes", activations: "Activations", off: "Off" }, initial),
  eps: { kind: "number", label: "Calibration limit", help: "a ratio further from 1 than this is rescaled", effect: "at-once", default: 0.05, min: 0, max: 1, step: 0.01, advanced: true },
  calibScope: choice({ label: "Calibrate per", help: "each matrix, or a block’s matrices together", effect: "at-once", advanced: true }, { matrix: "Matrix", block: "Block" }),
});

const withDefault = (spec: ParamSpec, value: number): ParamSpec => ({ ...spec, default: value }) as ParamSpec;

/** The random inputs alone, for other methods that take gradients on them. */
export const randomInputs: ParamSpecs = { ...passFront, vocab: passDetails.vocab!, prependBos: passDetails.prependBos! };

export const fimTiesParams: ParamSpecs = { ...mapping, r: trimParams.r!, ...passFront, ...trimParams, ...calibration("frobenius"), ...passDetails, ...mappingDetails };
export const fimTaParams: ParamSpecs = { ...mapping, gateFactor: withDefault(mapping.gateFactor!, 1), ...passFront, ...calibration("off"), ...passDetails, ...mappingDetails };

/** Spellings of METHODS 8.3 that hold a dot. */
export const fimAliases = { "calib.eps": "eps", "calib.scope": "calibScope" } as const;

const measured = new Set([...Object.keys(passFront), ...Object.keys(passDetails), ...Object.keys(trimParams)]);

/** The parameters a Fisher pass depends on. The closed form of the calibration takes the same numbers as none. */
export function fimPassValues(params: Params): Params {
  const values = Object.fromEntries(Object.entries(params).filter(([name]) => measured.has(name)));
  return { ...values, calib: params.calib === "gaussian" || params.calib === "activations" ? params.calib : "closed" };
}
