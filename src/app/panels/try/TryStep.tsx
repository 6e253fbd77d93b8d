import { useEffect } from "react";
import { mergedWords } from "../../../core/trying";
import { contenders, optionsOf, problemCount, setKey, tryBlocked } from "../../state/contenders";
import { samplingWords } from "../../state/scores";
import type { StudioState } from "../../state";
import { useShallow, useStudio } from "../../state/useStudio";
import { ActionBar } from "../../ui/ActionBar";
import { bytes, capitalised, count, plural, progressPercent, shortHash, timeLeft, words } from "../../ui/format";
import type { IconName } from "../../ui/icons";
import { Banner } from "../../ui/marks";
import { Shell } from "../../ui/Shell";
import { useStopKey } from "../shell/useStopKey";
import { Compare } from "./Compare";
import { Evaluate } from "./Evaluate";
import { BrokenBanner, Probe } from "./Probe";
import "../../styles/try.css";
import "../../styles/sweep.css";

const TABS = [["compare", "Compare"], ["evaluate", "Evaluate"], ["probe", "Probe"]] as const;

/** The merge before it is written: answers side by side, and accuracy over a problem set. */
export default function TryStep() {
  const [tab, setTab, refresh] = useStudio(useShallow((s) => [s.tryTab, s.setTryTab, s.refreshTryFacts]));
  const blocked = useStudio(tryBlocked);
  const reason = useStudio((s) => s.gpu?.reason);
  const [recipe, gpuBytes, forecast] = useStudio(useShallow((s) => [s.recipe, s.budgets?.gpuBytes, s.refreshForecast]));
  const asked = useStudio(evaluateWords);
  useStopKey(useStudio((s) => s.trying !== undefined), useStudio((s) => s.stopTrying));
  useEffect(() => {
    if (!blocked) void refresh();
  }, [blocked, recipe, gpuBytes, refresh]);
  useEffect(() => {
    if (!blocked && gpuBytes === undefined) void forecast();
  }, [blocked, gpuBytes, forecast]);
  const intro = tab === "evaluate" && asked !== undefined ? asked : "The merged weights are made on the fly by the same kernels that write the file. Nothing has been saved.";
  return (
    <Shell title="Try it before it exists" intro={intro} peek actions={<Foot blocked={blocked} />}>
      {blocked ? <Banner icon="lock" lead={`Try is closed: ${blocked}.`}>{reason} Save works without it.</Banner> : (
        <>
          <BrokenBanner />
          <nav className="tabs" aria-label="Try">
            {TABS.map(([id, label]) => <button key={id} type="button" aria-current={tab === id ? "page" : undefined} onClick={() => setTab(id)}>{label}</button>)}
          </nav>
          {tab === "compare" ? <Compare /> : tab === "evaluate" ? <Evaluate /> : <Probe />}
        </>
      )}
    </Shell>
  );
}

/** "60 of 300 problems of problems.jsonl, greedy, each model with its own template." */
function evaluateWords(s: StudioState): string | undefined {
  if (!s.problemSet) return undefined;
  const [asked, all] = [problemCount(s), s.problemSet.problems.length];
  const options = optionsOf(s.tryForm, s.tryFacts, Object.values(s.tryFacts).find((f) => f.value?.chatTemplate)?.value);
  return `${asked < all ? `${count(asked)} of ` : ""}${plural(all, "problem")} of ${s.problemSet.name}, ${samplingWords(options)}, ${options.prompt === "raw" ? "raw prompt" : "each model with its own template"}.`;
}

/** The action bar: drawn anew with every piece of progress, which the step itself is not. */
function Foot({ blocked }: { blocked: string | undefined }) {
  const go = useStudio((s) => s.go);
  const canSave = useStudio((s) => s.shape?.complete === true && !s.shape.needsPass);
  const status = useStatus();
  const next = canSave ? { label: "Save this merge", onClick: () => go("save"), main: false } : { label: "Measure layers in Shape", onClick: () => go("shape"), main: false };
  return <ActionBar icon={blocked ? "lock" : status.icon} text={blocked ? `Try is closed: ${blocked}. Save works without it.` : status.text} secondary={{ label: "Back to Shape", quiet: true, onClick: () => go("shape") }} primary={next} />;
}

/** One sentence on where things stand. */
function useStatus(): { icon: IconName; text: string } {
  const trying = useStudio((s) => s.trying);
  const progress = useStudio((s) => (s.trying ? s.running[s.trying.jobId] : undefined));
  const name = useStudio((s) => contenders(s).find((c) => c.key === s.trying?.key)?.name ?? "");
  const sweep = useStudio((s) => s.sweepRun);
  const answered = useStudio((s) => Object.values(s.answers).filter((a) => a.state === "done").length);
  const evaluated = useStudio((s) => Object.values(s.evaluated).filter((e) => e.score.set === setKey(s)).length);
  const tab = useStudio((s) => s.tryTab);
  const preview = useStudio((s) => s.answers.merge?.answer);
  if (!trying && tab === "evaluate" && evaluated > 0) return { icon: "check", text: `${evaluated === 1 ? "One model was" : `${capitalised(words(evaluated))} models were`} evaluated on these problems. Their numbers are kept in this browser.` };
  if (!trying && tab === "compare" && preview) return { icon: "check", text: `Preview made from recipe ${shortHash(preview.recipeHash)}: ${mergedWords(preview.weights)}, ${bytes(preview.weights.bytes)} on the GPU.` };
  if (!trying) return tab === "compare" && answered > 0 ? { icon: "check", text: `${answered === 1 ? "One model has" : `${capitalised(words(answered))} models have`} answered.` } : { icon: "info", text: "Nothing is written by trying." };
  if (trying.kind === "sweep" && sweep) return { icon: "running", text: trying.stopping ? "Stopping the sweep. Finished cells are kept." : `Sweep: cell ${sweep.cell} of ${sweep.cells}${sweep.secondsLeft === undefined ? "" : `, ${timeLeft([sweep.secondsLeft, sweep.secondsLeft]).about} left`}. Finished cells are kept if you cancel.` };
  if (trying.kind === "probe") return { icon: "running", text: `Probing: ${progress?.phases.find((p) => p.state === "now")?.count ?? "preparing the models"}.` };
  if (trying.stopping) return { icon: "running", text: `Stopping ${name}. What is finished stays.` };
  const after = trying.after > 0 ? `, ${words(trying.after)} more to come` : "";
  const phase = progress?.phases.find((p) => p.state === "now");
  const left = timeLeft(progress?.secondsLeft).about;
  const at = phase?.id === "weights" ? `${name}: weights${phase.count === undefined ? "" : `, ${phase.count}`}` : trying.kind === "evaluate" ? `${name}: ${phase?.count ?? `${progressPercent(progress?.fraction)}%`}` : `${name} answers`;
  return { icon: "running", text: `${at}${left === "–" || trying.kind === "compare" ? "" : `, ${left} left`}${after}. Finished models are kept if you stop.` };
}
