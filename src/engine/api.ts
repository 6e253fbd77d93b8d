/**
 * What the studio can ask of the engine. Plain data in, plain data out: the same interface is answered by the engine
 * itself in Node and in tests, and by the worker bridge in the tab. Long calls take a jobId and report Progress;
 * `cancel(jobId)` makes them reject with StudioError "cancelled" within two seconds.
 */
import type { ModelFacts, Preflight } from "../core/check";
import type { CalibrationFacts } from "../core/calibration";
import type { OnProgress } from "../core/progress";
import type { ErrorDetails } from "../core/errors";
import type { ParamSpecs } from "../core/params";
import type { Shape } from "../core/shape";
import type { KernelRecord, PostStage, Recipe, Reconciliation, TensorChoice } from "../core/recipe";
import type { EvaluatedItem, Evaluation, MergesTried, Probe, Problem, TryAnswer, TryFacts, TryModel, TryOptions, TryPiece } from "../core/trying";
import type { MethodNote } from "../merge/methods/notes";
import type { ImportedRecipe, MergekitYaml } from "../core/recipeFinding";
import type { PhaseTimes, StageTime } from "../core/stages";

export type { ImportedRecipe, MergekitYaml, RecipeFinding } from "../core/recipeFinding";
export type { PhaseTimes, Stage, StageTime } from "../core/stages";
export type { CheckOption, CheckRow, Finding, ModelFacts, Preflight, Severity } from "../core/check";

export interface GpuInfo {
  state: "hardware" | "software" | "none";
  /** "NVIDIA lovelace", "SwiftShader"; empty when there is none. */
  name: string;
  vendor: string;
  architecture: string;
  description: string;
  limits: { maxStorageBufferBindingSize: number; maxBufferSize: number; maxComputeWorkgroupStorageSize: number; maxStorageBuffersPerShaderStage: number; maxComputeInvocationsPerWorkgroup: number };
  features: string[];
  /** Why there is none, and what to do. */
  reason?: string;
}

// ---------------------------------------------------------------- library

/** One dropped folder, as the page hands it over. File objects cross to the worker by reference. */
export interface IncomingFolder {
  name: string;
  files: { path: string; file: File; handle?: FileSystemFileHandle }[];
  /** The folder that holds the files, where the browser gave a handle for it: with it, or with one of each file, a link outlives a reload. */
  directory?: FileSystemDirectoryHandle;
}

export interface StoredModel {
  id: string;
  name: string;
  /** `locked`: linked, and the browser has to be asked for the files again, or they are not as they were. */
  state: "ingesting" | "ready" | "evicted" | "locked";
  /**
   * `copy`: chunks in IndexedDB. `link`: the user's files, by kept handles. `session`: the user's files, forgotten on
   * reload. `opfs`: a finished result in the origin's own file system.
   */
  backend: "copy" | "link" | "session" | "opfs";
  createdAt: number;
  bytes: number;
  files: number;
  chunks: number;
  chunksDone: number;
  /** XXH3-128 over the weight files as stored, hex; absent until verified. */
  hash?: string;
  /** The model ships with the page. */
  sample?: boolean;
  facts: ModelFacts;
}

export interface StorageInfo {
  usedBytes: number;
  /** What the browser would still grant, measured by probing; absent when it cannot be told. */
  freeBytes: number | undefined;
  persistent: boolean;
  /** What was read by a thread of its own since the start; absent where there is none. */
  reader?: { reads: number; bytes: number };
}

// ---------------------------------------------------------------- methods and recipe

export interface MethodInfo {
  id: string;
  label: string;
  /** "Fisher-weighted", "data-free": the word after the name. */
  kind: string;
  /** One or two sentences: what merged is, in words. */
  summary: string;
  formula: string;
  source: string;
  needs: { base: boolean; fisher: boolean; calibration?: boolean; minModels: number; maxModels: number };
  params: ParamSpecs;
  presets: { id: string; label: string; params: Record<string, number | string | boolean> }[];
  /** Set where it measures on the GPU with a pass of its own, beside FIM's. */
  gpuPass?: string;
  /** What the methods page says of it. */
  note?: MethodNote;
}

