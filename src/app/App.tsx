import { lazy, Suspense } from "react";
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
import { TryStep } from "./panels/try/TryStep";

// The chart library is fetched when Shape is first opened.
const ShapeStep = lazy(() => import("./panels/shape/ShapeStep"));
const SaveStep = lazy(() => import("./panels/save/SaveStep"));

export function App() {
  useKeyboard();
  return (
    <FoldersProvider>
      <a className="skip" href="#main">Skip to the step</a>
      <div className="shell">
        <TopBar />
        <Suspense fallback={<Opening />}><Step /></Suspense>
      </div>
      <Drawers />
      <PageSignals />
    </FoldersProvider>
  );
}

function Step() {
  const step = useStudio((s) => s.step);
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
