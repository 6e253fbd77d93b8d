import { useEffect, useId, useState } from "react";
import type { ExportPlan } from "../../../engine/api";
import type { FloatDtype } from "../../../core/tensors";
import { Spark } from "../../charts/Spark";
import { useStudio } from "../../state/useStudio";
import { bytes, count, plural } from "../../ui/format";
import { Icon } from "../../ui/icons";
import { Select } from "../../ui/Select";
import { Line, Segment } from "../shape/ParamField";
import { baseDtype, isShard, nameProblem, recipeRows, shardChoices, writtenDtype, type Where } from "./saveModel";

/** Every file with its origin and size, before one byte is written. */
export function FilesPanel({ plan }: { plan: ExportPlan | undefined }) {
  return (
    <section className="panel" aria-labelledby="save-files">
      <div className="ph">
        <h2 id="save-files">What will be written</h2>
        <span className="sub" />
        <span className="num">{plan ? `${plan.approximate ? "about " : ""}${bytes(plan.totalBytes)}, ${plural(plan.files.length, "file")}` : "–"}</span>
      </div>
      {plan ? (
        <div className="tablewrap files-wrap">
          <table className="dense files">
            <thead><tr><th scope="col">File</th><th scope="col">From</th><th scope="col" className="num">Size</th></tr></thead>
            <tbody>
              {plan.files.map((f) => (
                <tr key={f.path}>
                  <td className="k"><span className="row"><Icon name="file" small /><code>{f.path}</code></span></td>
                  <td>{f.from}</td>
                  <td className="num">{bytes(f.bytes)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      ) : (
        <p className="pb muted">Planning the files from the headers.</p>
      )}
    </section>
  );
}

/** What the recipe says, in short, and the whole of it by Copy. */
export function RecipePanel({ plan }: { plan: ExportPlan | undefined }) {
  const recipe = useStudio((s) => s.recipe);
  const methods = useStudio((s) => s.methods);
  const models = useStudio((s) => s.models);
  const shape = useStudio((s) => s.shape);
  const [copied, setCopied] = useState(false);
  if (!recipe) return null;
  const { left, right } = recipeRows(recipe, methods.find((m) => m.id === recipe.method), models, shape, plan);
  return (
    <section className="panel" aria-labelledby="save-recipe">
      <div className="ph">
        <h2 id="save-recipe">Goes into the recipe</h2>
        <span className="sub" />
        <span className="acts">
          <button type="button" className="btn s ghost" disabled={!plan} onClick={() => plan && void navigator.clipboard.writeText(plan.recipeJson).then(() => setCopied(true))}>
            <Icon name={copied ? "check" : "copy"} small />{copied ? "Copied" : "Copy"}
          </button>
        </span>
      </div>
      <div className="pb recipe-facts">
        <dl className="facts wide">{left.map(([k, v], i) => <Fact key={i} label={k} value={v} />)}</dl>
        <dl className="facts wide">{right.map(([k, v], i) => <Fact key={i} label={k} value={v} />)}</dl>
      </div>
    </section>
  );
}

const Fact = ({ label, value }: { label: string; value: string }) => <><dt>{label}</dt><dd title={value}>{value}</dd></>;

/** README.md as it will be written, its head first, with α as a line. */
export function CardPanel({ plan }: { plan: ExportPlan | undefined }) {
  const shape = useStudio((s) => s.shape);
  const expert = useStudio((s) => s.expert);
  const [whole, setWhole] = useState(false);
  if (!plan) return null;
  const lines = plan.modelCard.replace(/\n+$/, "").split("\n");
  const end = lines.indexOf("---", 1);
  const head = lines.slice(0, end > 0 ? end + 1 : 12);
  const shown = head.filter((l) => l !== "---").slice(0, 6);
  const alphas = shape?.experts[expert]?.layers.map((r) => r.alpha) ?? [];
  return (
    <section className="panel" aria-labelledby="save-card">
      <div className="ph">
        <h2 id="save-card">Model card</h2>
        <span className="sub">{whole ? "README.md" : "top of README.md"}</span>
        {lines.length > shown.length && <span className="acts"><button type="button" className="btn s ghost" aria-expanded={whole} onClick={() => setWhole(!whole)}>{whole ? "Show the top" : `Show all ${plural(lines.length, "line")}`}</button></span>}
      </div>
      <div className="pb row top cardrow save-card">
        {/* Focusable, so that the keyboard can scroll it. */}
        {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
        <pre className="card" tabIndex={0} role="region" aria-label="Text of the model card">{(whole ? lines : shown).join("\n")}</pre>
        {alphas.some((a) => a !== undefined) && (
          <div className="stack gap-1">
            <span className="tiny muted">α, layer 0 to {alphas.length - 1}</span>
            <Spark values={alphas} width={150} height={44} />
            {/^\|/m.test(plan.modelCard) && <span className="tiny muted">table of {plural(alphas.length, "row")} follows</span>}
          </div>
        )}
      </div>
    </section>
  );
}

const DTYPES: FloatDtype[] = ["BF16", "F16", "F32"];

/** Dtype, shard limit, name. */
export function HowPanel({ plan }: { plan: ExportPlan | undefined }) {
  const output = useStudio((s) => s.recipe?.output);
  const base = useStudio((s) => s.models.find((m) => m.id === s.recipe?.base.id));
  const setOutput = useStudio((s) => s.setOutput);
  const [name, setName] = useState(output?.name ?? "");
  const errorId = useId();
  const stored = output?.name;
  useEffect(() => {
    if (stored !== undefined) setName(stored);
  }, [stored]);
  if (!output) return null;
  const own = baseDtype(base);
  const problem = nameProblem(name);
  const shards = plan?.files.filter((f) => isShard(f.path)).length;
  return (
    <section className="panel" aria-labelledby="save-how">
      <div className="ph"><h2 id="save-how">How</h2></div>
      <div className="pb stack">
        <Line label="Dtype" help={own ? `the base is ${own}` : "the base mixes dtypes"}>
          <Segment
            label="Dtype"
            value={writtenDtype(output, own) ?? "base"}
            options={[...(own ? [] : [{ value: "base", label: "As base" }]), ...DTYPES.map((d) => ({ value: d as string, label: d as string }))]}
            onChange={(d) => setOutput({ dtype: d === own || d === "base" ? "base" : (d as FloatDtype) })}
          />
        </Line>
        <Line label="Shard limit" help={shards === undefined ? "–" : plural(shards, "shard")}>
          <Select label="Shard limit" width={96} value={String(output.maxShardBytes)} options={shardChoices(output.maxShardBytes)} onChange={(v) => setOutput({ maxShardBytes: Number(v) })} />
        </Line>
        <Line label="Name" error={problem} errorId={errorId}>
          <input
            className={problem ? "input name-input bad" : "input name-input"}
            aria-label="Name"
            aria-invalid={problem !== undefined}
            aria-describedby={problem ? errorId : undefined}
            spellCheck={false}
            autoComplete="off"
            value={name}
            onChange={(event) => {
              setName(event.target.value);
              if (nameProblem(event.target.value) === undefined) setOutput({ name: event.target.value });
            }}
          />
        </Line>
      </div>
    </section>
  );
}

/** Folder, one download per file, or one .zip. */
export function WherePanel({ plan, where, folders, onChange }: { plan: ExportPlan | undefined; where: Where; folders: boolean; onChange(where: Where): void }) {
  const size = bytes(plan?.totalBytes);
  const choices: { value: Where; label: string; help: string; off?: boolean }[] = [
    { value: "folder", label: "Into a folder", help: folders ? `Straight to disk, ${size}. The browser asks which folder.` : "This browser cannot write into a folder; Chrome and Edge can.", off: !folders },
    { value: "stage", label: "One download per file", help: `${plan ? plural(plan.files.length, "download") : "–"} through the browser’s list.` },
    { value: "zip", label: "As one .zip", help: `Needs ${bytes(plan && plan.totalBytes * 2)} of browser storage meanwhile.` },
  ];
  return (
    <section className="panel" aria-labelledby="save-where">
      <div className="ph"><h2 id="save-where">Where</h2></div>
      <div className="pb stack" role="radiogroup" aria-labelledby="save-where">
        {choices.map((c) => (
          // The words stand one level deeper than the rule looks.
          // eslint-disable-next-line jsx-a11y/label-has-associated-control
          <label key={c.value} className="row top where-choice">
            <input type="radio" className="radio" name="save-where" value={c.value} checked={where === c.value} disabled={c.off} onChange={() => onChange(c.value)} />
            <span><b>{c.label}</b><br /><span className="tiny muted">{c.help}</span></span>
          </label>
        ))}
      </div>
    </section>
  );
}

/** What is checked once the files are closed. */
export function AfterPanel({ plan }: { plan: ExportPlan | undefined }) {
  const items = [
    "Read every file again and parse it as a stranger would",
    "Compare random tiles with a second computation on the CPU",
    `Count parameters: ${count(plan?.parameters)} expected in ${count(plan?.tensors)} tensors`,
    "Note SHA-256 of every file",
  ];
  return (
    <section className="panel" aria-labelledby="save-after">
      <div className="ph"><h2 id="save-after">After writing</h2></div>
      <ul className="pb stack after-list">{items.map((text) => <li key={text} className="note-line"><i className="todo" aria-hidden="true" /><span>{text}</span></li>)}</ul>
    </section>
  );
}
