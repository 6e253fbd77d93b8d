import { Fragment, useState } from "react";
import { useShallow, useStudio } from "../../state/useStudio";
import type { RunRecord, TryScore } from "../../state";
import { optionsKey, samplingWords } from "../../state/scores";
import { runTitle, sweepWords } from "../../state/swept";
import { alpha, bytes, fixed, paramValue, percent, plural, shortHash } from "../../ui/format";
import { Drawer } from "../../ui/Drawer";
import { Icon } from "../../ui/icons";
import { Select } from "../../ui/Select";
import { Spark } from "../../charts/Spark";
import { runMatches } from "./runSearch";

/** Every trial, pass, evaluation, sweep and saved merge of this browser: search, restore, note, pin, delete, draw in the charts, compare two. */
export function HistoryDrawer({ onClose }: { onClose: () => void }) {
  const runs = useStudio((s) => s.runs);
  const methods = useStudio((s) => s.methods);
  const [query, setQuery] = useState("");
  const [kind, setKind] = useState("all");
  const [chosen, setChosen] = useState<string[]>([]);
  const [comparing, setComparing] = useState(false);
  const chart = useStudio((s) => s.chartRuns);
  const label = (run: RunRecord): string => methods.find((m) => m.id === run.recipe.method)?.label ?? run.recipe.method;
  const text = (run: RunRecord): string => [run.recipe.method, label(run), run.outcome, run.summary, run.note, run.recipeHash, run.recipe.base.name, ...run.recipe.models.map((m) => m.name)].join(" ");
  const shown = runs
    .filter((run) => (kind === "all" || run.outcome === kind || (kind === "evaluated" && run.scores !== undefined)) && runMatches(run, text(run), query))
    .toSorted((a, b) => Number(b.pinned) - Number(a.pinned) || b.time - a.time);
  const selected = chosen.map((id) => runs.find((run) => run.id === id)).filter((run) => run !== undefined);
  const drawable = selected.some((run) => run.scores !== undefined || run.sweep !== undefined || run.alphas.length > 0);
  const choose = (id: string): void => setChosen((now) => (now.includes(id) ? now.filter((c) => c !== id) : [...now, id]));
  const head = (
    <div className="row">
      <span className="input grow search"><Icon name="search" small /><input aria-label="Search the runs" value={query} onChange={(event) => setQuery(event.target.value)} /></span>
      <Select label="Kind of run" value={kind} onChange={setKind} options={[{ value: "all", label: "All kinds" }, { value: "measured", label: "Measured" }, { value: "evaluated", label: "Evaluated" }, { value: "swept", label: "Swept" }, { value: "tried", label: "Tried" }, { value: "saved", label: "Saved" }, { value: "stopped", label: "Stopped" }]} />
    </div>
  );
  const footer = runs.length > 0 && (
    <>
      <span className="grow small muted">{selected.length > 0 ? `${selected.length} selected` : `${plural(runs.length, "run")} · ${bytes(JSON.stringify(runs).length)}`}</span>
      {selected.length === 0 && <button type="button" className="btn s" onClick={() => download(runs)}>Export list</button>}
      {selected.length > 0 && <button type="button" className="btn s" disabled={!drawable} onClick={() => { chart(selected.map((run) => run.id)); onClose(); }}>Show in charts</button>}
      {selected.length > 0 && <button type="button" className="btn s primary" disabled={selected.length !== 2} aria-expanded={comparing && selected.length === 2} onClick={() => setComparing(!comparing)}>Compare 2 runs</button>}
    </>
  );
  return (
    <Drawer title="Run history" onClose={onClose} head={head} footer={footer} flush>
      {runs.length === 0 && <p className="small muted">No run yet. Every merge that is tried, measured, evaluated, swept or saved is noted here, with its recipe.</p>}
      {runs.length > 0 && shown.length === 0 && <p className="small muted">No run matches.</p>}
      {comparing && selected.length === 2 && <Comparison left={selected[0]!} right={selected[1]!} label={label} />}
      {shown.map((run) => <RunRow key={run.id} run={run} title={runTitle(run, methods)} chosen={chosen.includes(run.id)} onChoose={() => choose(run.id)} onClose={onClose} />)}
    </Drawer>
  );
}

