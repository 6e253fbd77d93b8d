import { useStudio } from "../../state/useStudio";
import { ActionBar } from "../../ui/ActionBar";
import { Banner } from "../../ui/marks";
import { Shell } from "../../ui/Shell";

/** Not in this version yet; one line says so, and the way on is open. */
export function TryStep() {
  const go = useStudio((s) => s.go);
  return (
    <Shell
      title="Try" intro="Here the base, the fine-tuned and the merged model will answer the same prompt side by side." peek
      actions={<ActionBar icon="lock" text="Try is not in this version yet. Save works without it." secondary={{ label: "Back", quiet: true, onClick: () => go("shape") }} primary={{ label: "Continue to Save", onClick: () => go("save") }} />}
    >
      <Banner icon="lock" lead="Try is not in this version yet.">Save works without it.</Banner>
    </Shell>
  );
}