/** A method that comes after a merge. */
export interface PostInfo {
  id: string;
  label: string;
  summary: string;
  formula: string;
  source: string;
  measures: "base" | "both";
  params: ParamSpecs;
  presets: { id: string; label: string; params: Record<string, number | string | boolean> }[];
  note: Omit<MethodNote, "family">;
}

/** A method with stages after it, under the name that papers give the pair; `defaultRecipe` takes its id. */
export interface ComboInfo {
  id: string;
  label: string;
  summary: string;
  method: string;
  then: PostStage[];
}

// ---------------------------------------------------------------- shape

export type { ExpertShape, LayerRow, Shape, StageShape, TensorRow } from "../core/shape";

/** What became of the reads of a job: made ahead of their use; planned, but not begun in time; not planned; made in vain. */
export interface ReadCounts {
  ahead: number;
  late: number;
  unplanned: number;
  dropped: number;
}

/** Which forms of kernels a pass ran, and how they were chosen. */
export interface KernelsInUse extends KernelRecord {
  /** "software": the one form of software adapters. "default": nothing is measured yet, or could be. */
  source: "software" | "recipe" | "stored" | "measured" | "default";
}

export interface MeasureReport {
  /** Hash of everything the pass depends on; two recipes with one key share the pass. */
  key: string;
  losses: number[];
  tokens: number;
  elapsedMs: number;
  timings: Record<string, number>;
  /** What the time of each phase went to. */
  phases?: PhaseTimes[];
  /** How many reads were made before they were asked for. */
  reads?: ReadCounts;
  adapter: string;
  warnings: string[];
  /** Of a Fisher pass: what a recipe needs to repeat it to the bit on the same adapter. */
  kernels?: KernelsInUse;
  /** Of a Fisher pass: most bytes of GPU buffers at one time, and blocks that were read once because they stayed there. */
  gpuMemory?: { budgetBytes: number; peakBytes: number; pinnedBlocks: number };
}

// ---------------------------------------------------------------- what it takes

/** Upper ends that the engine plans for, in bytes: GPU buffers, and memory of the process beyond what an idle one has. */
export interface Budgets {
  gpuBytes: number;
  hostBytes: number;
}

/** Measured or given speeds, per second. What is unknown stays undefined, and so does the time that would need it. */
export interface Rates {
  gpuFlops?: number | undefined;
  readBytes?: number | undefined;
  writeBytes?: number | undefined;
}

export interface PhaseForecast {
  id: "ingest" | "forward" | "backward" | "changes" | "measure" | "merge" | "verify";
  label: string;
  /** Largest sum of GPU buffers at one time. */
  gpuBytes: number;
  /** Largest growth of host memory beside the GPU's buffers, dead arrays that wait for the collector included. */
  hostBytes: number;
  readBytes: number;
  writeBytes: number;
  dispatches: number;
  flops: number;
  /** From all stages side by side to one after another; undefined while a speed it needs is unknown. */
  seconds: [number, number] | undefined;
}

/** What a merge will take, known from headers alone. Peaks are the largest of the phases, the rest are sums. */
export interface Forecast extends Omit<PhaseForecast, "id" | "label"> {
  phases: PhaseForecast[];
  budgets: Budgets;
  /** Whether both peaks stay within the budgets. */
  fits: boolean;
  /** What was chosen to stay within them. */
  memory: {
    panelBytes: number;
    inputsOnHost: boolean;
    /** Blocks whose weights stay on the GPU between the forward and the backward walk; 0 without a Fisher pass. */
    pinnedBlocks: number;
    sliceElements: number;
    /** Buffers that reads are made into before they are needed, in a Fisher pass. */
    readAhead: number;
  };
  /** Sentences about what does not fit, and what a small budget costs. */
  notes: string[];
}

// ---------------------------------------------------------------- save

export interface ExportFile {
  path: string;
  bytes: number;
  /** "tensors 1–192, BF16", "base, context 131,072, head untied". */
  from: string;
}

