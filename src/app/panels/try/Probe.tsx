import { useRef } from "react";
import type { ProbedModel } from "../../../core/trying";
import type { TryRole } from "../../state";
import { useShallow, useStudio } from "../../state/useStudio";
import { count, fixed, percent, plural } from "../../ui/format";
import { Icon } from "../../ui/icons";
import { Banner } from "../../ui/marks";
import { RoleMark } from "./parts";

/** What the last probe found, as long as it was this recipe's. */
const useProbed = () => useStudio((s) => (s.probed && s.recipe && s.probed.recipe === JSON.stringify(s.recipe) ? s.probed.probe : undefined));

/** Said above the step when a probe found the merge broken. */
export function BrokenBanner() {
  const broken = useProbed()?.models.find((m) => m.broken !== undefined)?.broken;
  const [tab, show] = useStudio(useShallow((s) => [s.tryTab, s.setTryTab]));
  if (broken === undefined) return null;
  return <Banner tone="warn" icon="warn" lead="This merge looks broken." actions={tab !== "probe" && <button type="button" className="btn s" onClick={() => show("probe")}>Show the probe</button>}>{broken}</Banner>;
}

/** Perplexity, distance from the parents and repetition on a text, before anything is saved. */
export function Probe() {
  const [text, setText, give, probe, trying, stop] = useStudio(useShallow((s) => [s.probeText, s.setProbeText, s.giveProbeText, s.probe, s.trying, s.stopTrying]));
  const input = useRef<HTMLInputElement>(null);
  const found = useProbed();
  return (
    <section className="panel" aria-label="Quick probe">
      <div className="ph">
        <h2>Quick probe</h2>
        <span className="sub">a text that both parents should know</span>
        <span className="acts">
          {trying?.kind === "probe"
            ? <button type="button" className="btn s" disabled={trying.stopping} onClick={() => void stop()}><Icon name="close" small />{trying.stopping ? "Stopping" : "Cancel"}</button>
            : <button type="button" className="btn s" disabled={trying !== undefined || text.trim() === ""} onClick={() => void probe()}><Icon name="play" small />Probe</button>}
        </span>
      </div>
      <div
        className="pb stack probe-panel" onDragOver={(event) => event.preventDefault()}
        onDrop={(event) => {
          const file = event.dataTransfer.files[0];
          if (!file) return;
          event.preventDefault();
          event.stopPropagation();
          void give(file);
        }}
      >
        <textarea className="input" rows={4} aria-label="Text to probe" value={text} onChange={(event) => setText(event.target.value)} />
        <p className="tiny muted">
          <button type="button" className="btn s" onClick={() => input.current?.click()}>Choose a .txt…</button>
          <input ref={input} type="file" accept=".txt,text/plain" hidden onChange={(event) => { const file = event.target.files?.[0]; if (file) void give(file); event.target.value = ""; }} />
          {" "}{found ? `${plural(found.tokens, "token")}${found.tokens < found.ofTokens ? ` of ${count(found.ofTokens)}` : ""} in windows of at most 512.` : "Write, paste or drop a text. The first 2,048 tokens are used."}
        </p>
        {found && <Table models={found.models} />}
        {found && <Continuations models={found.models} />}
      </div>
    </section>
  );
}

/** How each goes on from the text, which repeats are counted in. */
function Continuations({ models }: { models: readonly ProbedModel[] }) {
  if (models.every((m) => m.continuation === "")) return null;
  return (
    <div className="responses">
      {models.map((m, i) => (
        <div key={`${i} ${m.name}`}>
          <RoleMark role={roleOf(m, i)}>{m.name}</RoleMark>
          <p className="tiny muted">goes on, greedy</p>
          {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- focusable, so that the keyboard can scroll it */}
          <pre tabIndex={0} role="region" aria-label={`Continuation of ${m.name}`}>{m.continuation || "–"}</pre>
        </div>
      ))}
    </div>
  );
}

const roleOf = (m: ProbedModel, i: number): TryRole => (m.recipeHash !== undefined || m.divergences.length > 0 ? "merged" : i === 0 ? "base" : "tuned");

function Table({ models }: { models: readonly ProbedModel[] }) {
  return (
    // Focusable, so that the keyboard can scroll it.
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div className="tablewrap probed" tabIndex={0} role="region" aria-label="What the probe found">
      <table className="dense">
        <thead><tr><th scope="col">Model</th><th scope="col" className="num">Perplexity</th><th scope="col" className="num">KL to the merge, nats</th><th scope="col" className="num">Repeated 4-grams</th></tr></thead>
        <tbody>
          {models.map((m, i) => (
            <tr key={`${i} ${m.name}`}>
              <td className="k"><RoleMark role={roleOf(m, i)}>{m.name}</RoleMark></td>
              <td className="num">{Number.isNaN(m.perplexity) ? "NaN" : fixed(m.perplexity, 2)}</td>
              <td className="num">{fixed(models.flatMap((other) => other.divergences).find((d) => d.from === m.name)?.nats, 4)}</td>
              <td className="num">{percent(m.repetition)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
