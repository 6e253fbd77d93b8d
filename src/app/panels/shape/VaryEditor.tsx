import { useEffect, useId, useRef, useState } from "react";
import type { Varying } from "../../../core/recipe";
import type { VaryPlace } from "../../state/types";
import { useStudio } from "../../state/useStudio";
import { count, plural } from "../../ui/format";
import { Icon } from "../../ui/icons";
import { Select } from "../../ui/Select";
import { NumberBox, useNumberBox } from "./ParamField";
import { converted, FILTERS, listText, modeOf, parseList, ruleCounts, varyingAt, type Mode, type Rule, type VarySpec } from "./varying";
import { useLayers, useTensorNames } from "./useTensors";

interface Props {
  id: string;
  label: string;
  spec: VarySpec;
  place: VaryPlace;
  plain: number;
  onClose(): void;
}

const SAME = "same";
const ALL = "all";

/** One number, a list over depth, a number per layer, or rules by name; for all models, or for one. */
export function VaryEditor({ id, label, spec, place, plain, onClose }: Props) {
  const recipe = useStudio((s) => s.recipe)!;
  const setVarying = useStudio((s) => s.setVarying);
  const layers = useLayers();
  const [whose, setWhose] = useState(ALL);
  const box = useRef<HTMLElement>(null);
  useEffect(() => box.current?.querySelector<HTMLElement>("select, input")?.focus(), []);
  const byModel = place.param !== undefined && place.model === undefined && spec.varies === "model" && recipe.models.length > 1;
  const at: VaryPlace = byModel && whose !== ALL ? { param: place.param!, model: Number(whose) } : place;
  const own = at.param !== undefined && at.model !== undefined;
  const value = varyingAt(recipe, at);
  const mode = value === undefined ? (own ? SAME : "number") : modeOf(value, layers);
  const set = (next: Varying | undefined) => setVarying(at, next);
  const choose = (to: string) => {
    if (to === SAME || (to === "number" && !own)) set(undefined);
    // A model's own setting begins as what it has with all others.
    else set(converted(value ?? (own ? recipe.vary?.[at.param!] : undefined), to as Mode, layers, plain));
  };
  const modes = [
    ...(own ? [{ value: SAME, label: "As all models" }] : []),
    { value: "number", label: "One number" },
    { value: "list", label: "Over depth" },
    ...(layers > 2 ? [{ value: "table", label: "Per layer" }] : []),
    { value: "rules", label: "By tensor" },
  ];
  const close = (event: { key: string; stopPropagation(): void }) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    onClose();
  };
  return (
    // Esc closes from every control inside; the section itself takes no input.
    // eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions
    <section className="vary" id={id} ref={box} aria-label={`${label}, by layer or tensor`} onKeyDown={close}>
      <div className="row between">
        <span className="row gap-1">
          {byModel && <Select small width={104} label={`${label} of`} value={whose} options={[{ value: ALL, label: "All models" }, ...recipe.models.map((m, i) => ({ value: String(i), label: m.name }))]} onChange={setWhose} />}
          <Select small width={116} label={`${label}, form`} value={mode} options={modes} onChange={choose} />
        </span>
        <button type="button" className="btn icon s" aria-label={`Close ${label}, by layer or tensor`} onClick={onClose}><Icon name="close" small /></button>
      </div>
      {mode === "number" && own && <One key={whose} label={label} spec={spec} value={value as number} onChange={set} />}
      {mode === "number" && !own && <p className="tiny muted">The same for every tensor.</p>}
      {mode === "list" && <List key={whose} label={label} spec={spec} value={value as number[]} onChange={set} hint={(n) => (n === 1 ? "One number for all layers." : `${plural(n, "number")} from the first layer to the last, straight lines between them.`)} />}
      {mode === "table" && <Table key={whose} spec={spec} value={value as number[]} onChange={set} />}
      {mode === "rules" && <Rules key={whose} label={label} spec={spec} value={value as Rule[]} weight={place.param === undefined} plain={plain} onChange={set} />}
    </section>
  );
}

function One({ label, spec, value, onChange }: { label: string; spec: VarySpec; value: number; onChange(value: number): void }) {
  const errorId = useId();
  const field = useNumberBox(spec, value, onChange);
  return (
    <>
      <NumberBox label={`${label}, of this model`} errorId={errorId} {...field} />
      {field.error && <span className="help bad-help" id={errorId} role="alert">{field.error}</span>}
    </>
  );
}

