import { canOpen } from "../../state";
import type { ScoreRow } from "../../state/contenders";
import { useStudio } from "../../state/useStudio";
import { Banner } from "../../ui/marks";
import { finding } from "./findingWords";

/** What the numbers say of the merge, and what to do with it. */
export function Finding({ rows }: { rows: readonly ScoreRow[] }) {
  const go = useStudio((s) => s.go);
  const canSave = useStudio((s) => canOpen(s, "save"));
  const found = finding(rows);
  if (!found) return null;
  return (
    <Banner icon="info" lead={found.lead}>
      {found.numbers} {found.doubt}<br />
      Next: <button type="button" className="link" onClick={() => go("shape")}>change the recipe</button>, sweep two of its numbers below{canSave && <>, or <button type="button" className="link" onClick={() => go("save")}>save this merge</button></>}.
    </Banner>
  );
}
