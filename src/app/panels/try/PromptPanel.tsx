import { useEffect, useState } from "react";
import { methodLabel, sameRecipe, shortName } from "../../state/contenders";
import type { ExtraColumn } from "../../state";
import { useShallow, useStudio } from "../../state/useStudio";
import { shortHash } from "../../ui/format";
import { Icon } from "../../ui/icons";
import { Select } from "../../ui/Select";
import { RunButton } from "./parts";
import { Settings } from "./Settings";

const SUGGESTED = 5;

/** The prompt, how it is answered, the prompts before it, and columns to add. */
export function PromptPanel() {
  const [prompt, setPrompt, compare, trying] = useStudio(useShallow((s) => [s.prompt, s.setPrompt, s.compare, s.trying !== undefined]));
  const [list, setList] = useState<"none" | "prompts" | "columns">("none");
  const toggle = (which: "prompts" | "columns"): void => setList(list === which ? "none" : which);
  useSuggestions();
  return (
    <section className="panel prompt" aria-label="Prompt">
      <textarea
        className="txt" aria-label="Prompt" rows={2} value={prompt} spellCheck={false} onChange={(event) => setPrompt(event.target.value)}
        onKeyDown={(event) => {
          if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
          event.preventDefault();
          void compare();
        }}
      />
      <RunButton label="Compare" disabled={prompt.trim() === ""} onRun={() => void compare()} />
      <Suggestions onChoose={setPrompt} hidden={trying} />
      <div className="set">
        <Settings />
        <span className="end">
          <button type="button" className="btn s ghost" aria-expanded={list === "prompts"} onClick={() => toggle("prompts")}><Icon name="clock" small />Prompts</button>
          <button type="button" className="btn s ghost" aria-expanded={list === "columns"} onClick={() => toggle("columns")}><Icon name="plus" small />Add a column</button>
        </span>
      </div>
      {list === "prompts" && <Prompts onChoose={(text) => { setPrompt(text); setList("none"); }} />}
      {list === "columns" && <Columns onDone={() => setList("none")} />}
    </section>
  );
}

/** The sample pair comes with problems; its prompts are what these models can answer. */
function useSuggestions(): void {
  const sample = useStudio((s) => s.models.some((m) => m.id === s.baseId && m.sample === true));
  const take = useStudio((s) => s.takeSampleProblems);
  const known = useStudio((s) => s.problemSet !== undefined);
  useEffect(() => {
    if (sample && !known) void take();
  }, [sample, known, take]);
}

function Suggestions({ onChoose, hidden }: { onChoose: (prompt: string) => void; hidden: boolean }) {
  const problems = useStudio((s) => s.problemSet?.problems);
  const prompt = useStudio((s) => s.prompt);
  if (!problems || hidden || prompt !== "") return null;
  return (
    <div className="suggestions">
      <span className="small muted">From the problems:</span>
      {problems.slice(0, SUGGESTED).map((p, i) => <button key={i} type="button" className="btn s" onClick={() => onChoose(p.prompt)}><span className="clip">{p.prompt.trim()}</span></button>)}
    </div>
  );
}

function Prompts({ onChoose }: { onChoose: (prompt: string) => void }) {
  const prompts = useStudio((s) => s.prompts);
  const forget = useStudio((s) => s.forgetPrompt);
  if (prompts.length === 0) return <p className="list small muted">No prompt was asked yet. The last 30 are kept in this browser.</p>;
  return (
    <ul className="list" aria-label="Earlier prompts">
      {prompts.map((prompt) => (
        <li key={prompt}>
          <button type="button" className="pick" onClick={() => onChoose(prompt)}><span className="clip">{prompt.trim()}</span></button>
          <button type="button" className="btn icon s" aria-label={`Forget ${prompt.trim().slice(0, 60)}`} onClick={() => forget(prompt)}><Icon name="trash" small /></button>
        </li>
      ))}
    </ul>
  );
}

function Columns({ onDone }: { onDone: () => void }) {
  const [runs, recipe, methods, models, extras, baseId, modelIds] = useStudio(useShallow((s) => [s.runs, s.recipe, s.methods, s.models, s.extraColumns, s.baseId, s.modelIds]));
  const [add, addMethod] = useStudio(useShallow((s) => [s.addColumn, s.addMethodColumn]));
  const shown = (kind: ExtraColumn["kind"], id: string): boolean => extras.some((e) => e.kind === kind && e.id === id);
  const earlier = runs.filter((run) => run.outcome !== "stopped" && !run.sweep && !sameRecipe(run.recipe, recipe) && !shown("run", run.id) && [run.recipe.base, ...run.recipe.models].every((ref) => models.some((m) => m.id === ref.id && m.state === "ready")));
  const others = models.filter((m) => m.state === "ready" && m.id !== baseId && !modelIds.includes(m.id) && !shown("model", m.id));
  const choose = (kind: "run" | "model", id: string): void => { add(kind, id); onDone(); };
  if (extras.length >= 3) return <p className="list small muted">Three columns are added already. Remove one first.</p>;
  const fitting = methods.filter((m) => m.id !== recipe?.method && modelIds.length >= m.needs.minModels && modelIds.length <= m.needs.maxModels && !shown("recipe", m.id));
  return (
    <ul className="list" aria-label="What can be a column">
      <li className="method"><Select label="Another method, with its defaults" width={260} value="" options={[{ value: "", label: "Another method, with its defaults" }, ...fitting.map((m) => ({ value: m.id, label: m.label }))]} onChange={(id) => { if (id !== "") { void addMethod(id); onDone(); } }} /></li>
      {earlier.map((run) => <li key={run.id}><button type="button" className="pick" onClick={() => choose("run", run.id)}><span className="clip">{shortName(run.recipe, recipe, methods)}</span><span className="small muted">{methodLabel(run.recipe, methods)} · {run.summary}{run.recipeHash && ` · ${shortHash(run.recipeHash)}`}</span></button></li>)}
      {earlier.length + others.length === 0 && <li className="small muted">No earlier run, no other stored model. A recipe that answers, is measured or saved becomes a run.</li>}
      {others.map((m) => <li key={m.id}><button type="button" className="pick" onClick={() => choose("model", m.id)}><span className="clip">{m.name}</span><span className="small muted">stored model</span></button></li>)}
    </ul>
  );
}
