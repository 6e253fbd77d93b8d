import { useMemo, useRef, useState } from "react";
import { drawProblems, tierSizes } from "../../../core/problems";
import type { Problem } from "../../../core/trying";
import { AccuracyLength } from "../../charts/AccuracyLength";
import { zoomNote } from "../../charts/accuracyAxes";
import { ChartPanel } from "../../charts/ChartPanel";
import { toCsv } from "../../charts/csv";
import { MajorityChart } from "../../charts/MajorityChart";
import { TableTwin } from "../../charts/TableTwin";
import { problemCount, scoreRows, type ScoreRow } from "../../state/contenders";
import { sweptRows } from "../../state/swept";
import { useShallow, useStudio } from "../../state/useStudio";
import { count, plural, progressPercent } from "../../ui/format";
import { Select } from "../../ui/Select";
import { ByModel } from "./ByModel";
import { accuracyPoints, POINT_COLUMNS } from "./evaluateModel";
import { Finding } from "./Finding";
import { useContenders } from "./hooks";
import { Items } from "./Items";
import { NumberSetting, RunButton } from "./parts";
import { Streamed } from "./Streamed";
import { Settings } from "./Settings";
import { Sweep } from "./Sweep";

const CHART = 306;

/** A problem set answered by each model in turn: accuracy beside length, and why each answer counted. */
export function Evaluate() {
  const { rows, swept } = useScores();
  const [table, setTable] = useState(false);
  const problems = useStudio((s) => s.problemSet);
  const points = useLivePoints(rows, swept);
  const curves = rows.filter((r) => r.score.majority.length > 1).map((r) => ({ id: r.id, role: r.role, label: r.name, curve: r.score.majority }));
  return (
    <>
      <Form />
      <Streamed list={useContenders()} />
      {problems && (
        <>
          <Finding rows={rows} />
          <div className="grid2 a">
            <ChartPanel title="Accuracy and length" sub={`better is up and left${zoomNote(points)}`} tools={<Overlay />} table={table} onTable={setTable} empty={points.length === 0} csv={() => ({ name: "accuracy-length.csv", text: toCsv(POINT_COLUMNS, points) })}>
              {table ? <TableTwin columns={POINT_COLUMNS} rows={points} rowKey={(p) => p.id} layerOf={() => undefined} label="Accuracy and length, all points" height={CHART} fine /> : <AccuracyLength points={points} />}
            </ChartPanel>
            <ByModel rows={rows} />
          </div>
          {curves.length > 0 && <Majority curves={curves} />}
        </>
      )}
      <div className="grid2 b">
        <Sweep />
        <Items />
      </div>
    </>
  );
}

/** Which earlier runs lie in the chart. */
function Overlay() {
  const [overlay, setOverlay, runs] = useStudio(useShallow((s) => [s.overlay, s.setOverlay, s.runs.some((run) => run.scores ?? run.sweep)]));
  if (!runs) return null;
  return <Select small label="Earlier runs in the chart" width={168} value={overlay} onChange={(v) => setOverlay(v as typeof overlay)} options={[{ value: "all", label: "All earlier runs" }, { value: "chosen", label: "Pinned and chosen" }, { value: "none", label: "No earlier run" }]} />;
}

function Majority({ curves }: { curves: Parameters<typeof MajorityChart>[0]["curves"] }) {
  const [table, setTable] = useState(false);
  const flat = curves.flatMap((c) => c.curve.map((p) => ({ id: `${c.id} ${p.n}`, label: c.label, role: c.role, n: p.n, accuracy: p.accuracy, length: { mean: p.n } })));
  const columns = [POINT_COLUMNS[0]!, { id: "n", label: "n", value: (p: (typeof flat)[number]) => p.n, show: (p: (typeof flat)[number]) => String(p.n) }, ...POINT_COLUMNS.slice(1, 4)];
  return (
    <ChartPanel title="Majority of n answers" sub="maj@n: the answer that most of n samples give" table={table} onTable={setTable} csv={() => ({ name: "majority.csv", text: toCsv(columns, flat) })}>
      {table ? <TableTwin columns={columns} rows={flat} rowKey={(p) => p.id} layerOf={() => undefined} label="Majority of n answers, all points" height={240} /> : <MajorityChart curves={curves} />}
    </ChartPanel>
  );
}