function RunRow({ run, title, chosen, onChoose, onClose }: { run: RunRecord; title: string; chosen: boolean; onChoose: () => void; onClose: () => void }) {
  const restoreRun = useStudio((s) => s.restoreRun);
  const [load, go, measure] = useStudio(useShallow((s) => [s.loadRecipe, s.go, s.measure]));
  // A pass goes on from the blocks that it has kept.
  const resume = async (): Promise<void> => {
    if (!(await load(run.recipe))) return;
    go("shape");
    await measure();
  };
  const deleteRun = useStudio((s) => s.deleteRun);
  const pinRun = useStudio((s) => s.pinRun);
  const noteRun = useStudio((s) => s.noteRun);
  const current = useStudio((s) => !run.sweep && JSON.stringify(s.recipe) === JSON.stringify(run.recipe));
  const charted = useStudio((s) => s.overlay === "chosen" && s.charted.includes(run.id));
  const [editing, setEditing] = useState(false);
  const remarks = [current ? "Current recipe" : "", charted ? "In the charts" : "", run.note].filter(Boolean).join(" · ");
  return (
    <article className="run" aria-label={`${title}, ${when(run.time)}`}>
      <input type="checkbox" className="tick" aria-label={`Select ${title}, ${when(run.time)}`} checked={chosen} onChange={onChoose} />
      <div className="m">{title}{run.pinned && <><Icon name="pin" small /><span className="vh">pinned</span></>}</div>
      <span className="t">{when(run.time)}</span>
      <p className="d">{run.sweep ? sweepWords(run.sweep).axes : run.summary}{(run.recipeHash || remarks) && <br />}{run.recipeHash && <span className="num muted">{shortHash(run.recipeHash)}</span>}{run.recipeHash && remarks && " · "}{remarks}<Numbers run={run} /></p>
      <span className="sp"><Spark values={run.alphas} /></span>
      {editing && (
        <form className="note" onSubmit={(event) => { event.preventDefault(); noteRun(run.id, String(new FormData(event.currentTarget).get("note") ?? "")); setEditing(false); }}>
          {/* The field was asked for by the button just pressed. */}
          {/* eslint-disable-next-line jsx-a11y/no-autofocus */}
          <span className="input grow"><input name="note" aria-label="Note" defaultValue={run.note} autoFocus /></span><button type="submit" className="btn s">Keep note</button>
        </form>
      )}
      <span className="acts">
        {run.outcome === "stopped"
          ? <button type="button" className="btn ghost s" onClick={() => { void resume(); onClose(); }}>Resume</button>
          : <button type="button" className="btn ghost s" disabled={current} onClick={() => { restoreRun(run.id); onClose(); }}>Restore</button>}
        <button type="button" className="btn ghost s" aria-expanded={editing} onClick={() => setEditing(!editing)}>Note</button>
        <button type="button" className="btn ghost s" aria-pressed={run.pinned} onClick={() => pinRun(run.id)}>{run.pinned ? "Unpin" : "Pin"}</button>
        <button type="button" className="btn ghost s" onClick={() => deleteRun(run.id)}>Delete</button>
      </span>
    </article>
  );
}

/** Accuracy and length of the latest evaluations, or what a sweep found. */
function Numbers({ run }: { run: RunRecord }) {
  if (run.sweep) {
    const { found, best, at } = sweepWords(run.sweep);
    return <><br />{at && "Best "}<span className="num">{best}</span>{at && ` at ${at}`}<br />{found}</>;
  }
  const scores = run.scores ?? [];
  return (
    <>
      {scores.slice(0, SCORES).map((score) => <Fragment key={optionsKey(score) + score.set}><br /><span className="num">{percent(score.summary.accuracy.mean, 1)} · {fixed(score.summary.length.mean, 1)} tokens</span> on {plural(score.summary.problems, "problem")}, {samplingWords(score.options)}</Fragment>)}
      {scores.length > SCORES && <><br />and {plural(scores.length - SCORES, "more evaluation")}</>}
    </>
  );
}

