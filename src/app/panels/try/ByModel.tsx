import { useId } from "react";
import { saveText, toCsv } from "../../charts/csv";
import type { ScoreRow } from "../../state/contenders";
import { fixed, percent } from "../../ui/format";
import { Icon } from "../../ui/icons";
import { median, SCORE_COLUMNS, settingsDiffer } from "./evaluateModel";
import { NoteLine, RoleMark } from "./parts";

/** The results in numbers. */
export function ByModel({ rows }: { rows: ScoreRow[] }) {
  const id = useId();
  const differ = settingsDiffer(rows);
  const mixed = rows.some((r) => r.score.options.temperature === 0) && rows.some((r) => r.score.options.temperature > 0);
  return (
    <section className="panel" aria-labelledby={id}>
      <div className="ph">
        <h2 id={id}>By model</h2>
        <span className="sub">{rows.length > 0 && !differ ? rows[0]!.settings : ""}</span>
        <span className="acts"><button type="button" className="btn icon s" aria-label="Save By model as CSV" disabled={rows.length === 0} onClick={() => saveText("by-model.csv", toCsv(SCORE_COLUMNS, rows))}><Icon name="download" small /></button></span>
      </div>
      {rows.length === 0 ? <div className="pb"><p className="small muted">Nothing is evaluated on these problems yet. Each model answers all of them in turn.</p></div> : (
        <>
          {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- focusable, so that the keyboard can scroll it */}
          <div className="tablewrap bymodel" tabIndex={0} role="region" aria-label="Results by model">
            <table className="dense">
              <thead><tr><th scope="col">Model or recipe</th><th scope="col" className="num">accuracy</th><th scope="col" className="num">tokens</th><th scope="col" className="num">median</th><th scope="col" className="num">cut</th><th scope="col" className="num">“wait”</th></tr></thead>
              <tbody>
                {rows.map((row) => {
                  const { summary } = row.score;
                  return (
                    <tr key={row.id} className={row.role === "merged" ? "on" : undefined}>
                      <td className="k"><RoleMark role={row.role}>{row.name}</RoleMark>{differ && <small>{row.settings}</small>}</td>
                      <td className="num">{percent(summary.accuracy.mean, 1)}</td><td className="num">{fixed(summary.length.mean, 1)}</td><td className="num">{median(summary.medianLength)}</td><td className="num">{percent(summary.truncated)}</td><td className="num">{percent(summary.reflecting)}</td>
                    </tr>
                  );
                })}
              </tbody>
            </table>
          </div>
          <div className="pb"><NoteLine>{`${mixed ? "Greedy and sampled answers stand side by side here: they are not the same measurement. " : ""}Bars are 95% bootstrap intervals over problems, exact binomial ones where all or none are right. Tokens count the stop token. Cut: ended by max tokens. “Wait”: has words of reflection.`}</NoteLine></div>
        </>
      )}
    </section>
  );
}