export interface ExportPlan {
  files: ExportFile[];
  totalBytes: number;
  tensors: number;
  parameters: number;
  recipeHash: string;
  recipeJson: string;
  modelCard: string;
  /** Set when the sizes of some texts are only known after the merge (README, recipe). */
  approximate: boolean;
}

export type ExportTarget =
  | { kind: "folder"; handle: FileSystemDirectoryHandle; name: string }
  /** Staged in the browser's own file system, then fetched file by file with `stagedFile`. */
  | { kind: "stage"; name: string }
  /** As `stage`, and packed into one zip beside the files. */
  | { kind: "zip"; name: string };

/** What an export is, for the place it is written to. */
export interface OutputJob {
  /** Two exports with one key write the same bytes: one can go on where the other stopped. */
  key: string;
  recipe: Recipe;
  /** Every file that will be written, and the bytes of all shards. */
  paths: string[];
  bytes: number;
}

/** An export that a closed tab, a crash or a full disk cut off. Asked for again, with the same recipe and target, it goes on. */
export interface UnfinishedExport {
  id: string;
  recipe: Recipe;
  target: ExportTarget;
  /** Bytes of the shards that need not be written again. */
  bytesDone: number;
  bytesTotal: number;
  startedAt: number;
}

/** A merged model that was written and passed its checks, and waits in the browser for its downloads, from this visit or an earlier one. */
export interface FinishedExport {
  id: string;
  recipe: Recipe;
  /** As it was after writing; it has `staged`. */
  report: ExportReport;
  /** Milliseconds since 1970. */
  finishedAt: number;
  /** Those of `report.staged.paths` that were downloaded. */
  downloaded: string[];
}

export interface VerifyCheck {
  id: string;
  label: string;
  found: string;
  verdict: "pass" | "fail" | "skipped";
}

export interface ExportReport {
  name: string;
  files: (ExportFile & { sha256: string })[];
  totalBytes: number;
  elapsedMs: number;
  checks: VerifyCheck[];
  tiles: { compared: number; equal: number };
  recipeHash: string;
  /** Bytes that an earlier try had written. */
  keptBytes?: number;
  /** Stages of merging and writing; the small files and the verification are not in them. */
  stages?: StageTime[];
  /** What the time of each phase went to, the pass that came before it left out. */
  phases?: PhaseTimes[];
  reads?: ReadCounts;
  /** For `stage` and `zip`: what `stagedFile` can be asked for, and what it takes of the browser's storage. */
  staged?: { id: string; paths: string[]; bytes: number };
}

// ---------------------------------------------------------------- the engine

export interface EngineApi {
  gpu(): Promise<GpuInfo>;
  methods(): Promise<MethodInfo[]>;
  /** What can come after a merge, the pairs that papers name, and the groups of the method list in their order. */
  postprocesses(): Promise<{ posts: PostInfo[]; combos: ComboInfo[]; families: string[] }>;

  models(): Promise<StoredModel[]>;
  /**
   * Reads headers and config, validates everything, then copies, or hashes in place. Resumes an unfinished copy of the same
   * folder. `link` without handles in the folder becomes a session.
   */
  ingest(jobId: string, folder: IncomingFolder, options: { backend: "copy" | "link" | "session"; sample?: boolean }, onProgress: OnProgress): Promise<StoredModel>;
  /** The handles of a linked model, to ask the browser with. */
  linkedHandles(id: string): Promise<FileSystemHandle[]>;
  /** Opens a linked model again; in a page, on a click, since the browser asks. Throws "permission", and "file-changed" with the file. */
  reconnect(id: string): Promise<StoredModel>;
  deleteModel(id: string): Promise<void>;
  storage(): Promise<StorageInfo>;
  persist(): Promise<boolean>;

  /** `tensors`: what the recipe leaves to the base needs no counterpart. */
  preflight(baseId: string, modelIds: string[], reconciliation?: Partial<Reconciliation>, tensors?: TensorChoice): Promise<Preflight>;
  /** A recipe with every default filled in for these models. */
  defaultRecipe(method: string, baseId: string, modelIds: string[]): Promise<Recipe>;
  /** The recipe's calibration text in the base model's tokens. Throws what makes it unusable. */
  calibration(recipe: Recipe): Promise<CalibrationFacts>;

