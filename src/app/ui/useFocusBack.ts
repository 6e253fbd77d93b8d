import { useState } from "react";

/** For a dialog without a trigger of its own: on closing, focus returns to what had it when the dialog opened. */
export function useFocusBack(): (event: Event) => void {
  const [before] = useState(() => document.activeElement);
  return (event) => {
    if (!(before instanceof HTMLElement) || !before.isConnected) return;
    event.preventDefault();
    before.focus();
  };
}
