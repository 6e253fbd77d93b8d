import type { RecipeFinding } from "../../../engine/api";
import { useStudio } from "../../state/useStudio";
import { plural } from "../../ui/format";
import { Icon } from "../../ui/icons";
import { Banner } from "../../ui/marks";

/** What a recipe from a file had that was left out or is done differently, each with its place in the file. */
export function ImportFindings() {
  const imported = useStudio((s) => s.imported);
  const dismiss = useStudio((s) => s.dismissImported);
  if (!imported) return null;
  const close = <button type="button" className="btn s ghost" onClick={dismiss}><Icon name="close" small />Dismiss</button>;
  if (imported.findings.length === 0) return <Banner tone="ok" icon="check" lead={`Restored from ${imported.file}.`} actions={close}>Method, options and models are as the file says.</Banner>;
  const warns = imported.findings.some((f) => f.severity === "warn");
  const title = `${plural(imported.findings.length, "finding")} in ${imported.file}`;
  return (
    <section className={`finding ${warns ? "warn" : "info"}`} aria-label={title} role="status">
      <Icon name={warns ? "warn" : "info"} />
      <div>
        <h2>{title}</h2>
        <FindingList findings={imported.findings} />
        <div className="acts">{close}</div>
      </div>
    </section>
  );
}

/** Findings of a file, one line each. */
export function FindingList({ findings }: { findings: readonly RecipeFinding[] }) {
  return (
    <ul className="stack gap-1 recipe-findings">
      {findings.map(({ severity, sentence, path, line, column }, i) => (
        <li key={i} className={severity === "warn" ? "note-line warn" : "note-line"}>
          <Icon name={severity} small />
          <span>
            <span className="vh">{severity === "warn" ? "Warning: " : "Note: "}</span>{sentence}
            {line !== undefined && <span className="muted"> {path && <><code>{path}</code>, </>}line {line}, column {column}</span>}
          </span>
        </li>
      ))}
    </ul>
  );
}
