import { useId, useMemo, type ReactNode } from "react";
import type { NumberSpec } from "../../../core/params";
import type { TryRole } from "../../state";
import { useStudio } from "../../state/useStudio";
import { Icon } from "../../ui/icons";
import { NumberBox, useNumberBox } from "../shape/ParamField";

/** Role by shape, colour and word; others are triangles. */
export const RoleMark = ({ role, children }: { role: TryRole; children: ReactNode }) => <span className={`role ${role}`}>{children}</span>;
export const ROLE_WORDS: Record<TryRole, string> = { base: "Base", tuned: "Fine-tuned", merged: "Merged", other: "For comparison" };

/** A number in a row of settings, with its label before it. */
export function NumberSetting({ label, value, min, max, integer = true, width = 66, onChange }: { label: string; value: number; min: number; max: number; integer?: boolean; width?: number; onChange: (value: number) => void }) {
  const errorId = useId();
  const spec = useMemo((): NumberSpec => ({ kind: "number", label, help: "", effect: "at-once", default: min, min, max, step: integer ? 1 : 0.01, integer }), [label, min, max, integer]);
  const box = useNumberBox(spec, value, onChange);
  return (
    <span>
      {label} <NumberBox label={label} errorId={errorId} width={width} {...box} />
      {box.error && <span className="bad-help" id={errorId} role="alert">{box.error}</span>}
    </span>
  );
}

/** Runs the tab's work, or stops it; the keys stand on the buttons. */
export function RunButton({ label, disabled, onRun }: { label: string; disabled?: boolean; onRun: () => void }) {
  const trying = useStudio((s) => s.trying);
  const stop = useStudio((s) => s.stopTrying);
  if (trying) return <button type="button" className="btn primary start" disabled={trying.stopping} onClick={() => void stop()}><Icon name="stop" />{trying.stopping ? "Stopping" : "Stop"}<span className="kbd">Esc</span></button>;
  return <button type="button" className="btn primary start" data-main-action disabled={disabled} onClick={onRun}><Icon name="play" />{label}<span className="kbd">Ctrl ↵</span></button>;
}

/** A remark under what it is about. */
export const NoteLine = ({ children }: { children: string }) => <div className="note-line"><Icon name="info" /><span>{children}</span></div>;
