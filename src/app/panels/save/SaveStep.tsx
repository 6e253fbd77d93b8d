import { useEffect, useState } from "react";
import "../../styles/shape.css";
import "../../styles/save.css";
import type { Recipe } from "../../../core/recipe";
import type { ExportReport, ExportTarget } from "../../../engine/api";
import { useStudio, useStudioStore } from "../../state/useStudio";
import { ActionBar } from "../../ui/ActionBar";
import { bytes, duration, plural } from "../../ui/format";
import { Icon } from "../../ui/icons";
import { Banner } from "../../ui/marks";
import { Shell } from "../../ui/Shell";
import { FinishedExports } from "../shell/FinishedExports";
import { UnfinishedExports } from "../shell/UnfinishedExports";
import { ProgressBlock } from "../shape/ProgressBlock";
import { nameProblem, reportText, verdictOf, writtenWhen, type Where } from "./saveModel";
import { MergekitPanel } from "./MergekitPanel";
import { AfterPanel, CardPanel, FilesPanel, HowPanel, RecipePanel, WherePanel } from "./WritePlan";
import { Written } from "./Written";
import { BrokenBanner } from "../try/Probe";

type Picker = (options: { id: string; mode: "readwrite" }) => Promise<FileSystemDirectoryHandle>;
const pickerOf = (): Picker | undefined => (globalThis as { showDirectoryPicker?: Picker }).showDirectoryPicker;

/** The recipe a report was written from: a report of another recipe gives way to the new plan. */
const writtenFrom = new WeakMap<ExportReport, Recipe>();

