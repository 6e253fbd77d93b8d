import type { ReactNode } from "react";
import { Icon, type IconName } from "./icons";

export interface Action {
  label: ReactNode;
  onClick: () => void;
  disabled?: boolean;
  /** Without a border; leaves the bar on a narrow screen (Back, Start over). */
  quiet?: boolean;
  /** False where Ctrl Enter belongs to another button of the step. */
  main?: boolean;
}

/**
 * The foot of every step: left one sentence on where things stand, right at most two buttons, the last one primary.
 * `tone: "block"` colours the icon when the sentence says why the primary is off. Ctrl Enter presses the primary.
 */
export function ActionBar({ icon, text, tone, secondary, primary }: { icon: IconName; text: ReactNode; tone?: "block"; secondary?: Action; primary?: Action }) {
  return (
    <footer className="actionbar">
      <span className="why">
        <span className={tone === "block" ? "why-block" : "why-icon"}><Icon name={icon} /></span>
        <span>{text}</span>
      </span>
      {secondary && <button type="button" className={secondary.quiet ? "btn ghost" : "btn"} disabled={secondary.disabled} onClick={secondary.onClick}>{secondary.label}</button>}
      {primary && <button type="button" className="btn primary" data-main-action={primary.main === false ? undefined : true} disabled={primary.disabled} onClick={primary.onClick}>{primary.label}</button>}
    </footer>
  );
}
