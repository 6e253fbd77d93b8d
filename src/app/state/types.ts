/**
 * The one store's shape: plain data and actions, a slice per file. Buffers, files and the engine stay outside.
 * `createStudioStore(engine)` is given the engine client, so that a test gives it a fake.
 */
import type { Budgets, ComboInfo, ExportPlan, ExportReport, ExportTarget, FinishedExport, Forecast, GpuInfo, IncomingFolder, KernelsInUse, MeasureReport, MergekitYaml, MethodInfo, PlainError, PostInfo, Preflight, RecipeFinding, Shape, StorageInfo, StoredModel, UnfinishedExport } from "../../engine/api";
import type { CalibrationFacts } from "../../core/calibration";
import type { TextFile } from "../../core/calibrationText";
import type { Progress } from "../../core/progress";
import type { Calibration, ParamValue, PostStage, Recipe, Reconciliation, OutputOptions, TensorChoice, Varying } from "../../core/recipe";
import type { SampleSlice } from "./sampleTypes";
import type { ProbeSlice, SweepRecord, SweepSlice } from "./sweepTypes";
import type { TryScore, TrySlice } from "./tryTypes";

export type * from "./sampleTypes";
export type * from "./tryTypes";

export type StepId = "load" | "check" | "shape" | "try" | "save";

/** One dropped folder on its way into the store. */
export interface IngestItem {
  jobId: string;
  name: string;
  files: number;
  bytes: number;
  state: "waiting" | "reading" | "done" | "failed" | "cancelled";
  /** Id in the store, as soon as its header is known there. */
  modelId: string | undefined;
  tookMs: number | undefined;
  /** The way it is read, once it is. */
  adding?: Adding;
  /** Code of the error that ended it. */
  failure?: string;
}

/** How dropped folders are added: copied into the browser, or read where they lie, by a kept handle where there is one. */
export type Adding = "copy" | "link";

export interface CheckpointsSlice {
  models: StoredModel[];
  baseId: string | undefined;
  modelIds: string[];
  preflight: Preflight | undefined;
  checking: boolean;
  /** Folders of this visit, in the order they were dropped. */
  queue: IngestItem[];
  /** Remembered between visits; a folder that waits takes the way that is chosen when its turn comes. */
  adding: Adding;
  setAdding(adding: Adding): void;
  /** The finished result that has become a model: its stage and its id. */
  adopted: { stageId: string; modelId: string } | undefined;
  /** Adds dropped folders: ingests each, the first free role is base, then fine-tuned. */
  addFolders(folders: IncomingFolder[], options?: { backend?: Adding; sample?: boolean }): Promise<void>;
  /** Reads a folder of this visit again, continuing where it stopped. */
  retry(jobId: string): Promise<void>;
  /** Gives the copy up and reads the folder where it lies. */
  linkInstead(jobId: string): Promise<void>;
  /** The same for every folder that found no room, and for those that wait. */
  linkRest(): Promise<void>;
  /** Asks the browser for a linked model's files again; on a click. */
  reconnect(id: string): Promise<void>;
  /** Makes the staged result a stored model where it lies. */
  useAsInput(): Promise<void>;
  chooseBase(id: string | undefined): void;
  chooseModels(ids: string[]): void;
  swapRoles(): void;
  deleteModel(id: string): Promise<void>;
  refreshModels(): Promise<void>;
  runPreflight(): Promise<void>;
  /** Frees both roles and stops what is being read; stored models stay stored. */
  startOver(): Promise<void>;
}

/** What a varying number belongs to: a parameter for all models, a parameter of one model, or (`param` absent) the weight of one. */
export type VaryPlace = { param: string; model?: number } | { param?: undefined; model: number };

export interface RecipeSlice {
  methods: MethodInfo[];
  /** What can come after a merge, and the groups of the method list. */
  postprocesses: { posts: PostInfo[]; combos: ComboInfo[]; families: string[] };
  /** Undefined until two models are chosen. */
  recipe: Recipe | undefined;
  setMethod(id: string): Promise<void>;
  setParam(name: string, value: ParamValue): void;
  resetParam(name: string): void;
  resetAll(): void;
  applyPreset(id: string): void;
  setModelWeight(index: number, weight: number): void;
  /** A number that differs between tensors; undefined: no more. */
  setVarying(place: VaryPlace, value: Varying | undefined): void;
  /** Which tensors are merged; undefined: all. */
  setTensors(tensors: TensorChoice | undefined): void;
  /** `name`: of the change, for undo. */
  setCalibration(calibration: Calibration, name: string): void;
  /** Replaces the stages after the merge. */
  setThen(then: PostStage[]): void;
  setReconciliation(change: Partial<Reconciliation>): void;
  setOutput(change: Partial<OutputOptions>): void;
  /** Puts a recipe in place of the whole form, over the stored models that it means; false (and a card) when one of them is not here. */
  loadRecipe(recipe: Recipe): Promise<boolean>;
  undo(): void;
  redo(): void;
}

export interface CalibrationSlice {
  /** Texts given in this visit, all of them: the recipe carries those that were drawn. */
  textFile: TextFile | undefined;
  /** Of `textFile`; empty for plain text. */
  textField: string;
  /** Counted for this calibration and base; `refused`: why there are no numbers. */
  calibrationFacts: { calibration: Calibration; baseId: string | undefined; value?: CalibrationFacts; refused?: string } | undefined;
  giveTextFile(file: File): Promise<void>;
  /** Pasted plain text. */
  giveText(content: string): void;
  chooseTextField(field: string): void;
  takeBuiltinText(): void;
  setDraw(part: Partial<Pick<Calibration, "samples" | "maxTokens" | "seed">>): void;
  refreshCalibration(): Promise<void>;
}

