import { useEffect, useId, useRef, useState } from "react";
import { DEFAULT_CALIBRATION, needsCalibration } from "../../../core/calibration";
import { textName } from "../../../core/calibrationText";
import type { NumberSpec } from "../../../core/params";
import type { Calibration } from "../../../core/recipe";
import type { MethodInfo } from "../../../engine/api";
import { useStudio } from "../../state/useStudio";
import { count } from "../../ui/format";
import { Icon } from "../../ui/icons";
import { Select } from "../../ui/Select";
import { Line, ParamField } from "./ParamField";

type Draw = "samples" | "maxTokens" | "seed";
const whole = (key: Draw, label: string, help: string, min: number, max: number): NumberSpec => ({ kind: "number", label, help, effect: "pass", default: DEFAULT_CALIBRATION[key], min, max, step: 1, integer: true });
const DRAW: Record<Draw, NumberSpec> = {
  samples: whole("samples", "Texts", "drawn without replacement", 1, 10_000),
  maxTokens: whole("maxTokens", "Tokens of a text", "longer texts are cut there", 2, 32_768),
  seed: whole("seed", "Seed of the draw", "the same seed draws the same texts", 0, 4_294_967_295),
};
const PASTE = "paste";

/** The texts that activations or gradients are taken on, where the method or a stage after it asks for them. */
export function CalibrationGroup({ method }: { method: MethodInfo }) {
  const recipe = useStudio((s) => s.recipe);
  const setDraw = useStudio((s) => s.setDraw);
  const busy = useStudio((s) => s.measuring !== undefined);
  const [pasting, setPasting] = useState(false);
  if (!recipe || !needsCalibration(recipe, method)) return null;
  const calibration = recipe.calibration ?? DEFAULT_CALIBRATION;
  return (
    <section className="group" aria-label="Calibration text">
      <div className="gh"><Icon name="file" small />Calibration text<span className="tiny">needs a new pass</span></div>
      <Source calibration={calibration} busy={busy} pasting={pasting} onPaste={setPasting} />
      {pasting && <Paste onDone={() => setPasting(false)} />}
      {(Object.keys(DRAW) as Draw[]).map((key) => (
        <ParamField key={key} spec={DRAW[key]} value={calibration[key]} onChange={(value) => setDraw({ [key]: Number(value) })} onReset={() => setDraw({ [key]: DEFAULT_CALIBRATION[key] })} />
      ))}
      <Numbers calibration={calibration} baseId={recipe.base.id} />
    </section>
  );
}

function Source({ calibration, busy, pasting, onPaste }: { calibration: Calibration; busy: boolean; pasting: boolean; onPaste(open: boolean): void }) {
  const file = useStudio((s) => s.textFile);
  const field = useStudio((s) => s.textField);
  const giveTextFile = useStudio((s) => s.giveTextFile);
  const chooseTextField = useStudio((s) => s.chooseTextField);
  const takeBuiltin = useStudio((s) => s.takeBuiltinText);
  const given = calibration.source === "given";
  const here = file && given && calibration.name === textName(file, field) ? file : undefined;
  const change = (value: string): void => {
    onPaste(value === PASTE);
    if (value === "builtin") takeBuiltin();
  };
  return (
    <>
      <Line label="Source" help={given ? calibration.name : "short questions with worked answers, written for this project (CC0)"}>
        <Select small width={132} label="Source of the calibration text" disabled={busy} value={pasting ? PASTE : calibration.source} onChange={change}
          options={[{ value: "builtin", label: "Built-in" }, ...(given ? [{ value: "given", label: here ? "This text" : "Of the recipe" }] : []), { value: PASTE, label: "Paste text" }]} />
      </Line>
      {here && here.fields.length > 1 && (
        <Line label="Field" help="which part of each line is the text">
          <Select small width={132} label="Field of the file" disabled={busy} value={field} onChange={chooseTextField} options={here.fields.map((f) => ({ value: f.name, label: `${f.name} (${count(f.texts.length)})` }))} />
        </Line>
      )}
      <div className="row">
        <label className="btn s file-btn">
          <Icon name="file" small />Choose a file
          <input type="file" accept=".txt,.jsonl,.ndjson" className="vh" aria-label="Calibration text from a file" disabled={busy} onChange={(event) => {
            const [chosen] = event.target.files ?? [];
            event.target.value = "";
            onPaste(false);
            if (chosen) void giveTextFile(chosen);
          }} />
        </label>
        <span className="tiny muted">or drop a .txt or .jsonl on the page</span>
      </div>
      {given && <p className="tiny muted">The drawn texts travel with the recipe and are in the files that are written.{!here && ` There are ${count(calibration.texts?.length ?? 0)}; to draw others, give the file again.`}</p>}
    </>
  );
}

function Paste({ onDone }: { onDone(): void }) {
  const giveText = useStudio((s) => s.giveText);
  const [text, setText] = useState("");
  const id = useId();
  const box = useRef<HTMLTextAreaElement>(null);
  useEffect(() => box.current?.focus(), []);
  return (
    <div className="field">
      <label htmlFor={id} className="lab">Text<small>paragraphs between blank lines, or one text per line</small></label>
      <textarea ref={box} id={id} className="input paste-text" value={text} spellCheck={false} onChange={(event) => setText(event.target.value)} />
      <span className="row gap-1">
        <button type="button" className="btn s primary" disabled={text.trim() === ""} onClick={() => { giveText(text); onDone(); }}>Use this text</button>
        <button type="button" className="btn s ghost" onClick={onDone}>Cancel</button>
      </span>
    </div>
  );
}

/** How many tokens the base model's own tokenizer makes of the drawn texts. */
function Numbers({ calibration, baseId }: { calibration: Calibration; baseId: string | undefined }) {
  const facts = useStudio((s) => s.calibrationFacts);
  const refresh = useStudio((s) => s.refreshCalibration);
  useEffect(() => void refresh(), [refresh, calibration, baseId]);
  if (facts?.calibration !== calibration || facts.baseId !== baseId) return <p className="tiny muted">Counting tokens…</p>;
  if (!facts.value) return <p className="help bad-help" role="alert">{facts.refused}</p>;
  const { sequences, tokens, shortest, longest, median, cut, notes, examples } = facts.value;
  return (
    <>
      <p className="tiny muted">
        <b className="num">{count(tokens)}</b> tokens in <b className="num">{count(sequences)}</b> {sequences === 1 ? "text" : "texts"}: {count(shortest)} to {count(longest)} each, half of them up to {count(median)}{cut > 0 ? `; ${count(cut)} cut` : ""}.
      </p>
      {notes.map((note) => <p key={note} className="tiny muted">{note}</p>)}
      <details>
        <summary><Icon name="chevronRight" small className="chev" />The first of them</summary>
        <ul className="text-examples">
          {examples.map(({ text, tokens: length }, i) => <li key={i}><span className="tiny muted">{count(length)} tokens</span><p className="tiny">{text}</p></li>)}
        </ul>
      </details>
    </>
  );
}
