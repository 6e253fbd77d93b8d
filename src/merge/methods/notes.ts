/** Groups of the method list, in its order. */
export const FAMILIES = ["Weighted by Fisher", "Changes to the base", "Signs elected", "On the sphere", "Entry by entry", "With texts"] as const;
export type Family = (typeof FAMILIES)[number];

/** What the methods page says beside a record's own formula and switches. */
export interface MethodNote {
  family: Family;
  /** One paragraph: what it does and when to take it. */
  about: string;
  typical: string;
  /** What the numbers are compared with in the tests. */
  reference: string;
  /** Where references or habits lead astray. */
  traps?: string[];
}

const KEPT_SHARE = "density is the share that is kept. The papers of DARE and TIES, and MergeLM, count what is dropped: their p = 0.9 is density 0.1.";
const NORMALIZE_ONE = "With one fine-tuned model, dividing by the weights cancels them: a weight then has no effect at all, however it varies over the layers.";
const L1 = "mergekit rescales what is kept to the L1 norm of the whole change, not by 1 / density. The two agree on large tensors and differ widely on tiny ones; masks come from another random generator, so no run of mergekit is repeated bit by bit.";

/** By id of the method. */
export const METHOD_NOTES: Readonly<Record<string, MethodNote>> = {
  "fim-ties": {
    family: "Weighted by Fisher",
    about: "Joins a fast base and a model with long chains of thought so that accuracy stays and answers get shorter, without calibration data. Gradients of the base on random tokens say how much each layer matters; layers that matter and changed much take less of the change, and of every matrix only the entries stay whose Fisher × change is largest.",
    typical: "r 0.2 at 1.5 B, 0.4 at 7 B; gate factor 0.7; 8 × 64 random tokens, seed 42.",
    reference: "arXiv:2603.21705; PyTorch autograd goldens",
    traps: ["With the adaptive θ, α lies between 0.500 and 0.731 for any pair of models: only the shape in between is measured.", "The paper has no public code: every switch that it leaves open is a switch here, with its default argued in its help."],
  },
  "fim-ta": {
    family: "Weighted by Fisher",
    about: "FIM-Merging without the trim: every layer takes the share α of its whole change. A first thing to try when trimming costs accuracy.",
    typical: "as FIM-TIES; gate factor and calibration off, as the paper lists them for FIM-TIES only.",
    reference: "arXiv:2603.21705; PyTorch autograd goldens",
  },
  "task-arithmetic": {
    family: "Changes to the base",
    about: "Adds a share λ of each model’s change to the base, the same everywhere. The plain baseline of every comparison; one fine-tuned model at λ is a straight line between the two.",
    typical: "λ 0.7 in Long-to-Short; 0.3 to 0.4 for a sum of several tasks.",
    reference: "Ilharco et al., arXiv:2212.04089; mergekit golden",
  },
  ties: {
    family: "Signs elected",
    about: "Keeps the largest entries of each change, lets the models vote on the sign of every entry, and adds up only those that agree. For several models whose changes get in each other’s way.",
    typical: "density 0.2, λ 1; at 14 B and above Long-to-Short keeps 0.75 to 0.8 with λ 0.5 to 0.55.",
    reference: "arXiv:2306.01708, official code, mergekit and Long-to-Short; mergekit golden",
    traps: [KEPT_SHARE, NORMALIZE_ONE, "The official code trims over the whole model and divides by the number of models that agree; mergekit trims each tensor and divides by their weights. Both are presets."],
  },
  dare_linear: {
    family: "Changes to the base",
    about: "Drops most entries of each change at random and scales up the rest, then adds. Works because small changes of fine-tuning are redundant; between models far apart it fails early.",
    typical: "density 0.1 to 0.5 for close models; 0.7 in Long-to-Short.",
    reference: "arXiv:2311.03099, MergeLM and mergekit; float64 formula, masks shared",
    traps: [KEPT_SHARE, L1],
  },
  dare_ties: {
    family: "Signs elected",
    about: "DARE’s random dropping, then TIES’ vote over signs in place of the plain sum.",
    typical: "density 0.7 with one long-reasoning model, 0.5 with several close ones.",
    reference: "arXiv:2311.03099 and arXiv:2306.01708; float64 formula, masks shared",
    traps: [KEPT_SHARE, L1],
  },
  linear: {
    family: "Changes to the base",
    about: "The weighted mean of the models, entry by entry: a model soup. The base counts only when it is included.",
    typical: "equal weights; normalised.",
    reference: "Wortsman et al., arXiv:2203.05482; mergekit golden",
    traps: ["Weights that sum to 0 cannot be normalised, and are refused."],
  },
  slerp: {
    family: "On the sphere",
    about: "Walks the arc from the base to one other model and keeps the norm, where a straight line would shrink it.",
    typical: "t 0.5; mergekit’s well-known recipe has t over depth as 0, 0.5, 0.3, 0.7, 1 for attention and the reverse for MLP.",
    reference: "mergekit slerp; golden tensors",
  },
  nuslerp: {
    family: "On the sphere",
    about: "SLERP between two models by their weights, for whole tensors or line by line, of the models or of their changes to a base.",
    typical: "weights that add up to 1; whole tensors.",
    reference: "mergekit nuslerp; float64 formula",
  },
  multislerp: {
    family: "On the sphere",
    about: "A mean direction of several models, weighted, at their mean norm.",
    typical: "equal weights.",
    reference: "mergekit multislerp; float64 formula",
    traps: ["Its projection removes the mean component; it is not the exact logarithmic map, which the Karcher mean takes."],
  },
  karcher: {
    family: "On the sphere",
    about: "The true mean on the sphere (Riemannian centre of mass) of two or more models, found in a few steps, at their mean norm.",
    typical: "10 steps, tolerance 1e-5.",
    reference: "mergekit karcher; float64 formula",
  },
  model_stock: {
    family: "Changes to the base",
    about: "Takes the mean of two or more fine-tuned models back towards the base, the further the less their changes agree in direction.",
    typical: "no setting; per tensor.",
    reference: "Jang et al., arXiv:2403.19522; float64 formula",
    traps: ["Changes that point apart make the share negative or larger than 1."],
  },
  della: {
    family: "Signs elected",
    about: "DARE whose chance to keep an entry grows with its size within its row, then a vote over signs.",
    typical: "density 0.5, ε 0.15.",
    reference: "arXiv:2406.11617 and mergekit; float64 formula, masks shared",
    traps: [KEPT_SHARE, NORMALIZE_ONE, L1],
  },
  della_linear: {
    family: "Changes to the base",
    about: "DARE whose chance to keep an entry grows with its size within its row, then a plain sum.",
    typical: "density 0.5, ε 0.15.",
    reference: "arXiv:2406.11617 and mergekit; float64 formula, masks shared",
    traps: [KEPT_SHARE, L1],
  },
  breadcrumbs: {
    family: "Changes to the base",
    about: "Drops the largest changes as outliers and the smallest as noise, and adds the rest.",
    typical: "density 0.9, γ 0.01.",
    reference: "arXiv:2312.06795 and mergekit; float64 formula",
    traps: ["In mergekit a γ that drops no entry at all masks the whole tensor to zero; here it drops none."],
  },
  breadcrumbs_ties: {
    family: "Signs elected",
    about: "Changes of middling size, as Breadcrumbs keeps them, with TIES’ vote over signs.",
    typical: "density 0.9, γ 0.01.",
    reference: "arXiv:2312.06795 and mergekit; float64 formula",
  },
  sce: {
    family: "Signs elected",
    about: "Keeps the entries in which the models differ most, weighs each model by the size of its change in the tensor, and adds up where the signs agree.",
    typical: "top k 0.1 to 1.",
    reference: "arXiv:2408.07990 and mergekit; float64 formula",
  },
  nearswap: {
    family: "Entry by entry",
    about: "Takes an entry of the other model where it is near the base’s, and a small step towards it elsewhere.",
    typical: "t 0.0001 to 0.001.",
    reference: "mergekit nearswap; float64 formula",
  },
  ram: {
    family: "Entry by entry",
    about: "Adds what only one model changed in full, and what several changed as their mean: nothing that one model learned alone is diluted.",
    typical: "no setting.",
    reference: "mergekit ram; float64 formula",
    traps: ["After full fine-tuning nearly every entry has changed, and the result is the mean of the models."],
  },
  ramplus_tl: {
    family: "Entry by entry",
    about: "RAM that scales up what a model changed alone, the more it shares with others.",
    typical: "r 0.1, α 0.2.",
    reference: "mergekit ramplus_tl; float64 formula",
  },
  arcee_fusion: {
    family: "Entry by entry",
    about: "Takes the other model’s entry where its change stands out (size × divergence of the rows above median + 1.5 × the quartile range), and the base’s elsewhere.",
    typical: "no setting.",
    reference: "mergekit arcee_fusion; float64 formula",
    traps: ["mergekit finds the threshold on a random million entries of a larger tensor; here all of them count."],
  },
  regmean: {
    family: "With texts",
    about: "Runs calibration text through every model and fits each linear layer, in closed form, to the outputs that all models give on their own inputs; the inputs are kept as a Gram matrix alone. Where a model’s inputs are strong, its weights count more. Everything that is no linear layer of a block is averaged. Take it for several fine-tuned models of one base; with a single one the base is the other.",
    typical: "a 1 as MergeLM, 0.1 as the paper’s code; 256 to 2048 texts, here 100 of up to 512 tokens; ridge 1e-4.",
    reference: "Jin et al., arXiv:2212.09849; worked example; the formula in float64 on activations in float64",
    traps: ["The published code inverts the sum of Gram matrices as it is, which fails or explodes where inputs depend on each other: with a = 1 a ridge is needed.", "Layers with more than 4,096 inputs, the MLP’s output in models of 3 B and more, take the diagonal alone unless the limit is raised."],
  },
  "fisher-average": {
    family: "Weighted by Fisher",
    about: "The mean of the models, entry by entry, each weighted by how much that entry matters to it: its own Fisher. The older neighbour of FIM-Merging, which takes the Fisher of the base alone and weighs whole layers.",
    typical: "equal coefficients, Fishers normalised; 8 × 64 random tokens.",
    reference: "Matena and Raffel, arXiv:2111.09832, and its code; float64 formula and autograd goldens",
    traps: ["The published Fisher is a classifier’s, an expectation over its labels. Here it is that of a language model, squared per sequence.", "The element-wise Fisher of every model waits on disk until the merge: 4 bytes for each parameter of each model."],
  },
  "sens-merging": {
    family: "With texts",
    about: "Weighs each model’s change layer by layer: by how sensitive the model’s loss is to the layer, and by how far the models’ answers to the same texts are apart.",
    typical: "Long-to-Short: λ 0.4, T 3 at 1.5 B; 0.7, 2 at 7 B; 0.8, 6 at 14 B. Some hundred texts.",
    reference: "arXiv:2502.12420, through another project’s copy; float64 formula",
    traps: ["The paper’s equations could not be checked against its own code. A larger distance gives a larger share, which is not what one expects.", "With one fine-tuned model every share is 1: it is task arithmetic. With usual temperatures the shares hardly differ."],
  },
  passthrough: {
    family: "Changes to the base",
    about: "Copies one model, every value times a scale: for tests, and to change dtype, shards or files.",
    typical: "scale 1.",
    reference: "mergekit passthrough; bytes",
  },
};

/** The same of the post-processes, by id. */
export const POST_NOTES: Readonly<Record<string, Omit<MethodNote, "family">>> = {
  aim: {
    about: "Runs calibration text through the base and looks at which input channels are most active. Those weights matter to what the base can do, so the merge gives most of its change back there. It comes after any merge and softens it.",
    typical: "ω 0.4; 0.2 to 0.6 are recommended. Some hundred texts of up to 512 tokens.",
    reference: "arXiv:2502.02421 and its code; float64 formula on activations of the golden models",
    traps: ["The reference stores the merged model in bf16 first; here its change is softened before it is rounded."],
  },
  acm: {
    about: "Runs calibration text through base and merge and measures, layer by layer, how much their outputs tell of each other. Where they agree most the merge goes back furthest, by up to half of its change. After task arithmetic it is ACM-TA, after TIES it is ACM-TIES.",
    typical: "t 0.7; at least 100 texts.",
    reference: "arXiv:2505.14009, a copy of its script; float64 formula",
    traps: ["Counting every distinct value as a category biases the information upwards for short texts.", "FIM-Merging prints the formula without the shift; then no layer keeps more than half. Both are there."],
  },
};