/** Numbers behind each other in one box; only what can be read reaches the recipe. */
function List({ label, spec, value, hint, onChange }: { label: string; spec: VarySpec; value: number | number[]; hint?(n: number): string; onChange(value: number[]): void }) {
  const [text, setText] = useState(() => listText(value));
  const [typing, setTyping] = useState(false);
  const [error, setError] = useState<string>();
  const errorId = useId();
  useEffect(() => {
    if (!typing) setText(listText(value));
  }, [value, typing]);
  const change = (next: string) => {
    setTyping(true);
    setText(next);
    const read = parseList(next, spec);
    setError(read.ok ? undefined : read.sentence);
    if (read.ok) onChange(read.value);
  };
  return (
    <>
      <input className={error ? "input bad" : "input"} aria-label={`${label}, numbers over depth`} aria-invalid={error !== undefined} aria-describedby={error || hint ? errorId : undefined} autoComplete="off" spellCheck={false} value={text} onChange={(event) => change(event.target.value)} onBlur={() => setTyping(error !== undefined)} />
      {(error || hint) && <span className={error ? "help bad-help" : "help"} id={errorId} role={error ? "alert" : undefined}>{error ?? hint?.(typeof value === "number" ? 1 : value.length)}</span>}
    </>
  );
}

/** A box for each layer. */
function Table({ spec, value, onChange }: { spec: VarySpec; value: number[]; onChange(value: number[]): void }) {
  const setLayer = useStudio((s) => s.setLayer);
  return (
    <div className="vary-table" role="group" aria-label="A number for each layer">
      {value.map((number, layer) => <Cell key={layer} spec={spec} layer={layer} value={number} onFocus={() => setLayer(layer)} onChange={(next) => onChange(value.map((v, i) => (i === layer ? next : v)))} />)}
    </div>
  );
}

function Cell({ spec, layer, value, onChange, onFocus }: { spec: VarySpec; layer: number; value: number; onChange(value: number): void; onFocus(): void }) {
  const errorId = useId();
  const field = useNumberBox(spec, value, onChange);
  return (
    <span className="vary-cell" onFocus={onFocus}>
      <span className="muted num" aria-hidden="true">{layer}</span>
      <NumberBox label={`Layer ${layer}`} errorId={errorId} {...field} />
      {field.error && <span className="help bad-help" id={errorId} role="alert">{field.error}</span>}
    </span>
  );
}

const NAMED = "name";

/** Rules in their order, of which the first that fits a name holds. */
function Rules({ label, spec, value, weight, plain, onChange }: { label: string; spec: VarySpec; value: Rule[]; weight: boolean; plain: number; onChange(value: Rule[]): void }) {
  const names = useTensorNames();
  const counts = ruleCounts(value, names);
  const replace = (at: number, rule: Rule) => onChange(value.map((r, i) => (i === at ? rule : r)));
  const others = value.findIndex((r) => r.filter === undefined || r.filter === "*");
  const add = () => {
    const free = FILTERS.find((f) => !value.some((r) => r.filter === f.value));
    const rule: Rule = { filter: free?.value ?? ".0.", value: plain };
    onChange(others < 0 ? [...value, rule] : [...value.slice(0, others), rule, ...value.slice(others)]);
  };
  return (
    <div className="stack vary-rules">
      {value.map((rule, i) => {
        const open = rule.filter === undefined || rule.filter === "*";
        const known = FILTERS.some((f) => f.value === rule.filter);
        return (
          <div key={i} className="stack">
            <div className="row between">
              <span className="row gap-1">
                {open ? <b className="small">{value.length > 1 ? "Others" : "Every tensor"}</b> : (
                  <Select small width={104} label={`Rule ${i + 1}: tensors`} value={known ? rule.filter! : NAMED} options={[...FILTERS, { value: NAMED, label: "Name holds" }]} onChange={(next) => replace(i, { ...rule, filter: next === NAMED ? "layers.0." : next })} />
                )}
                {!open && !known && <FilterBox at={i} value={rule.filter!} onChange={(filter) => replace(i, { ...rule, filter })} />}
                {names.length > 0 && <span className="tiny muted nowrap">{count(counts[i])}</span>}
              </span>
              {value.length > 1 && !(open && weight) && <button type="button" className="btn icon s" aria-label={`Remove rule ${i + 1}`} onClick={() => onChange(value.filter((_, k) => k !== i))}><Icon name="close" small /></button>}
            </div>
            <List label={`${label}, rule ${i + 1}`} spec={spec} value={rule.value} onChange={(numbers) => replace(i, { ...rule, value: numbers.length === 1 ? numbers[0]! : numbers })} />
          </div>
        );
      })}
      <span className="row gap-1">
        <button type="button" className="btn s" onClick={add}><Icon name="plus" small />Add a rule</button>
        {others < 0 && <button type="button" className="btn s ghost" onClick={() => onChange([...value, { value: plain }])}>Others</button>}
      </span>
      <p className="tiny muted">The first rule that fits a name holds; behind it the number of tensors. {others < 0 && !weight ? "The rest takes the plain number." : ""}</p>
    </div>
  );
}

function FilterBox({ at, value, onChange }: { at: number; value: string; onChange(value: string): void }) {
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  return <input className="input filter" aria-label={`Rule ${at + 1}: part of the name`} autoComplete="off" spellCheck={false} value={text} onChange={(event) => {
    setText(event.target.value);
    if (event.target.value !== "" && event.target.value !== "*") onChange(event.target.value);
  }} />;
}
