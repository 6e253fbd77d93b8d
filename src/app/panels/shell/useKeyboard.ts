import { useEffect } from "react";
import { STEPS } from "../../state";
import { useStudioStore } from "../../state/useStudio";

/** The keys that work everywhere. Letters and digits rest while a text field has focus; chart keys live with the charts. */
export function useKeyboard(): void {
  const store = useStudioStore();
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.defaultPrevented || event.isComposing) return;
      const s = store.getState();
      const control = event.ctrlKey || event.metaKey;
      const key = event.key.toLowerCase();
      const writing = isWriting(event.target);
      if (control && !event.altKey) {
        if (key === "k") s.openDrawer(s.drawer === "palette" ? "none" : "palette");
        else if (key === "enter") document.querySelector<HTMLButtonElement>("[data-main-action]:not([disabled])")?.click();
        else if (key === "z" && !writing) (event.shiftKey ? s.redo : s.undo)();
        else return;
        event.preventDefault();
        return;
      }
      if (writing || event.altKey || s.drawer !== "none") return;
      const step = STEPS[Number(event.key) - 1];
      if (step) s.go(step.id);
      else if (event.key === "?") s.openDrawer("keys");
      else if (key === "h") s.openDrawer("history");
      else return;
      event.preventDefault();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [store]);
}

function isWriting(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement) return !["checkbox", "radio", "range", "button"].includes(target.type);
  return target.isContentEditable || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
}