  measure(jobId: string, recipe: Recipe, onProgress: OnProgress, onPartial: (shape: Shape) => void): Promise<MeasureReport>;
  /** The per-layer numbers under these options; never touches the GPU. */
  shape(recipe: Recipe): Promise<Shape>;

  /** Peaks, traffic and work of the whole merge, from headers; changes nothing. Absent budgets are those in force. */
  plan(recipe: Recipe, budgets?: Partial<Budgets>, rates?: Rates): Promise<Forecast>;
  /** The budgets in force; with an argument, sets them first. Throws "bad-request" for one below 16 MiB. */
  budgets(change?: Partial<Budgets>): Promise<Budgets>;
  /** Which kernels this adapter runs, as far as is known without asking it for work; undefined without an adapter. */
  kernels(): Promise<Pick<KernelsInUse, "forms" | "source"> | undefined>;

  /** A recipe from the text of a recipe.json or a mergekit file; its models are told by name and hash. */
  importRecipe(text: string, kind: "json" | "yaml"): Promise<ImportedRecipe>;
  /** The recipe as a mergekit file. Throws "bad-request" while its pass is not made. */
  mergekitYaml(recipe: Recipe): Promise<MergekitYaml>;

  planExport(recipe: Recipe): Promise<ExportPlan>;
  exportModel(jobId: string, recipe: Recipe, target: ExportTarget, onProgress: OnProgress): Promise<ExportReport>;
  /** Exports that were cut off and can be continued by exportModel. */
  unfinishedExports(): Promise<UnfinishedExport[]>;
  /** Removes what such an export has written. */
  discardUnfinished(id: string): Promise<void>;
  /** Results that wait for their downloads: they outlive a reload, until `discardStage`. */
  finishedExports(): Promise<FinishedExport[]>;
  /** A file of a stage of this visit or of a finished export; it counts as downloaded. */
  stagedFile(stageId: string, path: string): Promise<File>;
  /** Removes the files. Throws "busy" while another tab shows them. */
  discardStage(stageId: string): Promise<void>;
  /** Makes a staged result a stored model where it lies, without a copy; the stage is not discarded any more. */
  useAsInput(jobId: string, stageId: string, onProgress: OnProgress): Promise<StoredModel>;
  /** The element-wise Fisher of the last pass as a safetensors file, when the recipe asked to keep it. */
  fisherFile(recipe: Recipe): Promise<File | undefined>;

  /** What is to be known before a model answers. */
  tryFacts(model: TryModel): Promise<TryFacts>;
  /**
   * Answers to prompts, in their order. A merge is measured first where it has to be, and is not written: its weights are made
   * by the kernels of the export. `onPiece` tells the text of each answer as it grows.
   */
  generate(jobId: string, model: TryModel, prompts: string[], options: TryOptions, onProgress: OnProgress, onPiece: (piece: TryPiece) => void): Promise<TryAnswer[]>;
  /** Answers to problems, each judged against its reference; `onItem` tells each problem when its answers are judged. */
  evaluate(jobId: string, model: TryModel, problems: Problem[], options: TryOptions & { samples: number }, onProgress: OnProgress, onItem: (item: EvaluatedItem) => void): Promise<Evaluation>;
  /**
   * How well models foresee a text, how far each merge among them is from each stored model, and whether a merge looks broken.
   * The text is read in windows of at most 512 tokens, no more than 2048 in all. Throws "bad-request" for a text of fewer than 2 tokens.
   */
  probe(jobId: string, models: TryModel[], text: string, onProgress: OnProgress): Promise<Probe>;
  /** What was merged for answering since the start. */
  mergesTried(): Promise<MergesTried>;
  /** Gives back the GPU memory that models hold between questions. */
  endTrying(): Promise<void>;

  cancel(jobId: string): Promise<void>;
  /** The job ends the piece in work, within two seconds, and waits with all it holds until `resume` or `cancel`. */
  pause(jobId: string): Promise<void>;
  resume(jobId: string): Promise<void>;
}

/** How an error crosses the worker boundary. */
export interface PlainError {
  code: string;
  message: string;
  details: ErrorDetails;
}
