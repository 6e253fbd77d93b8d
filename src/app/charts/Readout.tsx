import { useEffect, useState } from "react";
import type { LayerRow } from "../../engine/api";
import { QUANTITIES, type Quantity } from "./columns";
import { useLayerCursor } from "./cursor";

/** All numbers of the layer under the cursor, on the page instead of in a floating box. */
export function Readout({ rows, quantities }: { rows: LayerRow[]; quantities: readonly Quantity[] }) {
  const { layer } = useLayerCursor();
  const row = rows[layer];
  return (
    <section className="readout" aria-label="Values of the layer under the cursor">
      <div>
        <span>layer</span>
        <b>{row ? row.layer : "–"}</b>
      </div>
      {quantities.map((q) => (
        <div key={q}>
          <span>{QUANTITIES[q].label}</span>
          <b>{QUANTITIES[q].show(row?.[q])}</b>
        </div>
      ))}
      <Spoken text={row ? `Layer ${row.layer}: ${quantities.map((q) => `${QUANTITIES[q].label} ${QUANTITIES[q].show(row[q])}`).join(", ")}` : ""} />
    </section>
  );
}

/** Tells screen readers the line once the cursor rests, not at every step of a sweep. */
function Spoken({ text }: { text: string }) {
  const [said, setSaid] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => setSaid(text), 1200);
    return () => clearTimeout(timer);
  }, [text]);
  return (
    <p className="vh" role="status">
      {said}
    </p>
  );
}
