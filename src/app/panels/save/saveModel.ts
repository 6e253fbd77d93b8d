/** What the Save step works out from the plan and the report: labels, choices, verdict, and the report as text. */
import type { ExportPlan, ExportReport, FinishedExport, MethodInfo, Shape, StoredModel } from "../../../engine/api";
import type { OutputOptions, Recipe } from "../../../core/recipe";
import { isFloatDtype, type FloatDtype } from "../../../core/tensors";
import { bytes, count, duration, paramValue, plural, shortHash } from "../../ui/format";

export type Where = "folder" | "stage" | "zip";

const GB = 1e9;

/** Shard limits to choose from; the one in the recipe is always among them. */
export function shardChoices(current: number): { value: string; label: string }[] {
  const sizes = [...new Set([1 * GB, 2 * GB, 5 * GB, 10 * GB, current])].sort((a, b) => a - b);
  return sizes.map((size) => ({ value: String(size), label: size % GB === 0 ? `${size / GB} GB` : bytes(size) }));
}

/** The dtype the base is mostly stored in, when it is one that is computed with. */
export function baseDtype(base: StoredModel | undefined): FloatDtype | undefined {
  const first = base?.facts.dtypes[0]?.dtype;
  return first !== undefined && isFloatDtype(first) ? first : undefined;
}

/** The dtype that will be written, once "as the base" is resolved. */
export const writtenDtype = (output: OutputOptions, base: FloatDtype | undefined): FloatDtype | undefined => (output.dtype === "base" ? base : output.dtype);

export const isShard = (path: string): boolean => path.endsWith(".safetensors");

