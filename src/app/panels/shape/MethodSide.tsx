import { useId, useRef, useState, type ReactNode } from "react";
import { useStudio, useStudioStore } from "../../state/useStudio";
import type { ParamSpec, NumberSpec } from "../../../core/params";
import type { MethodInfo } from "../../../engine/api";
import type { ParamValue, Recipe } from "../../../core/recipe";
import { meanOf } from "../../charts/axes";
import { duration } from "../../ui/format";
import { Icon, type IconName } from "../../ui/icons";
import { Select } from "../../ui/Select";
import { ModelWeights } from "./ModelWeights";
import { CalibrationGroup } from "./CalibrationGroup";
import { comboOf, methodOptions } from "./methodList";
import { Line, NumberBox, ParamField, useNumberBox } from "./ParamField";
import { RecipeDialog } from "./RecipeDialog";
import { TensorsGroup } from "./TensorsGroup";
import { ThenStages } from "./ThenStages";
import { canVary, variedPlaces } from "./varying";
import { VaryField } from "./VaryField";
import { useHistoryDepth } from "../../state/useHistoryDepth";

type Entry = [name: string, spec: ParamSpec];

/** Method, its options in two groups (at once, needs a pass), the rest folded, presets and the recipe. */
export function MethodSide() {
  const methods = useStudio((s) => s.methods);
  const recipe = useStudio((s) => s.recipe);
  const setMethod = useStudio((s) => s.setMethod);
  const measured = useStudio((s) => s.measured);
  const resetAll = useStudio((s) => s.resetAll);
  const busy = useStudio((s) => s.measuring !== undefined);
  const store = useStudioStore();
  const { past, future } = useHistoryDepth(store);
  const undo = useStudio((s) => s.undo);
  const redo = useStudio((s) => s.redo);
  const { combos, families } = useStudio((s) => s.postprocesses);
  const openDrawer = useStudio((s) => s.openDrawer);
  const [dialog, setDialog] = useState(false);
  const recipeButton = useRef<HTMLButtonElement>(null);
  const method = methods.find((m) => m.id === recipe?.method);
  if (!recipe || !method) return <div className="side-head"><h2>Method</h2></div>;

  const entries = Object.entries(method.params);
  const front = (effect: ParamSpec["effect"]): Entry[] => entries.filter(([, s]) => !s.advanced && s.effect === effect);
  const rest = entries.filter(([, s]) => s.advanced || s.effect === "write");
  const changed = (list: Entry[]) => list.filter(([name, s]) => (recipe.params[name] ?? s.default) !== s.default).length;
  const restChanged = changed(rest);
  return (
    <>
      <div className="side-head">
        <div className="row between">
          <h2>Method</h2>
          <span className="row gap-1">
            <button type="button" className="btn icon s" aria-label="Undo" disabled={past === 0} onClick={undo}><Icon name="undo" small /></button>
            <button type="button" className="btn icon s" aria-label="Redo" disabled={future === 0} onClick={redo}><Icon name="redo" small /></button>
          </span>
        </div>
        <div className="row method-select">
          <Select label="Method" width="100%" disabled={busy} value={comboOf(recipe, combos)?.id ?? method.id} onChange={(id) => void setMethod(id)} options={methodOptions(methods, combos, families, recipe.models.length)} />
        </div>
        <p className="tiny muted method-summary">{method.summary} <button type="button" className="linklike" onClick={() => openDrawer("methods")}>About the methods</button></p>
      </div>
      <div className="side-body" key={method.id}>
        <ModelWeights method={method} />
        <Group icon="bolt" title="Shown at once" note="no GPU work" method={method} recipe={recipe} entries={front("at-once")} />
        <Group icon="swap" title="Needs a new pass" note={measured ? `the last took ${duration(measured.elapsedMs)}` : "reads the weights again"} method={method} recipe={recipe} entries={front("pass")} />
        <ThenStages />
        <CalibrationGroup method={method} />
        <TensorsGroup />
        {rest.length > 0 && (
          <details>
            <summary>
              <Icon name="chevronRight" small className="chev" />
              All options<span className="muted">{rest.length} more, {restChanged === 0 ? "all at their defaults" : `${restChanged} changed`}</span>
            </summary>
            <div className="stack more-options">
              <SubGroup title="Shown at once" method={method} recipe={recipe} entries={rest.filter(([, s]) => s.effect === "at-once")} />
              <SubGroup title="Needs a new pass" method={method} recipe={recipe} entries={rest.filter(([, s]) => s.effect === "pass")} />
              <SubGroup title="Changes only the files" method={method} recipe={recipe} entries={rest.filter(([, s]) => s.effect === "write")} />
            </div>
          </details>
        )}
        <p className="tiny muted">
          <code className="formula">{method.formula}</code>
          <br />
          Source: {/^https?:/.test(method.source) ? <a href={method.source} target="_blank" rel="noreferrer">{method.source.replace(/^https?:\/\/(www\.)?/, "")}</a> : method.source}
        </p>
      </div>
      <div className="side-foot">
        <Preset method={method} recipe={recipe} />
        <button type="button" className="btn s ghost" disabled={changed(entries) === 0 && variedPlaces(recipe, method).length === 0} onClick={resetAll}>Reset all</button>
        <button type="button" className="btn s" ref={recipeButton} onClick={() => setDialog(true)}><Icon name="copy" small />Recipe</button>
      </div>
      <RecipeDialog open={dialog} onClose={() => setDialog(false)} returnTo={recipeButton} />
    </>
  );
}

