import { useState } from "react";
import type { CheckRow, Preflight } from "../../../engine/api";
import { plural } from "../../ui/format";
import { Icon } from "../../ui/icons";
import { Chip, Role } from "../../ui/marks";
import { Select } from "../../ui/Select";
import { useStudio } from "../../state/useStudio";

/** More matching rows than this are folded when a blocker is the news. */
const SHOWN_WHEN_BLOCKED = 2;

/** Blocks, differs, matches; the choice sits in its row with its consequence beside it. Narrow screens stack it. */
export function CompareTable({ preflight }: { preflight: Preflight }) {
  const blocked = preflight.verdict === "blocked";
  const [open, setOpen] = useState(false);
  const rows = (verdict: CheckRow["verdict"]): CheckRow[] => preflight.rows.filter((row) => row.verdict === verdict);
  const differs = rows("differs");
  const chosen = differs.filter((row) => row.choice && !blocked);
  const plain = differs.filter((row) => !row.choice || blocked);
  const matches = rows("match");
  const shown = blocked && !open ? matches.slice(0, SHOWN_WHEN_BLOCKED) : matches;
  return (
    <div className="tablewrap">
      <table className="compare">
        <thead>
          <tr><th className="w-k">Property</th><th className="w-v"><Role of="base" /></th><th className="w-v"><Role of="tuned" /></th><th className="w-d">Verdict</th><th>What will be done</th></tr>
        </thead>
        <tbody>
          <Group title="Blocks the merge" rows={rows("block")} />
          <Group title="Differs, with a choice" rows={chosen} />
          <Group title="Differs" rows={plain} frozen={blocked} />
          <Group title="Matches" rows={shown} tight={!blocked} />
          {shown.length < matches.length && (
            <tr className="more"><td colSpan={5}><button type="button" className="fold" aria-expanded={false} onClick={() => setOpen(true)}><Icon name="chevronRight" small className="chev" />{matches.length - shown.length} more match</button></td></tr>
          )}
        </tbody>
      </table>
    </div>
  );
}

function Group({ title, rows, tight, frozen }: { title: string; rows: CheckRow[]; tight?: boolean; frozen?: boolean }) {
  if (rows.length === 0) return null;
  return (
    <>
      <tr className="gh"><td colSpan={5}>{title}</td></tr>
      {rows.map((row) => <Row key={row.id} row={row} tight={tight ?? false} frozen={frozen ?? false} />)}
    </>
  );
}

const verdicts = { match: ["ok", "Match"], differs: ["warn", "Differs"], block: ["block", "Blocker"] } as const;

function Row({ row, tight, frozen }: { row: CheckRow; tight: boolean; frozen: boolean }) {
  const [open, setOpen] = useState(false);
  const [tone, word] = verdicts[row.verdict];
  const clashes = row.clashes ?? [];
  const fold = clashes.length > 0 && (
    <button type="button" className="fold" aria-expanded={open} onClick={() => setOpen(!open)}>
      <Icon name="chevronRight" small className={open ? "chev open" : "chev"} />{open ? "Hide" : "Show"} the {plural(clashes.length, "id")}
    </button>
  );
  return (
    <>
      <tr className={tight && !row.choice && !fold ? "tight" : undefined}>
        <td className="k"><span>{row.label}</span>{row.sub && <small>{row.sub}</small>}</td>
        <td><span className="num">{row.base}</span></td>
        <td>{row.tuned.map((value, i) => <span key={i} className="num block">{value}</span>)}</td>
        <td><Chip tone={tone}>{word}</Chip></td>
        <td>{row.choice && !frozen ? <Choice row={row} choice={row.choice} fold={fold} /> : <span className="row wrap"><span className={/^nothing to do/i.test(row.action) || frozen ? "same" : undefined}>{row.action}</span>{fold}</span>}</td>
      </tr>
      {open && <tr className="clashes"><td /><td colSpan={4}><Clashes clashes={clashes} /></td></tr>}
    </>
  );
}

function Choice({ row, choice, fold }: { row: CheckRow; choice: NonNullable<CheckRow["choice"]>; fold: React.ReactNode }) {
  const setReconciliation = useStudio((s) => s.setReconciliation);
  const value = useStudio((s) => s.recipe?.reconciliation[choice.key] ?? choice.value);
  const consequence = choice.options.find((option) => option.value === value)?.consequence;
  return (
    <div className="row wrap">
      <Select width={228} label={row.label} value={value} options={choice.options} onChange={(next) => setReconciliation({ [choice.key]: next })} />
      {consequence && <span className="tiny muted">{consequence}</span>}
      {fold}
    </div>
  );
}

/** Ids that mean one token in the base and another in the fine-tuned model. */
function Clashes({ clashes }: { clashes: NonNullable<CheckRow["clashes"]> }) {
  const shown = clashes.slice(0, 12);
  const rest = clashes.slice(12).map((clash) => clash.id);
  return (
    <table className="dense clash-table">
      <thead><tr><th>Id</th><th>Base</th><th>Fine-tuned</th></tr></thead>
      <tbody>
        {shown.map((clash) => <tr key={clash.id}><td className="num">{clash.id}</td><td><code>{clash.base}</code></td><td><code>{clash.tuned}</code></td></tr>)}
        {rest.length > 0 && <tr><td colSpan={3} className="muted">and {rest.slice(0, 20).join(", ")}{rest.length > 20 && ` and ${rest.length - 20} more`}</td></tr>}
      </tbody>
    </table>
  );
}
