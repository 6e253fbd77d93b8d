import { useEffect } from "react";
import { useStudio } from "../../state/useStudio";

/** While `active`, Esc stops what runs, unless a drawer or a menu takes the key. */
export function useStopKey(active: boolean, stop: () => Promise<void>): void {
  const drawer = useStudio((s) => s.drawer);
  useEffect(() => {
    if (!active || drawer !== "none") return;
    const onKey = (event: KeyboardEvent): void => {
      if (event.key !== "Escape" || event.defaultPrevented) return;
      event.preventDefault();
      void stop();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [active, stop, drawer]);
}
