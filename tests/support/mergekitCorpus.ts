import type { ModelRef, Recipe, Varying } from "../../src/core/recipe";

/** A file as people publish them, and what it must come to. `params`: those that are not our defaults or that matter. */
export interface CorpusCase {
  name: string;
  yaml: string;
  method: string;
  base: string;
  models: (Pick<ModelRef, "name" | "weight" | "params">)[];
  params: Recipe["params"];
  vary?: Record<string, Varying>;
  dtype: Recipe["output"]["dtype"];
  /** Codes of the findings, in the order of the file's reading. */
  findings: string[];
  tokenizer?: "finetuned";
}

const tiesFixed = { scope: "tensor", keepRule: "mergekit", elect: "sum", zero: "plus", weights: "use" } as const;
const gradient = [{ filter: "self_attn", value: [0, 0.5, 0.3, 0.7, 1] }, { filter: "mlp", value: [1, 0.5, 0.7, 0.3, 0] }, { value: 0.5 }];

/** The shapes of mergekit's own examples, with names of our own. */
const examples: CorpusCase[] = [
  {
    name: "slerp over slices, by filter and depth",
    yaml: `
slices:
  - sources:
      - model: lab/writer-13b
        layer_range: [0, 40]
      - model: lab/coder-13b
        layer_range: [0, 40]
merge_method: slerp
base_model: lab/writer-13b
parameters:
  t:
    - filter: self_attn
      value: [0, 0.5, 0.3, 0.7, 1]
    - filter: mlp
      value: [1, 0.5, 0.7, 0.3, 0]
    - value: 0.5 # the rest
dtype: float16
`,
    method: "slerp", base: "lab/writer-13b", models: [{ name: "lab/coder-13b" }], params: {}, vary: { t: gradient }, dtype: "F16", findings: ["layers", "arithmetic"],
  },
  {
    name: "ties with gradients of density and weight",
    yaml: `
models:
  - model: lab/chat-13b
    parameters:
      density: [1, 0.7, 0.1] # over depth
      weight: 1.0
  - model: lab/math-13b
    parameters:
      density: 0.5
      weight: [0, 0.3, 0.7, 1]
  - model: lab/code-13b
    parameters:
      density: 0.33
      weight:
        - filter: mlp
          value: 0.5
        - value: 0
merge_method: ties
base_model: lab/base-13b
parameters:
  normalize: true
  int8_mask: true
dtype: float16
`,
    method: "ties", base: "lab/base-13b",
    models: [
      { name: "lab/chat-13b", weight: 1, params: { density: [1, 0.7, 0.1] } },
      { name: "lab/math-13b", weight: [0, 0.3, 0.7, 1], params: { density: 0.5 } },
      { name: "lab/code-13b", weight: [{ filter: "mlp", value: 0.5 }, { value: 0 }], params: { density: 0.33 } },
    ],
    params: { ...tiesFixed, density: 1, lambda: 1, divisor: "weights" }, dtype: "F16", findings: ["ignored-key", "arithmetic"],
  },
  {
    name: "ties without normalize",
    yaml: `
models:
  - model: lab/instruct-7b
    parameters: { density: 0.5, weight: 0.5 }
  - model: lab/bio-7b
    parameters: { density: 0.5, weight: 0.5 }
merge_method: ties
base_model: lab/base-7b
parameters:
  normalize: false
  int8_mask: true
dtype: float16`,
    method: "ties", base: "lab/base-7b", models: [{ name: "lab/instruct-7b", weight: 0.5 }, { name: "lab/bio-7b", weight: 0.5 }],
    params: { ...tiesFixed, density: 0.5, divisor: "none" }, dtype: "F16", findings: ["ignored-key", "arithmetic"],
  },
  {
    name: "linear",
    yaml: `
models:
  - model: lab/a-13b
    parameters: { weight: 1.0 }
  - model: lab/b-13b
    parameters: { weight: 0.3 }
  - model: lab/c-13b
    parameters: { weight: 0.5 }
merge_method: linear
dtype: float16
`,
    method: "linear", base: "lab/a-13b", models: [{ name: "lab/b-13b", weight: 0.3 }, { name: "lab/c-13b", weight: 0.5 }],
    params: { normalize: true, includeBase: true, baseWeight: 1 }, dtype: "F16", findings: ["arithmetic"],
  },
  {
    name: "task arithmetic",
    yaml: `
merge_method: task_arithmetic
base_model: lab/base
models:
  - {model: lab/base}
  - {model: lab/one, parameters: {weight: 0.4}}
  - {model: lab/two, parameters: {weight: -0.2}}
dtype: bfloat16
`,
    method: "task-arithmetic", base: "lab/base", models: [{ name: "lab/one", weight: 0.4 }, { name: "lab/two", weight: -0.2 }], params: { lambda: 1, normalize: false }, dtype: "BF16", findings: ["arithmetic"],
  },
  {
    name: "passthrough of one model, scaled",
    yaml: `
slices:
- sources:
  - model: lab/solo
    layer_range: [0, 24]
    parameters:
      scale:
        - filter: o_proj
          value: 0.5
        - value: 1.0
merge_method: passthrough
dtype: bfloat16
`,
    method: "passthrough", base: "lab/solo", models: [{ name: "lab/solo" }], params: {}, vary: { scale: [{ filter: "o_proj", value: 0.5 }, { value: 1 }] }, dtype: "BF16", findings: ["layers", "arithmetic"],
  },
  {
    name: "model stock",
    yaml: `
models:
  - model: lab/one
  - model: lab/two
  - model: lab/three
base_model: lab/base
merge_method: model_stock
dtype: bfloat16
`,
    method: "model_stock", base: "lab/base", models: [{ name: "lab/one" }, { name: "lab/two" }, { name: "lab/three" }], params: { filterWise: false }, dtype: "BF16", findings: ["arithmetic"],
  },
  {
    name: "arcee fusion",
    yaml: `
models:
  - model: lab/reason
merge_method: arcee_fusion
base_model: lab/base
dtype: bfloat16
`,
    method: "arcee_fusion", base: "lab/base", models: [{ name: "lab/reason" }], params: {}, dtype: "BF16", findings: ["arithmetic"],
  },
];

