import { useStudio } from "../../state/useStudio";
import { bytes, count, progressPercent, shortCount, UNKNOWN } from "../../ui/format";
import { Chip, Role } from "../../ui/marks";
import type { ModelFacts, StoredModel } from "../../../engine/api";

/** Role, name, state and eight facts of one chosen model; an empty role says what belongs there. */
export function CheckpointCard({ of: role, id }: { of: "base" | "tuned"; id: string | undefined }) {
  const model = useStudio((s) => s.models.find((m) => m.id === id));
  return (
    <article className={`cp ${role}`}>
      <div className="row between"><Role of={role} />{model && <ModelState model={model} />}</div>
      {model ? (
        <>
          <p className={model.name.length > 24 ? "name long" : "name"}>{model.name}</p>
          <dl className="facts">{factRows(model.facts, model.bytes).map(([label, value]) => <Fact key={label} label={label} value={value} />)}</dl>
        </>
      ) : (
        <p className="tiny muted">{role === "base" ? "where the fine-tuned model started" : "one or more; same layers, same widths"}</p>
      )}
    </article>
  );
}

function Fact({ label, value }: { label: string; value: string }) {
  return <><dt>{label}</dt><dd>{value}</dd></>;
}

/** Reading with its percent, ready, linked, evicted, unreadable. */
export function ModelState({ model }: { model: StoredModel }) {
  const jobId = useStudio((s) => s.queue.find((item) => item.modelId === model.id && item.state === "reading")?.jobId);
  const fraction = useStudio((s) => (jobId === undefined ? undefined : s.running[jobId]?.fraction));
  const failed = useStudio((s) => s.queue.some((item) => item.modelId === model.id && item.state === "failed"));
  if (model.state === "ingesting") {
    if (failed) return <Chip tone="block">Unreadable</Chip>;
    return <Chip tone="info">{jobId === undefined ? "Unfinished" : `${progressPercent(fraction)}%`}</Chip>;
  }
  if (model.state === "evicted") return <Chip tone="warn">Evicted</Chip>;
  if (model.state === "locked") return <Chip tone="warn">Locked</Chip>;
  return <Chip tone="ok">{model.backend === "link" ? "Linked" : model.backend === "session" ? "In place" : "Ready"}</Chip>;
}

export function factRows(facts: ModelFacts, size: number): [string, string][] {
  return [
    ["family", `${facts.family || facts.architecture}${facts.layers === undefined ? "" : ` · ${facts.layers} layers`}`],
    ["parameters", shortCount(facts.parameters)],
    ["dtype", facts.dtypes.map((d) => d.dtype).slice(0, 2).join(", ") || UNKNOWN],
    ["vocabulary", count(facts.vocab, true)],
    ["context", count(facts.context, true)],
    ["output head", facts.tied ? "tied" : "own"],
    ["size", bytes(size)],
    ["licence", facts.licence ?? UNKNOWN],
  ];
}
