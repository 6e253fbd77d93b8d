import { useState } from "react";
import type { CheckRow, Preflight } from "../../../engine/api";
import { plural } from "../../ui/format";
import { Icon } from "../../ui/icons";
import { Chip, Role } from "../../ui/marks";
import { Select } from "../../ui/Select";
import { useStudio } from "../../state/useStudio";
import { Clashes, NameLists } from "./RowDetails";

/** More matching rows than this are folded when a blocker is the news. */
const SHOWN_WHEN_BLOCKED = 2;

/** Blocks, differs, matches; the choice sits in its row with its consequence beside it. Narrow screens stack it. */
export function CompareTable({ preflight }: { preflight: Preflight }) {
  const blocked = preflight.verdict === "blocked";
  const [open, setOpen] = useState(false);
  const rows = (verdict: CheckRow["verdict"]): CheckRow[] => preflight.rows.filter((row) => row.verdict === verdict);
  const differs = rows("differs");
  // A blocked pair offers no choices, unless one of them is what blocks.
  const chosen = differs.filter((row) => row.choice);
  const plain = differs.filter((row) => !row.choice);
  const frozen = blocked && chosen.length === 0;
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
          <Group title="Differs" rows={plain} frozen={frozen} />
          <Group title="Matches" rows={shown} tight={!blocked} />
          {shown.length < matches.length && (
            <tr className="more"><td colSpan={5}><button type="button" className="fold" aria-expanded={false} onClick={() => setOpen(true)}><Icon name="chevronRight" small className="chev" />{matches.length - shown.length} more match</button></td></tr>
          )}
        </tbody>
        {!frozen && (
          <tfoot>
            <tr><td className="k">Result</td><td colSpan={4}><span className="num">{count(preflight.parameters)}</span> parameters{preflight.vocab !== undefined && <>, <span className="num">{count(preflight.vocab)}</span> token rows</>}</td></tr>
          </tfoot>
        )}
      </table>
    </div>
  );
}

const count = (value: number): string => value.toLocaleString("en-US");

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
  const { clashes = [], lists = [] } = row;
  const inside = clashes.length > 0 ? plural(clashes.length, "id") : plural(lists.reduce((sum, list) => sum + list.names.length, 0), "tensor");
  const fold = (clashes.length > 0 || lists.length > 0) && (
    <button type="button" className="fold" aria-expanded={open} onClick={() => setOpen(!open)}>
      <Icon name="chevronRight" small className={open ? "chev open" : "chev"} />{open ? "Hide" : "Show"} the {inside}
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
      {open && <tr className="clashes"><td /><td colSpan={4}>{clashes.length > 0 ? <Clashes clashes={clashes} frozen={frozen} /> : <NameLists lists={lists} />}</td></tr>}
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
      {choice.reason && <span className="tiny muted reason">Default: {choice.reason}.</span>}
    </div>
  );
}