interface GroupProps {
  title: string;
  method: MethodInfo;
  recipe: Recipe;
  entries: Entry[];
}

function Group({ icon, note, title, ...rest }: GroupProps & { icon: IconName; note: string }) {
  if (rest.entries.length === 0) return null;
  return (
    <section className="group" aria-label={title}>
      <div className="gh"><Icon name={icon} small />{title}<span className="tiny">{note}</span></div>
      <Fields {...rest} />
    </section>
  );
}

function SubGroup({ title, ...rest }: GroupProps) {
  if (rest.entries.length === 0) return null;
  return (
    <section className="stack" aria-label={`${title}, all options`}>
      <h3 className="over">{title}</h3>
      <Fields {...rest} />
    </section>
  );
}

/** The same object for the same name, so that what depends on it is worked out once. */
const places = new Map<string, { param: string }>();
function placeOf(param: string): { param: string } {
  let place = places.get(param);
  if (!place) places.set(param, (place = { param }));
  return place;
}

function Fields({ recipe, entries }: Omit<GroupProps, "title">) {
  const setParam = useStudio((s) => s.setParam);
  const resetParam = useStudio((s) => s.resetParam);
  const expert = useStudio((s) => s.shape?.experts[s.expert]);
  const inForce: Record<string, number | undefined> = { theta: expert?.theta, outsideT: expert?.outsideAlpha, r: meanOf(expert?.layers.map((row) => row.kept) ?? []) };
  const names = entries.map(([name]) => name);
  // Number of inputs and their length are one thought: N × length, on one line.
  const pair = names.includes("N") && names.includes("len");
  return (
    <>
      {entries.map(([name, spec]) => {
        if (pair && name === "len") return null;
        if (pair && name === "N") return <InputsField key={name} params={recipe.params} specs={Object.fromEntries(entries)} />;
        const value = recipe.params[name] ?? spec.default;
        const field = (extra?: ReactNode) => <ParamField key={name} spec={spec} value={value} onChange={(v) => setParam(name, v)} onReset={() => resetParam(name)} extra={extra} {...(inForce[name] === undefined ? {} : { inForce: inForce[name] })} />;
        if (!canVary(spec)) return field();
        return <VaryField key={name} label={spec.label} spec={spec} place={placeOf(name)} plain={typeof value === "number" ? value : (inForce[name] ?? spec.min)}>{field}</VaryField>;
      })}
    </>
  );
}

/** Number of random sequences × their length. */
function InputsField({ params, specs }: { params: Record<string, ParamValue>; specs: Record<string, ParamSpec> }) {
  const setParam = useStudio((s) => s.setParam);
  const resetParam = useStudio((s) => s.resetParam);
  const [n, len] = [specs["N"] as NumberSpec, specs["len"] as NumberSpec];
  const [nId, lenId] = [useId(), useId()];
  const value = (name: string, spec: NumberSpec) => Number(params[name] ?? spec.default);
  const nBox = useNumberBox(n, value("N", n), (v) => setParam("N", v));
  const lenBox = useNumberBox(len, value("len", len), (v) => setParam("len", v));
  const error = nBox.error ? `${n.label}: ${nBox.error}` : lenBox.error ? `${len.label}: ${lenBox.error}` : undefined;
  const changed = value("N", n) !== n.default || value("len", len) !== len.default || error !== undefined;
  const reset = () => {
    nBox.settle();
    lenBox.settle();
    resetParam("N");
    resetParam("len");
  };
  return (
    <Line label={n.label} help="N × length" changed={changed} onReset={reset} error={error} errorId={nBox.error ? nId : lenId}>
      <NumberBox label={n.label} errorId={nId} width={44} {...nBox} />
      <span className="muted" aria-hidden="true">×</span>
      <NumberBox label={len.label} errorId={lenId} width={52} {...lenBox} />
    </Line>
  );
}

/** Name of the preset the options agree with, and a list of all of them. */
function Preset({ method, recipe }: { method: MethodInfo; recipe: Recipe }) {
  const applyPreset = useStudio((s) => s.applyPreset);
  if (method.presets.length === 0) return <span className="grow" />;
  const varies = variedPlaces(recipe, method).length > 0;
  const current = varies ? undefined : method.presets.find((p) => Object.entries(method.params).every(([name, spec]) => (recipe.params[name] ?? spec.default) === (p.params[name] ?? spec.default)));
  const untouched = !varies && Object.entries(method.params).every(([name, spec]) => (recipe.params[name] ?? spec.default) === spec.default);
  const options = [...(current ? [] : [{ value: "", label: untouched ? "defaults" : "your own" }]), ...method.presets.map((p) => ({ value: p.id, label: p.label }))];
  return (
    <span className="grow row small preset">
      Preset
      <Select small label="Preset" width="100%" value={current?.id ?? ""} options={options} onChange={(id) => id !== "" && applyPreset(id)} />
    </span>
  );
}
