import { useEffect, useId, useState } from "react";
import type { TensorChoice } from "../../../core/recipe";
import { fitsPattern, isChosen } from "../../../core/tensorChoice";
import { useStudio } from "../../state/useStudio";
import { count } from "../../ui/format";
import { Icon } from "../../ui/icons";
import { useTensorNames } from "./useTensors";

const KEYS = [
  { key: "include", label: "Merge only", help: "names that fit; all when empty" },
  { key: "exclude", label: "Leave to the base", help: "names that fit" },
] as const;

const patternsIn = (text: string): string[] => text.split(/[\s,;]+/).filter((p) => p !== "");

/** Which tensors are merged, by patterns of their names, with how many fit. */
export function TensorsGroup() {
  const tensors = useStudio((s) => s.recipe?.tensors);
  const names = useTensorNames();
  if (names.length === 0 && !tensors) return null;
  const merged = names.filter((name) => isChosen(tensors ?? {}, name)).length;
  return (
    <details className="group-fold" open={tensors !== undefined}>
      <summary>
        <Icon name="chevronRight" small className="chev" />
        Tensors<span className="muted">{merged === names.length ? `all ${count(names.length)} are merged` : `${count(merged)} of ${count(names.length)} merged, ${count(names.length - merged)} stay the base’s`}</span>
      </summary>
      <div className="stack more-options">
        {KEYS.map((field) => <Patterns key={field.key} field={field} choice={tensors ?? {}} names={names} />)}
        <p className="tiny muted">A pattern is a whole name, in which * stands for any text, such as <code>*.mlp.*</code> or <code>lm_head*</code>.</p>
      </div>
    </details>
  );
}

function Patterns({ field, choice, names }: { field: (typeof KEYS)[number]; choice: TensorChoice; names: readonly string[] }) {
  const { key, label, help } = field;
  const setTensors = useStudio((s) => s.setTensors);
  const value = choice[key] ?? [];
  const [text, setText] = useState(() => value.join(", "));
  const [typing, setTyping] = useState(false);
  const [id, noteId] = [useId(), useId()];
  const given = value.join(", ");
  useEffect(() => {
    if (!typing) setText(given);
  }, [given, typing]);
  const idle = patternsIn(text).filter((p) => !names.some((name) => fitsPattern(p, name)));
  const change = (next: string) => {
    setTyping(true);
    setText(next);
    const patterns = patternsIn(next);
    // A pattern that fits nothing is still being typed.
    if (patterns.some((p) => !names.some((name) => fitsPattern(p, name)))) return;
    const { [key]: _, ...rest } = choice;
    const whole = { ...rest, ...(patterns.length > 0 ? { [key]: patterns } : {}) };
    setTensors(Object.keys(whole).length > 0 ? whole : undefined);
  };
  const fits = names.filter((name) => patternsIn(text).some((p) => fitsPattern(p, name))).length;
  return (
    <div className="field">
      <label htmlFor={id} className="lab">{label}<small className="muted">{help}</small></label>
      <input id={id} className={idle.length > 0 ? "input bad" : "input"} aria-invalid={idle.length > 0} aria-describedby={noteId} autoComplete="off" spellCheck={false} value={text} onChange={(event) => change(event.target.value)} onBlur={() => setTyping(idle.length > 0)} />
      <span className={idle.length > 0 ? "help bad-help" : "help"} id={noteId} aria-live="polite">
        {idle.length > 0 ? `${idle.join(", ")} ${idle.length === 1 ? "fits" : "fit"} no tensor.` : text.trim() === "" ? "No pattern." : `${count(fits)} of ${count(names.length)} names fit.`}
      </span>
    </div>
  );
}
