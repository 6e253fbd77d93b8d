import { useEffect, useId, useState } from "react";
import type { NumberOrWordSpec, NumberSpec } from "../../../core/params";
import { ChartPanel } from "../../charts/ChartPanel";
import { toCsv, type Column } from "../../charts/csv";
import { TableTwin } from "../../charts/TableTwin";
import { readValues, sweepable, sweepBlocked, sweepCells, sweepFormOf } from "../../state/sweepCells";
import type { SweepAxis } from "../../state/sweepTypes";
import { useShallow, useStudio } from "../../state/useStudio";
import { count, fixed, percent, plural } from "../../ui/format";
import { Icon } from "../../ui/icons";
import { Select } from "../../ui/Select";
import { numberText } from "../shape/paramText";
import { NumberSetting } from "./parts";
import { SweepGrid, type GridCell } from "./SweepGrid";

type Numeric = NumberSpec | NumberOrWordSpec;

/** Two recipe numbers against each other: every merge of the grid is made once and asked the same. */
export function Sweep() {
  const [table, setTable] = useState(false);
  const { cells, form, specs } = useGrid();
  const fault = useStudio((s) => cells.map((c) => s.sweepFaults[c.key]).find((f) => f !== undefined));
  const [run, trying, stop, sweep, adopt, blocked] = useStudio(useShallow((s) => [s.sweepRun, s.trying, s.stopTrying, s.sweep, s.adoptCell, sweepBlocked(s)]));
  if (!form) return null;
  const of = (param: string): Numeric => specs.get(param)!;
  const down = form.down;
  const columns = columnsOf(form.over, [form.across, ...(down ? [down] : [])], specs);
  const done = cells.filter((c) => c.state === "done").length;
  const failed = cells.filter((c) => c.state === "failed").length;
  const button = trying?.kind === "sweep"
    ? <button type="button" className="btn s" disabled={trying.stopping} onClick={() => void stop()}><Icon name="close" small />{trying.stopping ? "Stopping" : "Cancel"}</button>
    : <button type="button" className="btn s" disabled={trying !== undefined || blocked !== undefined || done === cells.length} onClick={() => void sweep()}><Icon name="play" small />{done > 0 && done < cells.length ? "Fill the rest" : "Sweep"}</button>;
  return (
    <ChartPanel title="Sweep" sub={form.over === "prompt" ? "tokens of the answer" : "accuracy over tokens"} tools={button} table={table} onTable={setTable} empty={done === 0} csv={() => ({ name: "sweep.csv", text: toCsv(columns, cells.filter((c) => c.state === "done")) })}>
      <div className="stack sweep-panel">
        <Form />
        {table
          ? <TableTwin columns={columns} rows={cells.filter((c) => c.state === "done")} rowKey={(c) => `${c.row} ${c.column}`} layerOf={() => undefined} label="Sweep, all finished cells" height={306} />
          : <SweepGrid columns={form.across.values.map((v) => numberText(v, of(form.across.param)))} rows={down ? down.values.map((v) => numberText(v, of(down.param))) : [""]} cells={cells} disabled={trying !== undefined} onAdopt={(key) => void adopt(key)} />}
        <p className="tiny muted">
          Across: {of(form.across.param).label}.{down && ` Down: ${of(down.param).label}.`} {done} of {plural(cells.length, "cell")}
          {run && `, ${plural(run.made, "merge")} made, ${run.repeated} repeated`}{run && run.tensorsTaken > 0 && `, ${count(run.tensorsMade)} of ${plural(run.tensorsMade + run.tensorsTaken, "tensor")} merged anew`}{failed > 0 && `, ${failed} failed`}. {[blocked, done > 0 || blocked === undefined ? "A click adopts the recipe." : ""].filter(Boolean).join(" ")}
        </p>
        {fault !== undefined && <p className="tiny bad-help" role="alert">{fault}</p>}
      </div>
    </ChartPanel>
  );
}

function useGrid() {
  const state = useStudio(useShallow((s) => ({ sweepForm: s.sweepForm, recipe: s.recipe, methods: s.methods, problemSet: s.problemSet, prompt: s.prompt, tryForm: s.tryForm, tryFacts: s.tryFacts })));
  const [results, faults, working] = useStudio(useShallow((s) => [s.sweepResults, s.sweepFaults, s.sweepRun?.working]));
  const form = sweepFormOf(state);
  const specs = new Map(sweepable(state.methods.find((m) => m.id === state.recipe?.method)?.params ?? {}));
  const axes = form ? [form.across, ...(form.down ? [form.down] : [])] : [];
  const cells = sweepCells(state).map((cell): GridCell => {
    const result = results[cell.key];
    return {
      ...cell, accuracy: result?.accuracy, tokens: result?.tokens,
      state: result ? "done" : cell.key === working ? "working" : faults[cell.key] !== undefined ? "failed" : "waiting",
      picked: axes.every(({ param }) => state.recipe?.params[param] === cell.recipe.params[param] && state.recipe?.vary?.[param] === undefined),
      place: axes.map(({ param }) => `${specs.get(param)!.label} ${numberText(Number(cell.recipe.params[param]), specs.get(param)!)}`).join(", "),
    };
  });
  return { cells, form, specs };
}

