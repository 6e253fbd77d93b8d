import { useEffect, useState } from "react";
import { toStudioError } from "../../../core/errors";
import type { ExportPlan, MergekitYaml } from "../../../engine/api";
import { saveText } from "../../charts/csv";
import { useStudio } from "../../state/useStudio";
import { Icon } from "../../ui/icons";
import { FindingList } from "../shell/ImportFindings";

/** The recipe in mergekit's words, to run it elsewhere, and what those words cannot say. */
export function MergekitPanel({ plan }: { plan: ExportPlan | undefined }) {
  const recipe = useStudio((s) => s.recipe);
  const ask = useStudio((s) => s.mergekitYaml);
  const [yaml, setYaml] = useState<MergekitYaml>();
  const [refused, setRefused] = useState<string>();
  const [shown, setShown] = useState(false);
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    let current = true;
    setYaml(undefined);
    setRefused(undefined);
    setCopied(false);
    if (plan) ask().then((value) => current && setYaml(value), (error: unknown) => current && setRefused(toStudioError(error).message));
    return () => void (current = false);
  }, [ask, recipe, plan]);
  if (!recipe) return null;
  const warns = yaml?.findings.some((f) => f.severity === "warn");
  return (
    <section className="panel" aria-labelledby="save-mergekit">
      <div className="ph">
        <h2 id="save-mergekit">For mergekit</h2>
        <span className="sub">{yaml && (yaml.exact ? "the same merge" : "the nearest merge it has")}</span>
        <span className="acts">
          <button type="button" className="btn s ghost" disabled={!yaml} aria-expanded={shown} onClick={() => setShown(!shown)}>{shown ? "Hide the YAML" : "Show the YAML"}</button>
          <button type="button" className="btn s ghost" disabled={!yaml} onClick={() => yaml && void navigator.clipboard.writeText(yaml.text).then(() => setCopied(true))}><Icon name={copied ? "check" : "copy"} small />{copied ? "Copied YAML" : "Copy YAML"}</button>
          <button type="button" className="btn s ghost" disabled={!yaml} onClick={() => yaml && saveText(`${recipe.output.name}.yaml`, yaml.text, "text/yaml")}><Icon name="download" small />Download YAML</button>
        </span>
      </div>
      <div className="pb stack">
        <p className="small muted">{warns ? "mergekit has no words for all of this merge. The file says so at its head." : "Runs the recipe on a server, for models that do not fit here."}</p>
        {refused && <p className="help">{refused}</p>}
        {yaml && yaml.findings.length > 0 && <FindingList findings={yaml.findings} />}
        {/* Focusable, so that the keyboard can scroll it. */}
        {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
        {yaml && shown && <pre className="card yaml-text" tabIndex={0} role="region" aria-label="mergekit YAML">{yaml.text}</pre>}
      </div>
    </section>
  );
}
