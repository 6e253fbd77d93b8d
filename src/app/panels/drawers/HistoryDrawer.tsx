import { useState } from "react";
import { useStudio } from "../../state/useStudio";
import type { RunRecord, TryScore } from "../../state";
import { samplingWords } from "../../state/scores";
import { alpha, fixed, percent, plural, shortHash } from "../../ui/format";
import { Drawer } from "../../ui/Drawer";
import { Icon } from "../../ui/icons";
import { Select } from "../../ui/Select";
import { Spark } from "../../charts/Spark";

/** Every pass, evaluation and saved merge of this browser: search, restore, note, pin, delete, compare two. */
export function HistoryDrawer({ onClose }: { onClose: () => void }) {
  const runs = useStudio((s) => s.runs);
  const methods = useStudio((s) => s.methods);
  const [query, setQuery] = useState("");
  const [kind, setKind] = useState("all");
  const [chosen, setChosen] = useState<string[]>([]);
  const label = (run: RunRecord): string => methods.find((m) => m.id === run.recipe.method)?.label ?? run.recipe.method;
  const terms = query.toLowerCase().split(/\s+/).filter(Boolean);
  const text = (run: RunRecord): string => [run.recipe.method, label(run), run.summary, run.note, run.recipeHash, run.recipe.base.name, ...run.recipe.models.map((m) => m.name)].join(" ").toLowerCase();
  const shown = runs
    .filter((run) => (kind === "all" || run.outcome === kind || (kind === "evaluated" && run.scores !== undefined)) && terms.every((term) => text(run).includes(term)))
    .toSorted((a, b) => Number(b.pinned) - Number(a.pinned) || b.time - a.time);
  const pair = chosen.map((id) => runs.find((run) => run.id === id)).filter((run) => run !== undefined);
  const choose = (id: string): void => setChosen((now) => (now.includes(id) ? now.filter((c) => c !== id) : [...now, id].slice(-2)));
  const head = (
    <div className="row">
      <span className="input grow search"><Icon name="search" small /><input aria-label="Search the runs" value={query} onChange={(event) => setQuery(event.target.value)} /></span>
      <Select label="Kind of run" value={kind} onChange={setKind} options={[{ value: "all", label: "All kinds" }, { value: "measured", label: "Measured" }, { value: "evaluated", label: "Evaluated" }, { value: "saved", label: "Saved" }, { value: "stopped", label: "Stopped" }]} />
    </div>
  );
  const footer = runs.length > 0 && (
    <>
      <span className="grow small muted">{pair.length > 0 ? `${pair.length} selected` : plural(runs.length, "run")}{pair.length === 1 && ", select one more to compare"}</span>
      <button type="button" className="btn s" onClick={() => download(runs)}>Export list</button>
    </>
  );
  return (
    <Drawer title="Run history" onClose={onClose} head={head} footer={footer} flush>
      {runs.length === 0 && <p className="small muted">No run yet. Every Fisher pass, every evaluation and every saved merge is noted here, with its recipe.</p>}
      {runs.length > 0 && shown.length === 0 && <p className="small muted">No run matches.</p>}
      {pair.length === 2 && <Comparison left={pair[0]!} right={pair[1]!} label={label} />}
      {shown.map((run) => <RunRow key={run.id} run={run} label={label(run)} chosen={chosen.includes(run.id)} onChoose={() => choose(run.id)} onClose={onClose} />)}
    </Drawer>
  );
}

