import { useEffect, useId, useState, type ReactNode } from "react";
import type { ChoiceSpec, NumberOrWordSpec, NumberSpec, ParamSpec } from "../../../core/params";
import type { ParamValue } from "../../../core/recipe";
import { Icon } from "../../ui/icons";
import { Select } from "../../ui/Select";
import { hasSlider, numberText, parseNumber, sliderPercent, sliderStep } from "./paramText";

interface FieldProps<S> {
  spec: S;
  value: ParamValue;
  onChange(value: ParamValue): void;
  onReset(): void;
  /** What the chosen word amounts to now; a fixed value starts there. */
  inForce?: number;
  /** Stands beside the control. */
  extra?: ReactNode;
}

/** The control of one option, drawn from its spec. */
export function ParamField({ spec, value, onChange, onReset, inForce, extra }: FieldProps<ParamSpec>) {
  switch (spec.kind) {
    case "number":
      return hasSlider(spec) ? <SliderField spec={spec} value={value} onChange={onChange} onReset={onReset} extra={extra} /> : <BoxField spec={spec} value={value} onChange={onChange} onReset={onReset} extra={extra} />;
    case "choice":
      return <ChoiceField spec={spec} value={value} onChange={onChange} onReset={onReset} />;
    case "flag":
      return (
        <Line label={spec.label} help={spec.help} changed={value !== spec.default} onReset={onReset}>
          <button type="button" role="switch" aria-checked={value === true} aria-label={spec.label} className={value === true ? "switch on" : "switch"} onClick={() => onChange(value !== true)} />
        </Line>
      );
    case "number-or-word":
      return <WordField spec={spec} value={value} onChange={onChange} onReset={onReset} inForce={inForce} extra={extra} />;
  }
}

/** Label with its help at the left, the control at the right. */
export function Line({ label, help, changed, onReset, error, errorId, children }: { label: string; help?: string; changed?: boolean; onReset?: () => void; error?: string; errorId?: string; children: ReactNode }) {
  return (
    <div className="field">
      <div className="fieldline">
        <span className="lab">{label}{help && <small>{help}</small>}</span>
        <span className="row gap-1">
          {changed && onReset && <Reset label={label} onReset={onReset} />}
          {children}
        </span>
      </div>
      {error && <span className="help bad-help" id={errorId} role="alert">{error}</span>}
    </div>
  );
}

function Reset({ label, onReset }: { label: string; onReset: () => void }) {
  return <button type="button" className="btn icon s" aria-label={`Reset ${label} to its default`} onClick={onReset}><Icon name="undo" small /></button>;
}

/** A number box keeps what is typed; only a valid number reaches the recipe. */
export function useNumberBox(spec: NumberSpec | NumberOrWordSpec, value: number, onChange: (value: number) => void) {
  const [text, setText] = useState(() => numberText(value, spec));
  const [error, setError] = useState<string>();
  const [typing, setTyping] = useState(false);
  useEffect(() => {
    // A change from elsewhere (slider, undo, reset) replaces the text; one's own typing does not.
    if (!typing) setText(numberText(value, spec));
  }, [value, spec, typing]);
  const change = (next: string) => {
    setTyping(true);
    setText(next);
    const parsed = parseNumber(next, spec);
    setError(parsed.ok ? undefined : parsed.sentence);
    if (parsed.ok && parsed.value !== value) onChange(parsed.value);
  };
  const leave = () => {
    const parsed = parseNumber(text, spec);
    // An invalid text stays, with its sentence, until it is mended or something else sets the value.
    if (parsed.ok) setTyping(false);
  };
  /** Forget what is typed: the value is being set from elsewhere. */
  const settle = () => {
    setTyping(false);
    setError(undefined);
  };
  return { text, error, change, leave, settle };
}

export function NumberBox({ label, text, error, errorId, change, leave, width }: { label: string; text: string; error: string | undefined; errorId: string; change(text: string): void; leave(): void; width?: number }) {
  return (
    <input
      className={error ? "input n bad" : "input n"}
      style={width === undefined ? undefined : { width }}
      inputMode="decimal"
      autoComplete="off"
      spellCheck={false}
      aria-label={label}
      aria-invalid={error !== undefined}
      aria-describedby={error ? errorId : undefined}
      value={text}
      onChange={(event) => change(event.target.value)}
      onBlur={leave}
    />
  );
}

function BoxField({ spec, value, onChange, onReset, extra }: FieldProps<NumberSpec>) {
  const errorId = useId();
  const box = useNumberBox(spec, Number(value), onChange);
  const reset = () => { box.settle(); onReset(); };
  return (
    <Line label={spec.label} help={spec.help} changed={value !== spec.default || box.error !== undefined} onReset={reset} error={box.error} errorId={errorId}>
      <NumberBox label={spec.label} errorId={errorId} {...box} />
      {extra}
    </Line>
  );
}