/** Problems, how many, how they are answered, and the button. */
function Form() {
  const [set, most, trying, give, setCount, evaluate, samples, setSamples, sampled] = useStudio(useShallow((s) => [s.problemSet, problemCount(s), s.trying !== undefined, s.giveProblems, s.setProblemCount, s.evaluate, s.samples, s.setSamples, s.tryForm.sampling === "sample"]));
  const sample = useStudio((s) => s.models.some((m) => m.id === s.baseId && m.sample === true));
  const take = useStudio((s) => s.takeSampleProblems);
  const input = useRef<HTMLInputElement>(null);
  const choose = <button type="button" className={set ? "btn s" : "btn primary"} disabled={trying} onClick={() => input.current?.click()}>{set ? "Choose another .jsonl…" : "Choose a .jsonl…"}</button>;
  return (
    <section className="panel prompt" aria-label="Problems">
      <input ref={input} type="file" hidden accept=".jsonl,.ndjson" aria-label="Problem file" onChange={(event) => { const file = event.target.files?.[0]; event.target.value = ""; if (file) void give(file); }} />
      {!set ? (
        <div className="noset">
          <div><b>Problems with known answers</b><p className="small muted">Drop a .jsonl file: one object a line with <code>prompt</code>, <code>answer</code> and, where there is one, <code>tier</code>. Answers are read out of what a model writes: a boxed one, what follows “answer”, or the last number.</p></div>
          <span className="row">{sample && <button type="button" className="btn" onClick={() => void take()}>Take the sample’s</button>}{choose}</span>
        </div>
      ) : (
        <>
          <div className="txt"><b>{set.name}</b> <span className="muted">{plural(set.problems.length, "problem")}{tiersOf(set.problems)}</span> {choose}</div>
          <RunButton label="Evaluate" disabled={most === 0} onRun={() => void evaluate()} />
          <div className="set">
            <NumberSetting label="Problems" min={1} max={set.problems.length} value={most} onChange={setCount} />
            <span className="muted">of {count(set.problems.length)}{most < set.problems.length && (tiersOf(drawProblems(set.problems, most)) || ", the first ones")}</span>
            {sampled && <NumberSetting label="Answers per problem" width={44} min={1} max={32} value={samples} onChange={setSamples} />}
            <Settings />
          </div>
          <Working />
        </>
      )}
    </section>
  );
}

/** How far the model at work is; the sentence below says how long. */
function Working() {
  const list = useContenders();
  const trying = useStudio((s) => s.trying);
  const fraction = useStudio((s) => (s.trying ? (s.running[s.trying.jobId]?.fraction ?? 0) : 0));
  if (trying?.kind !== "evaluate") return null;
  const name = list.find((c) => c.key === trying.key)?.name ?? "";
  return <div className="bar working" role="progressbar" aria-valuenow={progressPercent(fraction)} aria-valuemin={0} aria-valuemax={100} aria-label={`${name} answers problems`}><i style={{ width: `${fraction * 100}%` }} /></div>;
}

/** ": 150 easy, 150 hard"; nothing where there are no tiers, or too many to be read. */
function tiersOf(problems: readonly Problem[]): string {
  const tiers = [...tierSizes(problems)].flatMap(([tier, n]) => (tier === undefined ? [] : `${count(n)} ${tier}`));
  return tiers.length === 0 || tiers.length > 6 ? "" : `: ${tiers.join(", ")}`;
}

/** Models and recipes that were evaluated, and cells of the sweeps that are drawn with them. */
function useScores(): { rows: ScoreRow[]; swept: ScoreRow[] } {
  const parts = useStudio(useShallow((s) => ({ models: s.models, baseId: s.baseId, modelIds: s.modelIds, recipe: s.recipe, exportPlan: s.exportPlan, methods: s.methods, runs: s.runs, extraColumns: s.extraColumns, modelScores: s.modelScores, problemSet: s.problemSet, problemCount: s.problemCount, overlay: s.overlay, charted: s.charted })));
  return useMemo(() => ({ rows: scoreRows(parts), swept: sweptRows(parts) }), [parts]);
}

function useLivePoints(rows: ScoreRow[], swept: ScoreRow[]) {
  const list = useContenders();
  const trying = useStudio((s) => s.trying);
  const items = useStudio((s) => s.liveItems);
  const of = useStudio(problemCount);
  const contender = trying?.kind === "evaluate" ? list.find((c) => c.key === trying.key) : undefined;
  return useMemo(() => accuracyPoints(rows, contender && { contender, items, of }, swept), [rows, swept, contender, items, of]);
}