function RunRow({ run, label, chosen, onChoose, onClose }: { run: RunRecord; label: string; chosen: boolean; onChoose: () => void; onClose: () => void }) {
  const restoreRun = useStudio((s) => s.restoreRun);
  const deleteRun = useStudio((s) => s.deleteRun);
  const pinRun = useStudio((s) => s.pinRun);
  const noteRun = useStudio((s) => s.noteRun);
  const current = useStudio((s) => JSON.stringify(s.recipe) === JSON.stringify(run.recipe));
  const [editing, setEditing] = useState(false);
  const title = run.outcome === "stopped" ? `${label}, stopped` : run.outcome === "saved" ? `${label}, saved` : label;
  const remarks = [current ? "Current recipe" : "", run.note].filter(Boolean).join(" · ");
  return (
    <article className="run" aria-label={`${title}, ${when(run.time)}`}>
      <input type="checkbox" className="tick" aria-label={`Select ${title}, ${when(run.time)}`} checked={chosen} onChange={onChoose} />
      <div className="m">{title}{run.pinned && <><Icon name="pin" small /><span className="vh">pinned</span></>}</div>
      <span className="t">{when(run.time)}</span>
      <p className="d">{run.summary}<br />{run.recipeHash && <span className="num muted">{shortHash(run.recipeHash)}</span>}{run.recipeHash && remarks && " · "}{remarks}<Numbers run={run} /></p>
      <span className="sp"><Spark values={run.alphas} /></span>
      {editing && (
        <form className="note" onSubmit={(event) => { event.preventDefault(); noteRun(run.id, String(new FormData(event.currentTarget).get("note") ?? "")); setEditing(false); }}>
          {/* The field was asked for by the button just pressed. */}
          {/* eslint-disable-next-line jsx-a11y/no-autofocus */}
          <span className="input grow"><input name="note" aria-label="Note" defaultValue={run.note} autoFocus /></span><button type="submit" className="btn s">Keep note</button>
        </form>
      )}
      <span className="acts">
        <button type="button" className="btn ghost s" disabled={current} onClick={() => { restoreRun(run.id); onClose(); }}>Restore</button>
        <button type="button" className="btn ghost s" aria-expanded={editing} onClick={() => setEditing(!editing)}>Note</button>
        <button type="button" className="btn ghost s" aria-pressed={run.pinned} onClick={() => pinRun(run.id)}>{run.pinned ? "Unpin" : "Pin"}</button>
        <button type="button" className="btn ghost s" onClick={() => deleteRun(run.id)}>Delete</button>
      </span>
    </article>
  );
}

/** Accuracy and length of the latest evaluation. */
function Numbers({ run }: { run: RunRecord }) {
  const score = run.scores?.[0];
  if (!score) return null;
  return <><br /><span className="num">{percent(score.summary.accuracy.mean, 1)} · {fixed(score.summary.length.mean, 1)} tokens</span> on {plural(score.summary.problems, "problem")}, {samplingWords(score.options)}</>;
}

/** Options and α that two runs do not share. */
function Comparison({ left, right, label }: { left: RunRecord; right: RunRecord; label: (run: RunRecord) => string }) {
  const keys = [...new Set([...Object.keys(left.recipe.params), ...Object.keys(right.recipe.params)])];
  const rows: [string, string, string][] = [["method", label(left), label(right)]];
  for (const key of keys) {
    const [a, b] = [left.recipe.params[key], right.recipe.params[key]];
    if (a !== b) rows.push([key, a === undefined ? "–" : String(a), b === undefined ? "–" : String(b)]);
  }
  const ends = (run: RunRecord): string => (run.alphas.length === 0 ? "–" : `${alpha(Math.min(...run.alphas))}–${alpha(Math.max(...run.alphas))}`);
  const [scoreA, scoreB] = [left.scores?.[0], right.scores?.[0]];
  if (scoreA || scoreB) {
    const of = (score: typeof scoreA, text: (s: NonNullable<typeof scoreA>) => string): string => (score ? text(score) : "–");
    rows.push(["accuracy", of(scoreA, (s) => percent(s.summary.accuracy.mean, 1)), of(scoreB, (s) => percent(s.summary.accuracy.mean, 1))]);
    rows.push(["mean tokens", of(scoreA, (s) => fixed(s.summary.length.mean, 1)), of(scoreB, (s) => fixed(s.summary.length.mean, 1))]);
    if (scoreA?.set !== scoreB?.set || samplingWords(scoreA?.options ?? GREEDY) !== samplingWords(scoreB?.options ?? GREEDY)) rows.push(["evaluated on", of(scoreA, told), of(scoreB, told)]);
  }
  rows.push(["α", ends(left), ends(right)]);
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