function SliderField({ spec, value, onChange, onReset, extra }: FieldProps<NumberSpec>) {
  const errorId = useId();
  const number = Number(value);
  const box = useNumberBox(spec, number, onChange);
  const reset = () => { box.settle(); onReset(); };
  return (
    <div className="field">
      <span className="lab">
        {spec.label}
        <span className="val row gap-1">
          {(value !== spec.default || box.error !== undefined) && <Reset label={spec.label} onReset={reset} />}
          <NumberBox label={spec.label} errorId={errorId} {...box} />
          {extra}
        </span>
      </span>
      <Slider label={spec.label} spec={spec} value={number} mark={spec.default} onChange={(next) => { box.settle(); onChange(next); }} />
      {box.error ? <span className="help bad-help" id={errorId} role="alert">{box.error}</span> : <span className="help">{spec.help}</span>}
    </div>
  );
}

/** A native range, drawn as track, fill, thumb and a tick at the default. */
function Slider({ label, spec, value, mark, onChange }: { label: string; spec: NumberSpec | NumberOrWordSpec; value: number; mark: number | undefined; onChange(value: number): void }) {
  const at = sliderPercent(value, spec);
  return (
    <span className="slider">
      <input type="range" aria-label={`${label}, slider`} min={spec.min} max={spec.max} step={sliderStep(spec)} value={value} onChange={(event) => onChange(Number(event.target.value))} />
      <span className="track" aria-hidden="true" />
      <span className="fill" aria-hidden="true" style={{ width: `${at}%` }} />
      {mark !== undefined && <span className="def" aria-hidden="true" style={{ left: `${sliderPercent(mark, spec)}%` }} />}
      <span className="thumb" aria-hidden="true" style={{ left: `${at}%` }} />
    </span>
  );
}

/** A few short words stand side by side; more of them fold into a list. */
const fitsSegment = (labels: readonly string[]): boolean => labels.length <= 3 && labels.join("").length <= 18;

function ChoiceField({ spec, value, onChange, onReset }: FieldProps<ChoiceSpec>) {
  const changed = value !== spec.default;
  return (
    <Line label={spec.label} help={spec.help} changed={changed} onReset={onReset}>
      {fitsSegment(spec.options.map((o) => o.label)) ? (
        <Segment label={spec.label} value={String(value)} options={spec.options} onChange={onChange} />
      ) : (
        <Select label={spec.label} width={changed ? 118 : 132} value={String(value)} options={spec.options} onChange={onChange} />
      )}
    </Line>
  );
}

export function Segment({ label, value, options, onChange }: { label: string; value: string; options: readonly { value: string; label: string }[]; onChange(value: string): void }) {
  return (
    <span className="seg" role="group" aria-label={label}>
      {options.map((o) => (
        <button key={o.value} type="button" aria-pressed={o.value === value} onClick={() => onChange(o.value)}>
          {o.label}
        </button>
      ))}
    </span>
  );
}

const FIXED = "\0fixed";

/** One of a few words, or a number of one's own. */
function WordField({ spec, value, onChange, onReset, inForce, extra }: FieldProps<NumberOrWordSpec>) {
  const errorId = useId();
  const fixed = typeof value === "number";
  const start = typeof spec.default === "number" ? spec.default : (inForce ?? spec.min + (spec.max - spec.min) / 5);
  const number = fixed ? value : Math.min(spec.max, Math.max(spec.min, Number(start.toPrecision(2))));
  const box = useNumberBox(spec, number, onChange);
  const options = [...spec.words, { value: FIXED, label: "Fixed" }];
  const choose = (next: string) => { box.settle(); onChange(next === FIXED ? number : next); };
  const reset = () => { box.settle(); onReset(); };
  const changed = value !== spec.default || (fixed && box.error !== undefined);
  const current = fixed ? FIXED : String(value);
  return (
    <div className="field">
      <Line label={spec.label} help={spec.help} changed={changed} onReset={reset}>
        {fitsSegment(options.map((o) => o.label)) ? <Segment label={spec.label} value={current} options={options} onChange={choose} /> : <Select label={spec.label} width={changed ? 118 : 132} value={current} options={options} onChange={choose} />}
        {extra}
      </Line>
      {fixed && (
        <div className="fixed-line">
          <Slider label={spec.label} spec={spec} value={number} mark={typeof spec.default === "number" ? spec.default : undefined} onChange={(next) => { box.settle(); onChange(next); }} />
          <NumberBox label={`${spec.label}, fixed value`} errorId={errorId} {...box} />
        </div>
      )}
      {fixed && box.error && <span className="help bad-help" id={errorId} role="alert">{box.error}</span>}
    </div>
  );
}
