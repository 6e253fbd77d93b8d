import type { Preflight } from "../../../engine/api";
import { canOpen, pairState } from "../../state";
import { useShallow, useStudio } from "../../state/useStudio";
import { capitalised, duration, plural, words } from "../../ui/format";
import { ActionBar } from "../../ui/ActionBar";
import { FindingCard } from "../../ui/FindingCard";
import { Icon } from "../../ui/icons";
import { Chip } from "../../ui/marks";
import { Shell } from "../../ui/Shell";
import { TakesPanel } from "./TakesPanel";
import { CompareTable } from "./CompareTable";

/** What will be merged with what, before any weight is read. */
export function CheckStep() {
  const preflight = useStudio((s) => s.preflight);
  const models = useStudio((s) => 1 + s.modelIds.length);
  if (!preflight) return <Checking />;
  const blocks = preflight.findings.filter((f) => f.severity === "block");
  const warns = preflight.findings.filter((f) => f.severity === "warn");
  const infos = preflight.findings.filter((f) => f.severity === "info");
  const ok = preflight.verdict === "ok";
  return (
    <Shell
      title={`These ${words(models)} ${ok ? "can" : "cannot"} be merged`}
      intro={ok ? okSentence(preflight) : `${capitalised(words(blocks.length))} ${blocks.length === 1 ? "finding blocks" : "findings block"} the merge. Nothing has been computed and nothing was changed.`}
      aside={<Counts preflight={preflight} />}
      actions={<CheckActions blocks={blocks.map((f) => f.title)} />}
    >
      {blocks.map((finding, i) => (
        <FindingCard key={i} tone="block" title={finding.title} code={finding.code} rows={finding}><Replace primary={i === 0 && finding.where?.startsWith("reconciliation.") !== true} /></FindingCard>
      ))}
      {!preflight.fisher.available && ok && <NoFisher reason={preflight.fisher.reason} />}
      <section className="panel"><CompareTable preflight={preflight} /></section>
      {ok && <TakesPanel />}
      {warns.map((finding, i) => <FindingCard key={i} tone="warn" title={finding.title} code={finding.code} rows={finding} />)}
      {infos.map((finding, i) => (
        <div className="note-line" key={i}><Icon name="info" /><span><b>{finding.title}.</b> {[finding.where, finding.found, finding.why, finding.todo].filter(Boolean).join(" ")}</span></div>
      ))}
    </Shell>
  );
}

function Checking() {
  const checking = useStudio((s) => s.checking);
  const copying = useStudio((s) => !pairState(s).ready);
  const runPreflight = useStudio((s) => s.runPreflight);
  const go = useStudio((s) => s.go);
  const text = checking ? "Reading config, index and headers." : copying ? "The check comes when the headers are stored." : "The check did not finish.";
  return (
    <Shell
      title="Checking the pair" intro="From config, index and headers alone; no weight is read."
      actions={<ActionBar icon={checking || copying ? "running" : "info"} text={text} secondary={{ label: "Back", quiet: true, onClick: () => go("load") }} primary={checking || copying ? { label: "Continue to Shape", disabled: true, onClick: () => undefined } : { label: "Check again", onClick: () => void runPreflight() }} />}
    >
      <section className="panel"><div className="pb placeholder"><p className="muted">{text}</p></div></section>
    </Shell>
  );
}

function okSentence(preflight: Preflight): string {
  const differing = preflight.rows.filter((row) => row.verdict === "differs");
  const chosen = differing.filter((row) => row.choice).length;
  const read = `Read from config, index and headers in ${duration(preflight.elapsedMs)}; no weight has been read yet.`;
  if (differing.length === 0) return `${read} Nothing differs.`;
  const things = `${capitalised(words(differing.length))} ${differing.length === 1 ? "thing differs" : "things differ"}.`;
  const defaults = chosen === 0 ? "" : chosen === differing.length ? (chosen === 1 ? " It has a sensible default." : " Each has a sensible default.") : ` ${capitalised(words(chosen))} of them ${chosen === 1 ? "has" : "have"} a choice, with a sensible default.`;
  return `${read} ${things}${defaults}`;
}

function Counts({ preflight }: { preflight: Preflight }) {
  const n = (verdict: string): number => preflight.rows.filter((row) => row.verdict === verdict).length;
  const blockers = preflight.findings.filter((f) => f.severity === "block").length;
  return (
    <div className="row">
      <Chip tone={blockers > 0 ? "block" : "plain"}>{plural(blockers, "blocker")}</Chip>
      <Chip tone={n("differs") > 0 ? "warn" : "plain"}>{n("differs")} {n("differs") === 1 ? "differs" : "differ"}</Chip>
      <Chip tone="ok">{n("match")} {n("match") === 1 ? "matches" : "match"}</Chip>
    </div>
  );
}

/** Frees a role and goes back to Load, where its place is open. */
function Replace({ primary }: { primary: boolean }) {
  const chooseBase = useStudio((s) => s.chooseBase);
  const chooseModels = useStudio((s) => s.chooseModels);
  const swapRoles = useStudio((s) => s.swapRoles);
  const go = useStudio((s) => s.go);
  if (!primary) return null;
  return (
    <>
      <button type="button" className="btn s primary" onClick={() => { chooseBase(undefined); go("load"); }}>Replace the base…</button>
      <button type="button" className="btn s" onClick={() => { chooseModels([]); go("load"); }}>Replace the fine-tuned…</button>
      <button type="button" className="btn s" onClick={swapRoles}>Swap roles</button>
    </>
  );
}

function NoFisher({ reason }: { reason: string | undefined }) {
  return (
    <FindingCard
      tone="warn" title="No Fisher pass for this pair" code="fisher"
      rows={{ found: reason, why: "The pass needs forward and backward of every part of the architecture.", todo: "Methods that need no Fisher merge this pair: choose one in Shape." }}
    />
  );
}

function CheckActions({ blocks }: { blocks: string[] }) {
  const go = useStudio((s) => s.go);
  const open = useStudio((s) => canOpen(s, "shape"));
  const { ready } = useStudio(useShallow((s) => pairState(s)));
  const blocked = blocks.length > 0;
  const text = blocked
    ? `Continue is off because ${plural(blocks.length, "finding")} ${blocks.length === 1 ? "blocks" : "block"} the merge: ${lowerFirst(blocks[0]!)}.`
    : !ready ? "No blockers. Shape opens when both copies are done."
      : "No blockers. Choices are kept in the recipe and can be changed later in Save.";
  return (
    <ActionBar
      icon={blocked ? "block" : ready ? "check" : "running"} {...(blocked ? { tone: "block" as const } : {})} text={text}
      secondary={{ label: "Back", quiet: true, onClick: () => go("load") }}
      primary={{ label: "Continue to Shape", disabled: !open, onClick: () => go("shape") }}
    />
  );
}

const lowerFirst = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1);
