import { useState } from "react";
import type { MethodInfo, PostInfo } from "../../../engine/api";
import type { ParamSpecs } from "../../../core/params";
import { useStudio } from "../../state/useStudio";
import { Drawer } from "../../ui/Drawer";
import { plural } from "../../ui/format";
import { Icon } from "../../ui/icons";
import { methodProblem } from "../shape/methodList";

/** Every method: what it does, its formula, what it needs, what its switches mean, and where references lead astray. */
export function MethodsDrawer({ onClose }: { onClose: () => void }) {
  const methods = useStudio((s) => s.methods);
  const { posts, families } = useStudio((s) => s.postprocesses);
  const [query, setQuery] = useState("");
  const terms = query.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (m: { label: string; id: string; summary: string }, about = ""): boolean => terms.every((term) => `${m.label} ${m.id} ${m.summary} ${about}`.toLowerCase().includes(term));
  const groups = families.map((family) => ({ family, list: methods.filter((m) => m.note?.family === family && fits(m, m.note.about)) })).filter(({ list }) => list.length > 0);
  const after = posts.filter((p) => fits(p, p.note.about));
  const shown = groups.reduce((sum, { list }) => sum + list.length, 0) + after.length;
  const head = <input className="input" type="search" aria-label="Find a method" placeholder="Find a method" value={query} onChange={(event) => setQuery(event.target.value)} />;
  return (
    <Drawer title="Methods" onClose={onClose} head={head} wide footer={<span className="small muted" role="status">{plural(shown, "method")}. Every one runs in this tab and in the terminal, from the same code.</span>}>
      {groups.map(({ family, list }) => (
        <section key={family} className="method-family" aria-label={family}>
          <h3 className="over">{family}</h3>
          {list.map((method) => <MethodEntry key={method.id} method={method} onClose={onClose} />)}
        </section>
      ))}
      {after.length > 0 && (
        <section className="method-family" aria-label="After a merge">
          <h3 className="over">After a merge</h3>
          {after.map((post) => <PostEntry key={post.id} post={post} />)}
        </section>
      )}
      {shown === 0 && <p className="small muted">No method has this in its name or description.</p>}
    </Drawer>
  );
}

function MethodEntry({ method, onClose }: { method: MethodInfo; onClose: () => void }) {
  const recipe = useStudio((s) => s.recipe);
  const setMethod = useStudio((s) => s.setMethod);
  const go = useStudio((s) => s.go);
  const busy = useStudio((s) => s.measuring !== undefined);
  const chosen = recipe?.method === method.id;
  const problem = recipe && methodProblem(method, recipe.models.length);
  const use = (): void => {
    void setMethod(method.id);
    go("shape");
    onClose();
  };
  return (
    <article className="method-entry" aria-label={method.label}>
      <div className="row between">
        <h4>{method.label}</h4>
        {chosen ? <span className="tag">In use</span> : recipe && !problem && <button type="button" className="btn s" disabled={busy} onClick={use}>Use {method.label}</button>}
      </div>
      <Body formula={method.formula} source={method.source} params={method.params} about={method.note?.about ?? method.summary} typical={method.note?.typical} traps={method.note?.traps ?? []} needs={needsText(method)} />
      {problem && <p className="tiny muted">With the models that are loaded it cannot run: it {problem}.</p>}
    </article>
  );
}

function PostEntry({ post }: { post: PostInfo }) {
  const needs = `calibration text; ${post.measures === "both" ? "a forward pass of base and merge, block by block" : "a forward pass of the base"}`;
  return (
    <article className="method-entry" aria-label={post.label}>
      <h4>{post.label}</h4>
      <Body formula={post.formula} source={post.source} params={post.params} about={post.note.about} typical={post.note.typical} traps={post.note.traps ?? []} needs={needs} />
    </article>
  );
}

function needsText({ needs, gpuPass }: MethodInfo): string {
  const models = needs.minModels === needs.maxModels ? plural(needs.minModels, "fine-tuned model") : `${needs.minModels} to ${needs.maxModels} fine-tuned models`;
  const pass = needs.calibration ? "calibration text, WebGPU and a known architecture" : needs.fisher || gpuPass ? "gradients, so WebGPU and a known architecture" : "no gradients and no text";
  return `${models}; ${pass}`;
}

function Body({ about, formula, source, needs, typical, traps, params }: { about: string; formula: string; source: string; needs: string; typical?: string | undefined; traps: readonly string[]; params: ParamSpecs }) {
  const switches = Object.entries(params);
  return (
    <>
      <p className="small">{about}</p>
      <p><code className="formula">{formula}</code></p>
      <dl className="method-facts small">
        <dt>Needs</dt><dd>{needs}</dd>
        {typical && <><dt>Typical</dt><dd>{typical}</dd></>}
        <dt>Source</dt><dd>{/^https?:/.test(source) ? <a href={source} target="_blank" rel="noreferrer">{source.replace(/^https?:\/\/(www\.)?/, "")}</a> : source}</dd>
      </dl>
      {traps.map((trap) => <p key={trap} className="note-line warn small"><Icon name="warn" small />{trap}</p>)}
      {switches.length > 0 && (
        <details>
          <summary><Icon name="chevronRight" small className="chev" />{plural(switches.length, "setting")}</summary>
          <table className="dense settings">
            <thead><tr><th scope="col">Setting</th><th scope="col">What it does</th><th scope="col">Default</th></tr></thead>
            <tbody>{switches.map(([name, spec]) => <tr key={name}><th scope="row"><code>{name}</code></th><td>{spec.help}{spec.kind === "choice" && <span className="muted"> ({spec.options.map((o) => o.value).join(", ")})</span>}</td><td className="num">{String(spec.default)}</td></tr>)}</tbody>
          </table>
        </details>
      )}
    </>
  );
}
