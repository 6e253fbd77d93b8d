import { useShallow, useStudio } from "../../state/useStudio";
import type { SampleRun as Run } from "../../state";
import { clock, count } from "../../ui/format";
import { Icon, type IconName } from "../../ui/icons";
import { Banner } from "../../ui/marks";
import "../../styles/sample.css";
import { sampleSteps, type SampleStep } from "./sampleModel";
import { useStopKey } from "./useStopKey";

/** On every step while the sample runs by itself: what is done, what is at work and how long, and Stop. Then one line on how it ended. */
export function SampleRun() {
  const run = useStudio((s) => s.sampleRun);
  if (!run) return null;
  return run.state === "running" ? <Running follows={run.follows} /> : <Ended run={run} />;
}

const MARK: Record<SampleStep["state"], IconName> = { done: "check", now: "running", todo: "clock" };
const STATE_WORDS: Record<SampleStep["state"], string> = { done: "done", now: "at work", todo: "to come" };

function Running({ follows }: { follows: boolean }) {
  const stop = useStudio((s) => s.stopSample);
  const paused = useStudio((s) => s.measuring !== undefined && s.running[s.measuring]?.paused === true);
  // Try has a Stop of its own while it answers.
  const stopsItself = useStudio((s) => s.step === "try" && s.trying !== undefined);
  const steps = sampleSteps(useStudio(useShallow(({ sampleRun, queue, measuring, trying, running, evaluated, baseId, modelIds, problemSet, problemCount }) => ({ sampleRun, queue, measuring, trying, running, evaluated, baseId, modelIds, problemSet, problemCount }))));
  const now = steps.find((step) => step.state === "now");
  useStopKey(follows, stop);
  return (
    <section className="panel samplerun" aria-label="Sample run">
      <ol>
        {steps.map(({ label, state, count }) => (
          <li key={label} data-state={state} aria-current={state === "now" ? "step" : undefined}>
            <Icon name={paused && state === "now" ? "pause" : MARK[state]} small />
            {label}<span className="vh">, {STATE_WORDS[state]}</span>
            {count && <span className="num">{count}</span>}
          </li>
        ))}
      </ol>
      <span className="left num">{now?.left ? `${now.label}: ${now.left} left` : ""}</span>
      {!stopsItself && <button type="button" className="btn s" onClick={() => void stop()}><Icon name="stop" small />Stop{follows && <span className="kbd">Esc</span>}</button>}
      <p className="say">{follows ? "Runs by itself up to the chart in Try. Go elsewhere and it runs on behind you; a change of the recipe ends it." : "It runs on behind this page, which stays where you are. The chart will be in Try, under Evaluate."}</p>
      <p className="vh" role="status">{now ? `Sample run: ${now.label}` : ""}</p>
    </section>
  );
}

/** One line each; what went wrong is said by its own card. */
const ENDS: Record<Exclude<Run["state"], "running" | "done">, { lead: string; text: string }> = {
  stopped: { lead: "The sample run was stopped.", text: "What was finished stays. Measure in Shape and Evaluate in Try go on by hand." },
  failed: { lead: "The sample run could not go on.", text: "What was finished stays." },
  left: { lead: "The sample run ended with your change.", text: "Evaluate in Try asks base, fine-tuned and the new merge." },
  "no-gpu": { lead: "The sample run ends here.", text: "Measuring layers and answering need WebGPU." },
};

const took = (ms: number): string => (ms < 100_000 ? `${count(ms / 1000)} s` : `${clock(ms)} min`);

function Ended({ run }: { run: Run }) {
  const dismiss = useStudio((s) => s.dismissSample);
  const go = useStudio((s) => s.go);
  const setTab = useStudio((s) => s.setTryTab);
  const seen = useStudio((s) => s.step === "try" && s.tryTab === "evaluate");
  const done = run.state === "done";
  const { lead, text } = run.state === "done" || run.state === "running"
    ? { lead: `The sample ran in ${took(run.tookMs ?? 0)}`, text: "from the click to the chart: copied, checked, measured, and three models asked." }
    : ENDS[run.state];
  const show = (): void => {
    go("try");
    setTab("evaluate");
  };
  return (
    <Banner
      tone={done ? "ok" : run.state === "failed" ? "warn" : "info"} icon={done ? "check" : run.state === "failed" ? "warn" : "info"} lead={lead}
      actions={<>{done && !seen && <button type="button" className="btn s" onClick={show}>Show the results</button>}<button type="button" className="btn icon s ghost" aria-label="Dismiss" onClick={dismiss}><Icon name="close" small /></button></>}
    >
      {text}
    </Banner>
  );
}
