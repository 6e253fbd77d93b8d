import { useState, type ReactNode } from "react";
import { Icon, type IconName } from "./icons";

const icons = { block: "block", warn: "warn", info: "info" } as const satisfies Record<string, IconName>;

export interface FindingRows { where?: string | undefined; found?: string | undefined; expected?: string | undefined; why?: string | undefined; todo?: string | undefined }

const LABELS: [keyof FindingRows, string][] = [["where", "Where"], ["found", "Found"], ["expected", "Expected"], ["why", "Why"], ["todo", "What to do"]];

/** Title and code, then where, found, why and what to do; remedies, and the details for the clipboard. */
export function FindingCard({ tone, title, code, rows, context, official, children, onDismiss }: {
  tone: "block" | "warn" | "info"; title: string; code: string; rows: FindingRows; context?: string; official?: string; children?: ReactNode; onDismiss?: () => void;
}) {
  const [copied, setCopied] = useState(false);
  const copy = async (): Promise<void> => {
    const lines = [`${title} (${code}${official ? `, ${official}` : ""})`, context, ...LABELS.map(([key, label]) => (rows[key] ? `${label}: ${rows[key]}` : undefined))];
    await navigator.clipboard.writeText(lines.filter(Boolean).join("\n"));
    setCopied(true);
  };
  return (
    <section className={`finding ${tone}`} role={context ? "alert" : undefined} aria-label={title}>
      <Icon name={icons[tone]} />
      <div>
        <h2>{title} <code>{code}</code></h2>
        <dl className="q">
          {context && <div><dt>While</dt><dd>{context}</dd></div>}
          {LABELS.map(([key, label]) => rows[key] && <div key={key}><dt>{label}</dt><dd><Figures text={rows[key]} /></dd></div>)}
        </dl>
        <div className="acts">
          {children}
          <button type="button" className="btn s ghost" onClick={() => void copy()}><Icon name={copied ? "check" : "copy"} small />{copied ? "Copied" : "Copy details"}</button>
          {onDismiss && <button type="button" className="btn s ghost" onClick={onDismiss}><Icon name="close" small />Dismiss</button>}
        </div>
      </div>
    </section>
  );
}

/** Large numbers and shapes in the numeric face, tensor and file names as code. */
function Figures({ text }: { text: string }) {
  const parts = text.split(/(\[\d[\d, ]*\]|\b\d{1,3}(?:,\d{3})+\b|\b\d+(?:\.\d+)? (?:[kMGT]?B|[KMG]iB)\b|\b[\w-]+(?:\.[\w-]+){2,}\b|\b[\w-]+\.(?:safetensors|json)\b)/g);
  return <>{parts.map((part, i) => (i % 2 === 0 ? part : /^[\d,.]+( \w+)?$/.test(part) ? <b key={i} className="num">{part}</b> : /^\[/.test(part) ? <span key={i} className="num">{part}</span> : <code key={i}>{part}</code>))}</>;
}
