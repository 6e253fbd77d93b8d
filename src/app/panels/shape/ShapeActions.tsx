import type { MethodInfo } from "../../../engine/api";
import type { Quantity } from "../../charts/columns";
import { useStudio } from "../../state/useStudio";
import { ActionBar, type Action } from "../../ui/ActionBar";
import { doneSentence, passBlocked, readySentence, type PassFacts, type ShapeState } from "./shapeModel";

/** Foot of the Shape step: where things stand, and the one next thing. */
export function ShapeActions({ state, method, facts, layers, quantities, deltaKnown }: { state: ShapeState; method: MethodInfo | undefined; facts: PassFacts | undefined; layers: number; quantities: readonly Quantity[]; deltaKnown: boolean }) {
  const measure = useStudio((s) => s.measure);
  const go = useStudio((s) => s.go);
  const gpu = useStudio((s) => s.gpu);
  const preflight = useStudio((s) => s.preflight);
  const elapsed = useStudio((s) => s.measured?.elapsedMs);
  const phase = useStudio((s) => (s.measuring === undefined ? undefined : s.running[s.measuring]?.phases.find((p) => p.state === "now")));
  const paused = useStudio((s) => s.measuring !== undefined && s.running[s.measuring]?.paused === true);
  const back: Action = { label: "Back", quiet: true, onClick: () => go("check") };
  const verb = method?.needs.fisher || method?.gpuPass ? "Measure layers" : "Measure the change";
  const stages = useStudio((s) => s.recipe?.then?.length ?? 0);
  const blocked = passBlocked(method, preflight, gpu, stages);

  if (state === "empty" || !facts) return <ActionBar icon="lock" text="Shape needs a base and a fine-tuned model." secondary={{ ...back, onClick: () => go("load") }} />;
  if (state === "loading") return <ActionBar icon="running" text="Reading what is known of these two models." secondary={back} primary={{ label: verb, disabled: true, onClick: () => undefined }} />;
  if (state === "running") {
    const where = phase ? `${phase.label}${phase.count ? `, ${phase.count}` : ""}.` : "Starting.";
    return <ActionBar icon={paused ? "pause" : "running"} text={paused ? `Paused. ${where}` : `${where} You can switch tabs.`} secondary={back} primary={{ label: "Save", disabled: true, onClick: () => undefined }} />;
  }
  if (state === "ready" || state === "stale")
    return (
      <ActionBar
        icon={blocked ? "block" : "chip"}
        {...(blocked ? { tone: "block" as const } : {})}
        text={blocked ?? readySentence(method, facts, layers, gpu)}
        secondary={back}
        primary={{ label: state === "stale" ? `${verb} again`.replace("the change again", "again") : verb, disabled: blocked !== undefined, onClick: () => void measure() }}
      />
    );
  // A method without a pass can be saved at once; its change can still be measured to fill the charts.
  const optional = !method?.needs.fisher && method?.gpuPass === undefined && quantities.includes("delta2") && !deltaKnown;
  return (
    <ActionBar
      icon="check"
      text={optional ? "α needs no measuring and is ready to save. The change itself can be measured to see it." : doneSentence(method, elapsed)}
      secondary={optional ? { label: "Measure the change", onClick: () => void measure() } : back}
      primary={{ label: "Save", onClick: () => go("save") }}
    />
  );
}