/** Why a name cannot be a folder; undefined when it can. */
export function nameProblem(name: string): string | undefined {
  if (name.trim() === "") return "A name is needed for the folder.";
  // eslint-disable-next-line no-control-regex
  if (/[/\\:*?"<>|\u0000-\u001f]/.test(name)) return 'A folder name has none of / \\ : * ? " < > |';
  if (/^\.+$|[. ]$/.test(name)) return "A folder name does not end with a dot or a space.";
  return undefined;
}

/** Rows of "Goes into the recipe": method and its front options at the left, inputs and hash at the right. */
export function recipeRows(recipe: Recipe, method: MethodInfo | undefined, models: readonly StoredModel[], shape: Shape | undefined, plan: ExportPlan | undefined): { left: [string, string][]; right: [string, string][] } {
  const params = Object.entries(method?.params ?? {});
  // The three numbers of the random inputs are one row; of the rest, what needs a pass, two more, and every change.
  const inputs = ["N", "len", "seed"];
  const drawn = inputs.every((name) => name in (method?.params ?? {})) && !recipe.tokens;
  const rest = params.filter(([name, spec]) => spec.effect !== "write" && !(drawn && inputs.includes(name)));
  const front = [...rest.filter(([, spec]) => !spec.advanced && spec.effect === "pass"), ...rest.filter(([, spec]) => !spec.advanced && spec.effect === "at-once").slice(0, 2)];
  const changed = rest.filter((entry) => !front.includes(entry) && recipe.params[entry[0]] !== undefined && recipe.params[entry[0]] !== entry[1].default);
  const value = (name: string): string => {
    const spec = method?.params[name];
    const chosen = recipe.params[name] ?? spec?.default ?? "";
    const words = spec?.kind === "choice" ? spec.options : spec?.kind === "number-or-word" ? spec.words : [];
    return words.find((w) => w.value === chosen)?.label ?? paramValue(chosen);
  };
  const hash = (ref: Recipe["base"]) => shortHash(ref.hash ?? models.find((m) => m.id === ref.id)?.hash);
  const left: [string, string][] = [["method", recipe.method], ...[...front, ...changed].map(([name, spec]): [string, string] => [spec.label, value(name)]), ...(drawn ? ([["fisher", `${value("N")} × ${value("len")}, seed ${recipe.params["seed"] ?? method?.params["seed"]?.default}`]] as [string, string][]) : [])];
  const right: [string, string][] = [
    ["base", hash(recipe.base)],
    ...recipe.models.map((m, i): [string, string] => [recipe.models.length > 1 ? `fine-tuned ${i + 1}` : "fine-tuned", hash(m)]),
    ...(shape && shape.calibration.tested > 0 ? ([["calibration", `${shape.calibration.mode}, ${count(shape.calibration.moved)} of ${count(shape.calibration.tested)} moved`]] as [string, string][]) : []),
    ...(recipe.tokens ? ([["inputs", `${recipe.tokens.length} given sequences`]] as [string, string][]) : []),
    ["recipe", shortHash(plan?.recipeHash)],
  ];
  // Two columns of like height: options that do not fit at the left head the right one.
  const half = Math.ceil((left.length + right.length) / 2);
  return { left: left.slice(0, half), right: [...left.slice(half), ...right] };
}

export interface Verdict {
  failed: number;
  skipped: number;
  tone: "ok" | "warn" | "block";
  title: string;
  lead: string;
  sentence: string;
}

/** What may be said about the written files: nothing is called verified that was not. */
export function verdictOf(report: ExportReport): Verdict {
  const { compared, equal } = report.tiles;
  // A hardware GPU may round the last bit another way; the check knows by how much tiles differ.
  const tileCheck = report.checks.find((c) => c.id === "tiles");
  const tilesFailed = tileCheck ? tileCheck.verdict === "fail" : equal < compared;
  const failedChecks = report.checks.filter((c) => c.verdict === "fail");
  const failed = failedChecks.length + (tilesFailed && !tileCheck ? 1 : 0);
  const skipped = report.checks.filter((c) => c.verdict === "skipped").length;
  const tiles = compared === 0 ? "No tile was computed a second time." : `${count(equal)} of ${count(compared)} tiles equal, byte for byte.`;
  if (failed > 0)
    return { failed, skipped, tone: "block", title: "Written, but not right", lead: `${failed === 1 ? "1 check" : `${failed} checks`} failed.`, sentence: `${tilesFailed ? `${tiles} ` : ""}Do not use these files. Write them again; if it fails again, copy the report.` };
  const passed = report.checks.length - skipped;
  if (skipped > 0 || compared === 0)
    return { failed, skipped, tone: "warn", title: "Written, partly verified", lead: tiles, sentence: `${passed} of ${plural(report.checks.length, "check")} passed, ${skipped} ${skipped === 1 ? "was" : "were"} skipped.` };
  return { failed, skipped, tone: "ok", title: "Written and verified", lead: tiles, sentence: equal < compared ? "The others differ from a second computation on the CPU by no more than rounding." : "A second computation on the CPU gave the same bytes as were written." };
}

/** "written and verified on 22 Nov, 14:05", in this machine's time. */
export const writtenWhen = ({ report, finishedAt }: Pick<FinishedExport, "report" | "finishedAt">): string =>
  `${verdictOf(report).tone === "ok" ? "written and verified" : "written, partly verified"} on ${new Date(finishedAt).toLocaleString("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" })}`;

/** "not downloaded yet", "3 of 6 files downloaded", "downloaded". */
export function downloadedSoFar({ report, downloaded }: FinishedExport): string {
  const { length } = report.staged!.paths;
  return downloaded.length === 0 ? "not downloaded yet" : downloaded.length < length ? `${downloaded.length} of ${plural(length, "file")} downloaded` : "downloaded";
}

/** The report as plain text for a message or an issue; ASCII minus is not needed, no number is negative. */
export function reportText(report: ExportReport): string {
  const pad = Math.max(...report.checks.map((c) => c.label.length), 0);
  return [
    `${report.name}: ${report.files.length} files, ${report.totalBytes} bytes, ${duration(report.elapsedMs)}`,
    `recipe ${report.recipeHash}`,
    "",
    ...report.checks.map((c) => `${c.verdict.toUpperCase().padEnd(7)} ${c.label.padEnd(pad)}  ${c.found}`),
    `tiles   ${report.tiles.equal} of ${report.tiles.compared} equal`,
    "",
    ...report.files.map((f) => `${f.sha256}  ${f.bytes}  ${f.path}`),
    "",
  ].join("\n");
}

/** "9c1e 44b0 72fd … a05b": enough to compare by eye; the whole hash is in the copied report. */
export const hashGroups = (hash: string): string => (hash.length < 20 ? hash || "–" : `${hash.slice(0, 4)} ${hash.slice(4, 8)} ${hash.slice(8, 12)} … ${hash.slice(-4)}`);
