import { useState } from "react";
import type { StopReason } from "../../../core/trying";
import type { ColumnAnswer, Contender } from "../../state";
import { sameRecipe } from "../../state/contenders";
import { useStudio } from "../../state/useStudio";
import { count, fixed } from "../../ui/format";
import { Icon } from "../../ui/icons";
import { Chip } from "../../ui/marks";
import { answerParts, reflectionWords, type Range } from "./answerText";
import { ROLE_WORDS, RoleMark } from "./parts";

const STOP: Record<StopReason, string> = { "stop id": "end of text", length: "max tokens", context: "context is full", cancelled: "stopped" };

/** One model's answer as it comes. */
export function AnswerColumn({ contender, mark }: { contender: Contender; mark: Range | undefined }) {
  const { key, role, name, detail, model } = contender;
  const answer = useStudio((s) => s.answers[key]);
  const facts = useStudio((s) => s.tryFacts[key]);
  const remove = useStudio((s) => s.removeColumn);
  const needsPass = useStudio((s) => role === "merged" && s.shape?.needsPass === true);
  const other = answer && model.kind === "merge" && !sameRecipe(answer.recipe, model.recipe);
  return (
    <section className={`col ${role}`} aria-label={`${ROLE_WORDS[role]}, ${name}`} aria-busy={answer?.state === "writing"}>
      <header>
        <div className="row between">
          <RoleMark role={role}>{ROLE_WORDS[role]}</RoleMark>
          <span className="row gap-1">
            {answer && <StateChip answer={answer} other={other === true} />}
            {answer?.text && <CopyButton text={answer.text} name={name} />}
            {role === "other" && <button type="button" className="btn icon s" aria-label={`Remove ${name}`} onClick={() => remove(key)}><Icon name="close" small /></button>}
          </span>
        </div>
        <span className="nm">{name}{detail && <span className="num muted"> · {detail}</span>}</span>
      </header>
      {/* Focusable, so that the keyboard can scroll it. */}
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <div className="out" tabIndex={0} role="region" aria-label={`Answer of ${name}`}>
        {answer?.text ? <Text answer={answer} mark={mark} /> : <Empty answer={answer} refused={facts?.refused} needsPass={needsPass} />}
      </div>
      <footer>
        <span>tokens <b>{answer?.text || answer?.answer ? count(answer.tokens, true) : "–"}</b></span>
        <span>speed <b>{speed(answer?.answer?.tokensPerSecond ?? answer?.rate)}</b></span>
        <span>stop <b>{answer?.answer ? STOP[answer.answer.stop] : answer?.state === "writing" ? "…" : answer?.state === "stopped" && answer.text ? "stopped" : "–"}</b>{answer?.answer?.stopId !== undefined && <> id <b>{answer.answer.stopId}</b></>}</span>
      </footer>
      <p className="vh" role="status">{answer?.state === "done" ? `${name} has answered.` : ""}</p>
    </section>
  );
}

const speed = (perSecond: number | undefined): string => (perSecond === undefined ? "–" : `${fixed(perSecond, perSecond < 20 ? 1 : 0)} tok/s`);

function CopyButton({ text, name }: { text: string; name: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 2000);
  };
  return <button type="button" className="btn icon s" aria-label={copied ? `Copied the answer of ${name}` : `Copy the answer of ${name}`} onClick={() => void copy()}><Icon name={copied ? "check" : "copy"} small /></button>;
}

function StateChip({ answer, other }: { answer: ColumnAnswer; other: boolean }) {
  if (other) return <Chip tone="plain">earlier recipe</Chip>;
  switch (answer.state) {
    case "waiting": return <Chip tone="plain">waits</Chip>;
    case "writing": return <Chip tone="info">{answer.text === "" ? "reading" : "writing"}</Chip>;
    case "stopped": return <Chip tone="warn">stopped</Chip>;
    case "failed": return <Chip tone="block">no answer</Chip>;
    case "done": return null;
  }
}

function Empty({ answer, refused, needsPass }: { answer: ColumnAnswer | undefined; refused: string | undefined; needsPass: boolean }) {
  const fault = answer?.state === "failed" ? answer.fault : !answer && refused ? refused : undefined;
  if (fault) return <span className="fault"><Icon name="warn" /><span>{fault}</span></span>;
  if (answer?.state === "done") return <span className="muted">{answer.answer?.ids.length === 0 ? "An empty answer: its first token ended the text." : "An answer without text: its tokens stand for no characters."}</span>;
  if (answer?.state === "writing") return <span className="caret" />;
  return <span className="muted">{answer?.state === "stopped" ? "Stopped before it began." : answer?.state === "waiting" ? "" : needsPass ? "No answer yet. This merge measures its layers first." : "No answer yet."}</span>;
}

function Text({ answer, mark }: { answer: ColumnAnswer; mark: Range | undefined }) {
  const [open, setOpen] = useState(false);
  const { text } = answer;
  const parts = answerParts(text, mark, open);
  const folds = parts.some((p) => p.kind === "fold");
  const summary = [`thinking: ${count(answer.thinkTokens, true)} tokens`, reflectionWords(text)].filter(Boolean).join(" · ");
  const firstFold = parts.findIndex((p) => p.kind === "fold");
  return (
    <>
      {open && <button type="button" className="elide" aria-expanded onClick={() => setOpen(false)}>{summary} · fold</button>}
      {parts.map((p, i) => {
        const part = text.slice(p.from, p.to);
        if (p.kind === "fold") return <button key={`${p.kind} ${p.from}`} type="button" className="elide" aria-expanded={false} onClick={() => setOpen(true)}>{p.lines} lines folded{i === firstFold && folds ? ` · ${summary}` : ""}</button>;
        if (p.kind === "mark") return <mark key={`${p.kind} ${p.from}`}>{part}</mark>;
        return <span key={`${p.kind} ${p.from}`} className={p.kind === "think" ? "think" : undefined}>{p.kind === "text" ? <Boxed text={part} /> : part}</span>;
      })}
      {answer.state === "writing" && <span className="caret" aria-hidden="true" />}
    </>
  );
}

/** The boxed answer stands out. */
function Boxed({ text }: { text: string }) {
  return <>{text.split(/(\\boxed\{[^{}\n]*\})/).map((part, i) => (i % 2 === 1 ? <span key={i} className="ans">{part}</span> : part))}</>;
}
