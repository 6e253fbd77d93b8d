import { useId, useMemo, useState } from "react";
import type { JudgedAnswer } from "../../../core/trying";
import type { Contender } from "../../state";
import { chosenProblems } from "../../state/contenders";
import { useShallow, useStudio } from "../../state/useStudio";
import { count } from "../../ui/format";
import { Icon } from "../../ui/icons";
import { itemRows, type ItemRow } from "./evaluateModel";
import { useResults } from "./hooks";
import { RoleMark } from "./parts";

const PAGE = 60;

/** What was read out of each answer, by which rule, and whether it counts. */
export function Items() {
  const id = useId();
  const results = useResults();
  const [problemSet, problemCount] = useStudio(useShallow((s) => [s.problemSet, s.problemCount]));
  const problems = useMemo(() => chosenProblems({ problemSet, problemCount }), [problemSet, problemCount]);
  const [only, setOnly] = useState<"all" | "differ">("all");
  const [shown, setShown] = useState(PAGE);
  const columns = results.filter((r) => r.result !== undefined);
  const rows = itemRows(problems, columns.map((r) => r.result));
  const differ = rows.filter((r) => r.differ);
  const list = only === "differ" ? differ : rows;
  return (
    <section className="panel" aria-labelledby={id}>
      <div className="ph">
        <h2 id={id}>Items</h2>
        <span className="sub">why an answer counted</span>
        <span className="acts">
          <span className="seg" role="group" aria-label="Which items">
            <button type="button" aria-pressed={only === "all"} onClick={() => setOnly("all")}>All {count(rows.length)}</button>
            <button type="button" aria-pressed={only === "differ"} onClick={() => setOnly("differ")}>Differ {count(differ.length)}</button>
          </span>
        </span>
      </div>
      {list.length === 0 ? <div className="pb"><p className="small muted">{rows.length > 0 ? "Every answer is right, or wrong, in all models alike." : "No answer of this visit. Answers themselves are not kept between visits, their numbers are."}</p></div> : (
        // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- focusable, so that the keyboard can scroll it
        <div className="tablewrap items" tabIndex={0} role="region" aria-label="Items, all answers">
          <table className="dense">
            <thead>
              <tr><th scope="col">Problem</th><th scope="col">Want</th>{columns.map(({ contender }) => <th scope="col" key={contender.key}><RoleMark role={contender.role}>{contender.name}</RoleMark></th>)}<th scope="col">Found by</th></tr>
            </thead>
            <tbody>{list.slice(0, shown).map((row) => <Item key={row.index} row={row} columns={columns.map((c) => c.contender)} />)}</tbody>
          </table>
          {list.length > shown && <p className="pb"><button type="button" className="btn s" onClick={() => setShown(shown + 10 * PAGE)}>Show more of {count(list.length)}</button></p>}
        </div>
      )}
    </section>
  );
}

function Item({ row, columns }: { row: ItemRow; columns: Contender[] }) {
  const [open, setOpen] = useState(false);
  const rules = [...new Set(row.answers.flatMap((a) => a?.rule ?? []))];
  return (
    <>
      <tr>
        <td><button type="button" className="fold item-fold" aria-expanded={open} aria-label={`Answers to ${row.prompt.trim()}`} onClick={() => setOpen(!open)}><span className={open ? "chev open" : "chev"}><Icon name="chevronRight" small /></span><code className="clip">{row.prompt.trim()}</code></button></td>
        <td className="num left">{row.want}</td>
        {row.answers.map((a, i) => <td key={columns[i]!.key} className="nowrap">{a ? <Found answer={a} /> : <span className="muted">–</span>}</td>)}
        <td className="muted">{rules.join(", ")}</td>
      </tr>
      {open && (
        <tr className="full">
          <td colSpan={columns.length + 3}>
            <div className="responses">
              {row.answers.map((a, i) => a && (
                <div key={columns[i]!.key}>
                  <RoleMark role={columns[i]!.role}>{columns[i]!.name}</RoleMark>
                  <p className="tiny muted">{count(a.tokens, true)} tokens{a.truncated ? ", cut" : ""} · {a.rule} · {a.verdict}</p>
                  {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- focusable, so that the keyboard can scroll it */}
                  <pre tabIndex={0} role="region" aria-label={`Full answer of ${columns[i]!.name}`}>{a.text || "–"}</pre>
                </div>
              ))}
            </div>
          </td>
        </tr>
      )}
    </>
  );
}

function Found({ answer }: { answer: JudgedAnswer }) {
  return <><span className="num">{answer.found || "nothing"}</span> <span className={answer.right ? "right" : "wrong"}><span aria-hidden="true">{answer.right ? "✓" : "✕"}</span><span className="vh">{answer.right ? "right" : "wrong"}</span></span></>;
}