/** Options and α that two runs do not share. */
function Comparison({ left, right, label }: { left: RunRecord; right: RunRecord; label: (run: RunRecord) => string }) {
  const methods = useStudio((s) => s.methods);
  // Options of different methods say nothing side by side.
  const specs = left.recipe.method === right.recipe.method ? (methods.find((m) => m.id === left.recipe.method)?.params ?? {}) : {};
  const keys = Object.keys(specs);
  const rows: [string, string, string][] = label(left) === label(right) ? [] : [["method", label(left), label(right)]];
  for (const key of keys) {
    const [a, b] = [left.recipe.params[key], right.recipe.params[key]];
    if (a !== b) rows.push([specs[key]!.label, a === undefined ? "–" : paramValue(a), b === undefined ? "–" : paramValue(b)]);
  }
  const ends = (run: RunRecord): string => (run.alphas.length === 0 ? "–" : `${alpha(Math.min(...run.alphas))}–${alpha(Math.max(...run.alphas))}`);
  const [scoreA, scoreB] = [left.scores?.[0], right.scores?.[0]];
  if (scoreA || scoreB) {
    const of = (score: typeof scoreA, text: (s: NonNullable<typeof scoreA>) => string): string => (score ? text(score) : "–");
    rows.push(["accuracy", of(scoreA, (s) => percent(s.summary.accuracy.mean, 1)), of(scoreB, (s) => percent(s.summary.accuracy.mean, 1))]);
    rows.push(["mean tokens", of(scoreA, (s) => fixed(s.summary.length.mean, 1)), of(scoreB, (s) => fixed(s.summary.length.mean, 1))]);
    if (scoreA?.set !== scoreB?.set || samplingWords(scoreA?.options ?? GREEDY) !== samplingWords(scoreB?.options ?? GREEDY)) rows.push(["evaluated on", of(scoreA, told), of(scoreB, told)]);
  }
  if (left.sweep ?? right.sweep) {
    const [a, b] = [left, right].map((run) => (run.sweep ? sweepWords(run.sweep) : undefined));
    rows.push(["sweep", a?.axes ?? "–", b?.axes ?? "–"], ["best cell", a ? `${a.best}, ${a.at}` : "–", b ? `${b.best}, ${b.at}` : "–"]);
  }
  if (left.alphas.length + right.alphas.length > 0) rows.push(["α", ends(left), ends(right)]);
  const layers = Math.min(left.alphas.length, right.alphas.length);
  const largest = Array.from({ length: layers }, (_, i) => ({ i, d: Math.abs(left.alphas[i]! - right.alphas[i]!) })).sort((a, b) => b.d - a.d)[0];
  if (largest) rows.push([`α, layer ${largest.i} (differs most)`, alpha(left.alphas[largest.i]), alpha(right.alphas[largest.i])]);
  return (
    <div className="panel comparison">
      <table className="dense">
        <thead><tr><th>Differs</th><th className="num">{when(left.time)}</th><th className="num">{when(right.time)}</th></tr></thead>
        <tbody>{rows.map(([name, a, b]) => <tr key={name}><td>{name}</td><td className="num">{a}</td><td className="num">{b}</td></tr>)}</tbody>
      </table>
    </div>
  );
}

/** Evaluations that a row shows. */
const SCORES = 3;
const GREEDY = { temperature: 0, topP: 1, topK: 0 };
const told = (score: TryScore): string => `${score.summary.problems} of ${score.problems}, ${samplingWords(score.options)}`;

function when(time: number): string {
  const date = new Date(time);
  const today = date.toDateString() === new Date().toDateString();
  return today ? date.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" }) : date.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
}

function download(runs: RunRecord[]): void {
  const url = URL.createObjectURL(new Blob([JSON.stringify(runs, undefined, 2)], { type: "application/json" }));
  Object.assign(document.createElement("a"), { href: url, download: "tributary-runs.json" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