/** Plan, write, verify. */
export default function SaveStep() {
  const store = useStudioStore();
  const recipe = useStudio((s) => s.recipe);
  const plan = useStudio((s) => s.exportPlan);
  const report = useStudio((s) => s.exportReport);
  const job = useStudio((s) => Object.values(s.running).find((p) => p.kind === "export" || p.kind === "verify"));
  const free = useStudio((s) => s.storage?.freeBytes);
  const waiting = useStudio((s) => s.finished.length > 0);
  const planExport = useStudio((s) => s.planExport);
  const refreshModels = useStudio((s) => s.refreshModels);
  const exportModel = useStudio((s) => s.exportModel);
  const fail = useStudio((s) => s.fail);
  const newMerge = useStudio((s) => s.newMerge);
  const shown = useStudio((s) => s.finished.find((f) => f.id === s.shownFinished));
  const go = useStudio((s) => s.go);
  const picker = pickerOf();
  const [where, setWhere] = useState<Where>(picker ? "folder" : "stage");
  const [starting, setStarting] = useState(false);
  const [again, setAgain] = useState<ExportReport>();
  useEffect(() => {
    if (recipe && !plan) void planExport();
  }, [recipe, plan, planExport]);
  // What the browser grants may have changed since the models were read.
  useEffect(() => void refreshModels().catch(() => undefined), [refreshModels]);

  const write = async (): Promise<void> => {
    const current = store.getState().recipe;
    if (!current) return;
    const name = current.output.name;
    let target: ExportTarget = where === "zip" ? { kind: "zip", name } : { kind: "stage", name };
    setStarting(true);
    try {
      if (where === "folder" && picker) {
        // Called straight from the click: the browser shows its dialog only during a gesture.
        target = { kind: "folder", handle: await picker.call(globalThis, { id: "tributary-save", mode: "readwrite" }), name };
      }
      await exportModel(target);
      const written = store.getState().exportReport;
      if (written) writtenFrom.set(written, current);
    } catch (error) {
      if (!(error instanceof DOMException && error.name === "AbortError")) fail(error, "Choosing a folder");
    } finally {
      setStarting(false);
    }
  };

  const running = job !== undefined || (starting && report === undefined);
  const source = report && writtenFrom.get(report);
  if (report && !running && report !== again && (shown !== undefined || source === undefined || source === recipe))
    return <Done report={report} when={shown && writtenWhen(shown)} onAgain={shown ? undefined : () => setAgain(report)} onNew={() => { newMerge(); go("load"); }} />;

  const problem = recipe ? nameProblem(recipe.output.name) : "Save needs two models that fit together.";
  const need = plan ? plan.totalBytes * (where === "zip" ? 2 : 1) : 0;
  const short = where !== "folder" && free !== undefined && need > free;
  const stand = problem
    ? problem
    : !plan
      ? "Planning the files from the headers."
      : short
        ? `Needs ${bytes(need)}, the browser grants ${bytes(free)}. Delete a stored model${waiting ? " or a merged one" : ""}, or write into a folder.`
        : `${bytes(plan.totalBytes)} to write, ${plural(plan.files.length, "file")}.${where !== "folder" && free !== undefined ? ` The browser grants ${bytes(free)}.` : ""}`;
  const verb = { folder: "Choose a folder and write", stage: plan ? `Write ${plural(plan.files.length, "file")}` : "Write the files", zip: "Write one .zip" }[where];
  const phase = job?.phases.find((p) => p.state === "now");

  return (
    <Shell
      title={running ? "Writing the merged model" : "Save the merged model"}
      intro="Each tensor is merged and written as it comes; no file is held in memory. Afterwards every file is read again and checked."
      actions={
        running ? (
          <ActionBar icon={job?.paused ? "pause" : "running"} text={phase ? `${job?.paused ? "Paused. " : ""}${phase.label}${phase.count ? `, ${phase.count}` : ""}. Keep this tab open.` : where === "folder" && !job ? "The browser asks which folder." : "Starting."} primary={{ label: verb, disabled: true, onClick: () => undefined }} />
        ) : (
          <ActionBar
            icon={problem || short ? "block" : "storage"}
            {...(problem || short ? { tone: "block" as const } : {})}
            text={stand}
            secondary={{ label: "Back to Shape", quiet: true, onClick: () => go("shape") }}
            primary={{ label: <><Icon name="download" />{verb}</>, disabled: !plan || problem !== undefined || short, onClick: () => void write() }}
          />
        )
      }
    >
      <BrokenBanner />
      <UnfinishedExports />
      <FinishedExports />
      {report && !running && report !== again && <Banner icon="clock" lead="The recipe has changed since the last files were written.">{report.name} still has the files of the earlier recipe.</Banner>}
      {job && <ProgressBlock key={job.jobId} jobId={job.jobId} progress={job} label="Writing and checking" reading="writing" stripUnit="part" />}
      <div className={running ? "stack" : "grid2 c save-grid"}>
        <div className="stack">
          <FilesPanel plan={plan} />
          {!running && <RecipePanel plan={plan} />}
          {!running && <MergekitPanel plan={plan} />}
          {!running && <CardPanel plan={plan} />}
        </div>
        {!running && (
          <div className="stack">
            <HowPanel plan={plan} />
            <WherePanel plan={plan} where={where} folders={picker !== undefined} onChange={setWhere} />
            <AfterPanel plan={plan} />
          </div>
        )}
      </div>
    </Shell>
  );
}

/** `when`: of a result that was opened again, whose recipe may not be the one in the form; it is not written again from here. */
function Done({ report, when, onAgain, onNew }: { report: ExportReport; when: string | undefined; onAgain: (() => void) | undefined; onNew: () => void }) {
  const [copied, setCopied] = useState(false);
  const verdict = verdictOf(report);
  const bad = verdict.failed > 0;
  return (
    <Shell
      title={verdict.title}
      intro={<>{plural(report.files.length, "file")} in <b>{report.name}</b>, {bytes(report.totalBytes)}, {when ?? `in ${duration(report.elapsedMs)}`}.</>}
      aside={
        <div className="row">
          <button type="button" className="btn" onClick={() => void navigator.clipboard.writeText(reportText(report)).then(() => setCopied(true))}>
            <Icon name={copied ? "check" : "copy"} />{copied ? "Copied" : "Copy report"}
          </button>
        </div>
      }
      actions={
        <ActionBar
          icon={bad ? "block" : "check"}
          {...(bad ? { tone: "block" as const } : {})}
          text={bad ? "A check failed, so these files should not be used." : "Done. The recipe is in the history; it can make these bytes again."}
          {...(onAgain ? { secondary: bad ? { label: "New merge", onClick: onNew } : { label: "Write again", onClick: onAgain } } : {})}
          primary={bad && onAgain ? { label: "Write again", onClick: onAgain } : { label: "New merge", onClick: onNew }}
        />
      }
    >
      <Written report={report} />
    </Shell>
  );
}
