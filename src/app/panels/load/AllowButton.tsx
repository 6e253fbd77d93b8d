import { useState } from "react";
import type { StoredModel } from "../../../engine/api";
import { useStudio } from "../../state/useStudio";

/** Asks the browser for the files of a linked model: it answers only to a click. */
export function AllowButton({ model, primary = false }: { model: StoredModel; primary?: boolean }) {
  const reconnect = useStudio((s) => s.reconnect);
  const [asking, setAsking] = useState(false);
  const ask = (): void => {
    setAsking(true);
    void reconnect(model.id).finally(() => setAsking(false));
  };
  return <button type="button" className={primary ? "btn s primary" : "btn s"} disabled={asking} aria-label={`Allow access to ${model.name}`} onClick={ask}>{asking ? "Asking the browser…" : "Allow access"}</button>;
}
