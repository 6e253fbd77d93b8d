import { lazy, Suspense } from "react";
import type { StepId } from "./state";
import { useStudio } from "./state/useStudio";
import { ActionBar } from "./ui/ActionBar";
import { Shell } from "./ui/Shell";
import { CheckStep } from "./panels/check/CheckStep";
import { Drawers } from "./panels/drawers/Drawers";
import { LoadStep } from "./panels/load/LoadStep";
import { FoldersProvider } from "./panels/shell/Folders";
import { PageSignals } from "./panels/shell/PageSignals";
import { TopBar } from "./panels/shell/TopBar";
import { useKeyboard } from "./panels/shell/useKeyboard";

// The chart library is fetched when Shape or Try is first opened.
const ShapeStep = lazy(() => import("./panels/shape/ShapeStep"));
const TryStep = lazy(() => import("./panels/try/TryStep"));
const SaveStep = lazy(() => import("./panels/save/SaveStep"));

export function App() {
  useKeyboard();
  const step = useStudio((s) => s.step);
  return (
    <FoldersProvider>
      <a className="skip" href="#main">Skip to the step</a>
      <div className="shell">
        <TopBar />
        {/* Keyed: a step that is still being fetched does not keep the one before it in the page. */}
        <Suspense key={step} fallback={<Opening />}><Step step={step} /></Suspense>
      </div>
      <Drawers />
      <PageSignals />
    </FoldersProvider>
  );
}

function Step({ step }: { step: StepId }) {
  switch (step) {
    case "load": return <LoadStep />;
    case "check": return <CheckStep />;
    case "shape": return <ShapeStep />;
    case "try": return <TryStep />;
    case "save": return <SaveStep />;
  }
}

function Opening() {
  return <Shell title="Opening" actions={<ActionBar icon="running" text="Opening this step." />}><span /></Shell>;
}
