import type { ReactNode } from "react";
import { Icon, type IconName } from "./icons";

/** The word of a role with its shape: circle, square, diamond. */
export function Role({ of: role, children }: { of: "base" | "tuned" | "merged"; children?: ReactNode }) {
  return <span className={`role ${role}`}>{children ?? { base: "Base", tuned: "Fine-tuned", merged: "Merged" }[role]}</span>;
}

const chipIcons = { ok: "check", warn: "warn", block: "block", info: "info" } as const satisfies Record<string, IconName>;

/** State in a pill: icon shape and word, colour only supports them. */
export function Chip({ tone, children }: { tone: "ok" | "warn" | "block" | "info" | "plain"; children: ReactNode }) {
  return <span className={`chip ${tone}`}>{tone !== "plain" && <Icon name={chipIcons[tone]} />}{children}</span>;
}

/** One line above the content: bold lead, sentence, at most two actions. */
export function Banner({ tone = "info", icon, lead, children, actions }: { tone?: "info" | "warn" | "ok" | "block"; icon: IconName; lead: ReactNode; children?: ReactNode; actions?: ReactNode }) {
  return (
    <div className={tone === "info" ? "banner" : `banner ${tone}`} role="status">
      <Icon name={icon} />
      <span className="grow"><b>{lead}</b> {children}</span>
      {actions}
    </div>
  );
}
