import { useState } from "react";
import type { RowChoice } from "../../../core/recipe";
import type { CheckRow } from "../../../engine/api";
import { plural } from "../../ui/format";
import { Select } from "../../ui/Select";
import { useStudio } from "../../state/useStudio";

type Clash = NonNullable<CheckRow["clashes"]>[number];

const ROWS: { value: RowChoice; label: string }[] = [{ value: "mix", label: "mixed" }, { value: "base", label: "base, unmixed" }, { value: "finetuned", label: "fine-tuned, unmixed" }];
/** More ids than this are folded. */
const SHOWN = 12;

/** Ids that mean one token in the base and another in the fine-tuned model, and what the row of each takes. */
export function Clashes({ clashes, frozen }: { clashes: readonly Clash[]; frozen: boolean }) {
  const [all, setAll] = useState(false);
  const shown = all ? clashes : clashes.slice(0, SHOWN);
  const rest = clashes.length - shown.length;
  return (
    <table className="dense clash-table">
      <thead><tr><th>Id</th><th>Base</th><th>Fine-tuned</th><th>Embedding row</th></tr></thead>
      <tbody>
        {shown.map((clash) => (
          <tr key={clash.id}>
            <td className="num">{clash.id}</td><td><code>{clash.base}</code></td><td><code>{clash.tuned}</code></td>
            <td>{clash.row === undefined || frozen ? <span className="muted">{frozen ? "" : "one model has no such row"}</span> : <RowSelect id={clash.id} row={clash.row} />}</td>
          </tr>
        ))}
        {rest > 0 && <tr><td colSpan={4}><button type="button" className="fold" onClick={() => setAll(true)}>Show {rest} more</button></td></tr>}
      </tbody>
    </table>
  );
}

function RowSelect({ id, row }: { id: number; row: RowChoice }) {
  const chosen = useStudio((s) => s.recipe?.reconciliation);
  const setReconciliation = useStudio((s) => s.setReconciliation);
  const choose = (next: RowChoice): void => {
    const { [id]: _, ...others } = chosen?.rows ?? {};
    // What all of them take need not be said of one.
    setReconciliation({ rows: next === chosen?.clashRows ? others : { ...others, [id]: next } });
  };
  return <Select small width={168} label={`Embedding row of id ${id}`} value={chosen ? (chosen.rows?.[id] ?? chosen.clashRows) : row} options={ROWS} onChange={(next) => choose(next as RowChoice)} />;
}

/** Names of tensors by what becomes of them. */
export function NameLists({ lists }: { lists: NonNullable<CheckRow["lists"]> }) {
  return (
    <div className="stack gap-1 name-lists">
      {lists.map(({ title, names }) => (
        <div key={title}>
          <p className="tiny muted">{plural(names.length, "tensor")} {title}</p>
          {/* A scrolling region takes focus so that the keyboard can scroll it. */}
          {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
          <div className="names" tabIndex={0} role="region" aria-label={title}><ul>{names.map((name) => <li key={name}><code>{name}</code></li>)}</ul></div>
        </div>
      ))}
    </div>
  );
}
