import { useState } from "react";
import { contenders, maxTokens } from "../../state/contenders";
import { useShallow, useStudio } from "../../state/useStudio";
import { Icon } from "../../ui/icons";
import { Select } from "../../ui/Select";
import { NumberSetting } from "./parts";

const MOST_TOKENS = 32_768;

/** How answers are drawn: the same for every model. */
export function Settings() {
  const form = useStudio((s) => s.tryForm);
  const change = useStudio((s) => s.setTryForm);
  const most = useStudio((s) => maxTokens(s.tryForm, s.tryFacts));
  const templates = useStudio((s) => Object.values(s.tryFacts).some((f) => f.value?.chatTemplate));
  const [more, setMore] = useState(false);
  const sampled = form.sampling === "sample";
  return (
    <>
      <span>Sampling <Select label="Sampling" width={106} value={form.sampling} onChange={(v) => change({ sampling: v === "sample" ? "sample" : "greedy" })} options={[{ value: "greedy", label: "Greedy" }, { value: "sample", label: "Sampled" }]} /></span>
      {sampled && <NumberSetting label="Temperature" integer={false} width={52} min={0.01} max={4} value={form.temperature} onChange={(temperature) => change({ temperature })} />}
      {sampled && <button type="button" className="fold" aria-expanded={more} onClick={() => setMore(!more)}><span className={more ? "chev open" : "chev"}><Icon name="chevronRight" small /></span>top-p, top-k</button>}
      {sampled && more && (
        <>
          <NumberSetting label="Top-p" integer={false} width={52} min={0.01} max={1} value={form.topP} onChange={(topP) => change({ topP })} />
          <NumberSetting label="Top-k (0: all)" width={58} min={0} max={100_000} value={form.topK} onChange={(topK) => change({ topK })} />
          <NumberSetting label="Repetition penalty" integer={false} width={52} min={1} max={2} value={form.repetitionPenalty} onChange={(repetitionPenalty) => change({ repetitionPenalty })} />
        </>
      )}
      <NumberSetting label="Max tokens" min={1} max={MOST_TOKENS} value={most} onChange={(value) => change({ maxTokens: value })} />
      {sampled && <NumberSetting label="Seed" min={0} max={2 ** 31 - 1} value={form.seed} onChange={(seed) => change({ seed })} />}
      {templates
        ? <span>Template <Select label="Template" width={156} value={form.template} onChange={(v) => change({ template: v === "raw" ? "raw" : "own" })} options={[{ value: "own", label: "Each model’s own" }, { value: "raw", label: "None, raw prompt" }]} /></span>
        : <span>Template <b>none, raw prompt</b></span>}
      <StopIds />
    </>
  );
}

/** Ids that end an answer, and the files that say so. */
function StopIds() {
  const [open, setOpen] = useState(false);
  const names = useStudio(useShallow((s) => contenders(s).map((c) => `${c.key}\n${c.name}`)));
  const facts = useStudio((s) => s.tryFacts);
  const rows = names.flatMap((line) => {
    const [key = "", name = ""] = line.split("\n");
    return (facts[key]?.value?.stops ?? []).map((stop) => ({ name, ...stop }));
  });
  const ids = [...new Set(rows.map((r) => r.id))];
  const files = [...new Set(rows.flatMap((r) => r.from))];
  // Models that stop alike share a line.
  const lines = new Map<string, typeof rows>();
  for (const row of rows) lines.set(`${row.id} ${row.from.join()}`, [...(lines.get(`${row.id} ${row.from.join()}`) ?? []), row]);
  if (ids.length === 0) return <span>Stop ids <b>–</b></span>;
  return (
    <>
      <button type="button" className="fold" aria-expanded={open} onClick={() => setOpen(!open)}><span className={open ? "chev open" : "chev"}><Icon name="chevronRight" small /></span>Stop ids <code>{ids.join(", ")}</code> <span className="muted">{files[0]}{files.length > 1 && ` + ${files.length - 1}`}</span></button>
      {open && (
        <ul className="stops">
          {[...lines].map(([key, [row, ...others]]) => <li key={key}><code>{row!.id}</code> {row!.text !== undefined && <code>{row!.text}</code>} <span>{[row!, ...others].map((r) => r.name).join(", ")}: {row!.from.join(", ")}</span></li>)}
        </ul>
      )}
    </>
  );
}