export interface ImportSlice {
  /** What was last read as a recipe, and what there is to say about it, until it is dismissed. */
  imported: { file: string; findings: RecipeFinding[] } | undefined;
  /** Restores the whole form from the text of a recipe.json or a mergekit file. Throws for what cannot be used, with its place. */
  readRecipe(text: string, file: string): Promise<void>;
  /** The same for a dropped file; faults become a card. */
  dropRecipe(file: File): Promise<void>;
  dismissImported(): void;
  /** The recipe as a mergekit file; undefined without a recipe. Throws while its pass is not made. */
  mergekitYaml(): Promise<MergekitYaml | undefined>;
}

export interface AnalysisSlice {
  shape: Shape | undefined;
  measured: MeasureReport | undefined;
  /** Job of the pass in work. */
  measuring: string | undefined;
  measure(): Promise<void>;
  refreshShape(): Promise<void>;
  /** The element-wise Fisher of the last pass, when the recipe asked to keep it; undefined (and a card) when it is gone. */
  fisherFile(): Promise<File | undefined>;
}

export interface JobsSlice {
  /** Progress by job, while it runs. */
  running: Record<string, Progress>;
  errors: { id: string; error: PlainError; context: string }[];
  /** Stops a job; a folder that waits or could not be read leaves the list. */
  cancel(jobId: string): Promise<void>;
  /** Lets a job wait with all it holds; its progress says so. */
  pause(jobId: string): Promise<void>;
  resume(jobId: string): Promise<void>;
  /** Puts a caught error on the page; `context` is the sentence above the card. Cancelling is not an error. */
  fail(error: unknown, context: string): void;
  dismissError(id: string): void;
  exportPlan: ExportPlan | undefined;
  exportReport: ExportReport | undefined;
  planExport(): Promise<void>;
  exportModel(target: ExportTarget): Promise<void>;
  /** Exports that were cut off, with what they have written. */
  unfinished: UnfinishedExport[];
  /** Lists both, those that were cut off and those that wait for their downloads. */
  refreshUnfinished(): Promise<void>;
  /** Restores the recipe of one and goes on writing; called on a click, since the browser may ask for the folder again. */
  continueExport(id: string): Promise<void>;
  discardExport(id: string): Promise<void>;
  /** Merged models of this visit and earlier ones that wait for their downloads. */
  finished: FinishedExport[];
  /** The one of them that Save shows because it was asked for, whatever the recipe is now. */
  shownFinished: string | undefined;
  showFinished(id: string): void;
  deleteFinished(id: string): Promise<void>;
  /** A file of the staged export that Save shows, to be offered as a download; undefined (and a card) when it is gone. */
  stagedFile(path: string): Promise<File | undefined>;
  /** Leaves the report of the last export. Its staged files go when all were downloaded; until then they stay and are offered. */
  newMerge(): void;
}

export interface RunRecord {
  id: string;
  time: number;
  recipe: Recipe;
  recipeHash: string;
  summary: string;
  note: string;
  pinned: boolean;
  alphas: number[];
  outcome: "tried" | "measured" | "saved" | "stopped" | "evaluated" | "swept";
  /** Of a sweep: `recipe` is the one it went out from. */
  sweep?: SweepRecord;
  /** Its evaluations in numbers, the latest first. */
  scores?: TryScore[];
}

export interface ViewSlice {
  step: StepId;
  theme: "system" | "light" | "dark";
  drawer: "none" | "gpu" | "storage" | "history" | "keys" | "palette" | "network" | "methods";
  gpu: GpuInfo | undefined;
  storage: StorageInfo | undefined;
  /** Layer under the linked cursor. */
  layer: number;
  /** Which fine-tuned model the charts show. */
  expert: number;
  chartMode: "layer" | "kind";
  /** Requests since the page loaded, and the latest of their addresses. */
  requests: number;
  requestNames: string[];
  runs: RunRecord[];
  /** Asks the engine for adapter, methods, models and storage; restores the choices of the last visit. */
  start(): Promise<void>;
  noteRequests(names: string[]): void;
  go(step: StepId): void;
  setTheme(theme: ViewSlice["theme"]): void;
  openDrawer(drawer: ViewSlice["drawer"]): void;
  setLayer(layer: number): void;
  setExpert(expert: number): void;
  setChartMode(mode: ViewSlice["chartMode"]): void;
  noteRun(id: string, note: string): void;
  pinRun(id: string): void;
  deleteRun(id: string): void;
  restoreRun(id: string): void;
  askPersist(): Promise<void>;
}

export interface ForecastSlice {
  /** The engine's budgets, known with the first forecast. */
  budgets: Budgets | undefined;
  /** The last forecast and the recipe it is of; `refused`: why there is none. */
  forecast: { recipe: Recipe; value?: Forecast; refused?: string } | undefined;
  refreshForecast(): Promise<void>;
  setBudgets(change: Partial<Budgets>): Promise<void>;
  /** Forms of kernels that this adapter runs; undefined until asked for, and without an adapter. */
  kernels: Pick<KernelsInUse, "forms" | "source"> | undefined;
  refreshKernels(): Promise<void>;
}

export type StudioState = ForecastSlice & CalibrationSlice & CheckpointsSlice & RecipeSlice & ImportSlice & AnalysisSlice & JobsSlice & SampleSlice & TrySlice & SweepSlice & ProbeSlice & ViewSlice;