/** In the style of model cards. */
const cards: CorpusCase[] = [
  {
    name: "nuslerp without a base",
    yaml: `
models:
  - model: lab/story-8b
    parameters:
      weight: [0.2, 0.8]
  - model: lab/tool-8b
    parameters:
      weight: 0.5
merge_method: nuslerp
dtype: bfloat16
chat_template: auto
`,
    method: "nuslerp", base: "lab/story-8b", models: [{ name: "lab/story-8b", weight: [0.2, 0.8] }, { name: "lab/tool-8b", weight: 0.5 }], params: { changes: false, flatten: true, rowWise: false }, dtype: "BF16", findings: ["config", "arithmetic", "not-applied"],
  },
  {
    name: "nuslerp of changes, row by row",
    yaml: `
models:
  - model: lab/story-8b
    parameters: {weight: 0.6}
  - model: lab/tool-8b
    parameters: {weight: 0.4}
base_model: lab/base-8b
merge_method: nuslerp
parameters:
  nuslerp_flatten: false
  nuslerp_row_wise: yes
dtype: float32
out_dtype: bfloat16
`,
    method: "nuslerp", base: "lab/base-8b", models: [{ name: "lab/story-8b", weight: 0.6 }, { name: "lab/tool-8b", weight: 0.4 }], params: { changes: true, flatten: false, rowWise: true }, dtype: "BF16", findings: [],
  },
  {
    name: "sce",
    yaml: `
merge_method: sce
models:
  - model: lab/r1-32b
  - model: lab/coder-32b
  - model: lab/base-32b
base_model: lab/base-32b
tokenizer:
  source: "lab/r1-32b"
dtype: bfloat16
parameters:
  select_topk: 0.15
`,
    method: "sce", base: "lab/base-32b", models: [{ name: "lab/r1-32b" }, { name: "lab/coder-32b" }], params: { selectTopk: 0.15 }, dtype: "BF16", findings: ["tokenizer", "arithmetic"], tokenizer: "finetuned",
  },
  {
    name: "breadcrumbs_ties with gamma per model",
    yaml: `
base_model: lab/base-70b
merge_method: breadcrumbs_ties
models:
  - model: lab/poet-70b
    parameters: {weight: 0.20, density: 0.90, gamma: 0.01}
  - model: lab/sage-70b
    parameters: {weight: 0.35, density: 0.90, gamma: 0.02}
parameters:
  normalize: false
dtype: bfloat16
tokenizer_source: base
`,
    method: "breadcrumbs_ties", base: "lab/base-70b", models: [{ name: "lab/poet-70b", weight: 0.2, params: { gamma: 0.01 } }, { name: "lab/sage-70b", weight: 0.35, params: { gamma: 0.02 } }], params: { density: 0.9, gamma: 0.01, normalize: false, lambda: 1 }, dtype: "BF16", findings: ["arithmetic"],
  },
  {
    name: "breadcrumbs with defaults",
    yaml: `
base_model: lab/base
merge_method: breadcrumbs
models:
  - model: lab/one
    parameters: {weight: 0.5}
`,
    method: "breadcrumbs", base: "lab/base", models: [{ name: "lab/one", weight: 0.5 }], params: { density: 1, gamma: 0.01, lambda: 1, normalize: false }, dtype: "base", findings: ["keeps-all"],
  },
  {
    name: "dare_ties, three models",
    yaml: `
models:
  - model: lab/base-7b
    # no parameters for the base
  - model: lab/samantha-7b
    parameters:
      density: 0.53
      weight: 0.4
  - model: lab/tulip-7b
    parameters:
      density: 0.53
      weight: 0.3
  - model: lab/hermes-7b
    parameters:
      density: 0.53
      weight: 0.3
merge_method: dare_ties
base_model: lab/base-7b
parameters:
  int8_mask: true
dtype: bfloat16
`,
    method: "dare_ties", base: "lab/base-7b", models: [{ name: "lab/samantha-7b", weight: 0.4 }, { name: "lab/tulip-7b", weight: 0.3 }, { name: "lab/hermes-7b", weight: 0.3 }],
    params: { density: 0.53, rescale: "l1-match", normalize: false, lambda: 1, seed: 42 }, dtype: "BF16", findings: ["random-masks", "ignored-key", "arithmetic"],
  },
  {
    name: "dare_linear without rescale",
    yaml: `
merge_method: dare_linear
base_model: {model: {path: lab/base, revision: v2}}
models:
  - model: lab/one
    parameters:
      weight: 1
      density: 0.3
parameters:
  rescale: false
  lambda: 0.9
  normalize: 0
`,
    method: "dare_linear", base: "lab/base@v2", models: [{ name: "lab/one", weight: 1 }], params: { density: 0.3, rescale: "none", lambda: 0.9, normalize: false, seed: 42 }, dtype: "base", findings: ["random-masks"],
  },
  {
    name: "della",
    yaml: `
merge_method: della
base_model: lab/base
models:
  - model: lab/one
    parameters: {weight: 0.6, density: 0.5, epsilon: 0.1}
  - model: lab/two
    parameters: {weight: 0.4, density: 0.6, epsilon: 0.1}
parameters: {lambda: 1.1, normalize: true, int8_mask: 1}
dtype: float16
`,
    method: "della", base: "lab/base", models: [{ name: "lab/one", weight: 0.6, params: { density: 0.5 } }, { name: "lab/two", weight: 0.4, params: { density: 0.6 } }], params: { density: 1, epsilon: 0.1, lambda: 1.1, normalize: true, rescale: true, seed: 42 }, dtype: "F16", findings: ["random-masks", "ignored-key", "arithmetic"],
  },
  {
    name: "della_linear, settings for all under parameters",
    yaml: `
merge_method: della_linear
base_model: lab/base
models:
  - model: lab/one
  - model: lab/two
    parameters: {weight: 0.7}
parameters:
  weight: 0.3
  density: 0.8
  epsilon: 0.05
`,
    method: "della_linear", base: "lab/base", models: [{ name: "lab/one", weight: 0.3 }, { name: "lab/two", weight: 0.7 }], params: { density: 0.8, epsilon: 0.05, rescale: true, normalize: false, lambda: 1, seed: 42 }, dtype: "base", findings: ["random-masks"],
  },
  {
    name: "dare_linear with a density over depth",
    yaml: `
merge_method: dare_linear
base_model: lab/base
models:
  - {model: lab/a, parameters: {weight: 1, density: [1, 0.5]}}
  - {model: lab/b, parameters: {weight: 1, density: [1, 0.5]}}
`,
    method: "dare_linear", base: "lab/base", models: [{ name: "lab/a", weight: 1 }, { name: "lab/b", weight: 1 }], params: { rescale: "l1-match" }, vary: { density: [1, 0.5] }, dtype: "base", findings: ["random-masks"],
  },
  {
    name: "karcher",
    yaml: `
merge_method: karcher
models:
  - model: lab/a
  - model: lab/b
  - model: lab/c
parameters:
  max_iter: 100
  tol: 1.0e-6
dtype: bfloat16
`,
    method: "karcher", base: "lab/a", models: [{ name: "lab/b" }, { name: "lab/c" }], params: { includeBase: true, maxIter: 100, tol: 1e-6 }, dtype: "BF16", findings: ["arithmetic"],
  },
  {
    name: "multislerp with a base",
    yaml: `
merge_method: multislerp
base_model: lab/base
models:
  - {model: lab/a, parameters: {weight: 0.5}}
  - {model: lab/b, parameters: {weight: 0.25}}
  - {model: lab/c, parameters: {weight: 0.25}}
parameters: {normalize_weights: false, eps: 1.0e-7}
dtype: float32
`,
    method: "multislerp", base: "lab/base", models: [{ name: "lab/a", weight: 0.5 }, { name: "lab/b", weight: 0.25 }, { name: "lab/c", weight: 0.25 }], params: { changes: true, normalize: false, eps: 1e-7 }, dtype: "F32", findings: [],
  },
  {
    name: "multislerp without a base",
    yaml: `
merge_method: multislerp
models:
  - {model: lab/a, parameters: {weight: 0.5}}
  - {model: lab/b, parameters: {weight: 0.5}}
`,
    method: "multislerp", base: "lab/a", models: [{ name: "lab/a", weight: 0.5 }, { name: "lab/b", weight: 0.5 }], params: { changes: false, normalize: true, eps: 1e-8 }, dtype: "base", findings: ["config"],
  },
  {
    name: "nearswap",
    yaml: `
merge_method: nearswap
base_model: lab/base-70b
slices:
  - sources:
      - {model: lab/base-70b, layer_range: [0, 80]}
      - {model: lab/other-70b, layer_range: [0, 80]}
parameters:
  t: 0.0001
dtype: float16
`,
    method: "nearswap", base: "lab/base-70b", models: [{ name: "lab/other-70b" }], params: { t: 0.0001 }, dtype: "F16", findings: ["layers", "arithmetic"],
  },
  {
    name: "ram",
    yaml: `
merge_method: ram
base_model: lab/base
models: [{model: lab/a}, {model: lab/b}]
parameters: {epsilon: 1.0e-5}
`,
    method: "ram", base: "lab/base", models: [{ name: "lab/a" }, { name: "lab/b" }], params: {}, dtype: "base", findings: [],
  },
  {
    name: "ramplus_tl",
    yaml: `
merge_method: ramplus_tl
base_model: lab/base
models: [{model: lab/a}, {model: lab/b}]
parameters: {r: 0.2, alpha: 0.5}
`,
    method: "ramplus_tl", base: "lab/base", models: [{ name: "lab/a" }, { name: "lab/b" }], params: { r: 0.2, alpha: 0.5 }, dtype: "base", findings: [],
  },
  {
    name: "slerp with one t for all, models in the other order",
    yaml: `
models:
  - model: lab/b-7b
  - model: lab/a-7b
merge_method: slerp
base_model: lab/a-7b
parameters:
  t: [0.1, 0.9]
dtype: bfloat16
tokenizer_source: union
`,
    method: "slerp", base: "lab/a-7b", models: [{ name: "lab/b-7b" }], params: {}, vary: { t: [0.1, 0.9] }, dtype: "BF16", findings: ["arithmetic", "tokenizer"],
  },
  {
    name: "anchors and a merge key",
    yaml: `
merge_method: ties
base_model: lab/base
models:
  - model: lab/a
    parameters: &same {density: 0.4, weight: 0.5}
  - model: lab/b
    parameters:
      <<: *same
      weight: 1
`,
    method: "ties", base: "lab/base", models: [{ name: "lab/a", weight: 0.5 }, { name: "lab/b", weight: 1 }], params: { ...tiesFixed, density: 0.4, divisor: "weights" }, dtype: "base", findings: [],
  },
  {
    name: "ties with rescale",
    yaml: `
merge_method: ties
base_model: lab/base
models: [{model: lab/a, parameters: {density: 0.4, weight: 0.5}}, {model: lab/b, parameters: {density: 0.4, weight: 1}}]
parameters: {rescale: true, lambda: 0.8}
`,
    method: "ties", base: "lab/base", models: [{ name: "lab/a", weight: 0.5 }, { name: "lab/b", weight: 1 }], params: { ...tiesFixed, density: 0.4, divisor: "weights", rescale: true, lambda: 0.8 }, dtype: "base", findings: [],
  },
  {
    name: "ties with one model, whose weight cancels",
    yaml: `
merge_method: ties
base_model: lab/Math-1.5B
models:
  - model: lab/R1-1.5B
    parameters: {density: 0.2, weight: 0.7}
dtype: bfloat16
`,
    method: "ties", base: "lab/Math-1.5B", models: [{ name: "lab/R1-1.5B", weight: 0.7 }], params: { ...tiesFixed, density: 0.2, divisor: "weights" }, dtype: "BF16", findings: ["weight-cancels", "arithmetic"],
  },
  {
    name: "linear with a base that is one of the models",
    yaml: `
merge_method: linear
base_model: lab/base
models:
  - {model: lab/base, parameters: {weight: [1, 0]}}
  - {model: lab/tuned, parameters: {weight: [0, 1]}}
parameters: {normalize: false}
`,
    method: "linear", base: "lab/base", models: [{ name: "lab/tuned", weight: [0, 1] }], params: { includeBase: true, normalize: false }, vary: { baseWeight: [1, 0] }, dtype: "base", findings: [],
  },
];

export const mergekitCorpus: readonly CorpusCase[] = [...examples, ...cards];