const columnsOf = (over: "problems" | "prompt", axes: SweepAxis[], specs: Map<string, Numeric>): Column<GridCell>[] => [
  ...axes.map(({ param }): Column<GridCell> => ({ id: param, label: specs.get(param)!.label, value: (c) => Number(c.recipe.params[param]), show: (c) => numberText(Number(c.recipe.params[param]), specs.get(param)!) })),
  ...(over === "problems" ? [{ id: "accuracy", label: "Accuracy", value: (c: GridCell) => c.accuracy, show: (c: GridCell) => percent(c.accuracy, 1) }] : []),
  { id: "tokens", label: over === "problems" ? "Mean tokens" : "Tokens", value: (c) => c.tokens, show: (c) => (over === "problems" ? fixed(c.tokens, 1) : count(c.tokens)) },
];

/** Which numbers, along which values, asked what. */
function Form() {
  const [change, trying, most] = useStudio(useShallow((s) => [s.setSweepForm, s.trying !== undefined, s.problemSet?.problems.length ?? 0]));
  const { form, specs } = useGrid();
  if (!form) return null;
  const names = [...specs].map(([value, { label }]) => ({ value, label }));
  const others = (own: string | undefined) => names.map((n) => ({ ...n, disabled: n.value !== own && (n.value === form.across.param || n.value === form.down?.param) }));
  const start = (param: string): SweepAxis => {
    const spec = specs.get(param)!;
    return { param, values: [...new Set([spec.min, typeof spec.default === "number" ? spec.default : spec.min, Math.min(spec.max, spec.min + 1)])] };
  };
  return (
    <div className="sweep-form">
      <span>Across</span>
      <Select small label="Number across" value={form.across.param} options={others(form.across.param)} disabled={trying} onChange={(param) => change({ across: start(param) })} />
      <Values key={form.across.param} axis={form.across} spec={specs.get(form.across.param)!} label="Values across" disabled={trying} onChange={(values) => change({ across: { ...form.across, values } })} />
      {names.length > 1 && (
        <>
          <span>Down</span>
          <Select small label="Number down" value={form.down?.param ?? ""} options={[{ value: "", label: "Nothing" }, ...others(form.down?.param)]} disabled={trying} onChange={(param) => change({ down: param === "" ? undefined : start(param) })} />
          {form.down ? <Values key={form.down.param} axis={form.down} spec={specs.get(form.down.param)!} label="Values down" disabled={trying} onChange={(values) => change({ down: { ...form.down!, values } })} /> : <span />}
        </>
      )}
      <span>Over</span>
      <Select small label="Sweep over" value={form.over} options={[{ value: "problems", label: "The problem set" }, { value: "prompt", label: "The prompt of Compare" }]} disabled={trying} onChange={(over) => change({ over: over as "problems" | "prompt" })} />
      {form.over === "problems" && most > 0 ? <NumberSetting label="How many" value={Math.min(form.problems, most)} min={1} max={most} onChange={(problems) => change({ problems })} /> : <span />}
    </div>
  );
}

/** Values with commas between them; what cannot be read is said and changes nothing. */
function Values({ axis, spec, label, disabled, onChange }: { axis: SweepAxis; spec: Numeric; label: string; disabled: boolean; onChange: (values: number[]) => void }) {
  const errorId = useId();
  const written = axis.values.join(", ");
  const [text, setText] = useState(written);
  const [error, setError] = useState<string>();
  useEffect(() => setText(written), [written]);
  const take = (): void => {
    const read = readValues(text, spec);
    setError(typeof read === "string" ? read : undefined);
    if (typeof read !== "string" && read.join() !== axis.values.join()) onChange(read);
  };
  return (
    <span>
      <input className="input num" aria-label={label} value={text} disabled={disabled} aria-invalid={error !== undefined} aria-describedby={error ? errorId : undefined} onChange={(event) => setText(event.target.value)} onBlur={take} onKeyDown={(event) => event.key === "Enter" && take()} />
      {error && <span className="bad-help" id={errorId} role="alert">{error}</span>}
    </span>
  );
}
