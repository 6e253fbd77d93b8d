import { useStudio } from "../../state/useStudio";
import { plural } from "../../ui/format";
import { Icon } from "../../ui/icons";
import { GpuBadge } from "./GpuBadge";
import { StepMini, StepStrip } from "./StepStrip";

export function TopBar() {
  const go = useStudio((s) => s.go);
  const requests = useStudio((s) => s.requests);
  const openDrawer = useStudio((s) => s.openDrawer);
  const gpu = useStudio((s) => s.gpu);
  return (
    <header className="topbar">
      <button type="button" className="brand" aria-label="Tributary" onClick={() => go("load")}><Mark /><span>Tributary</span></button>
      <StepStrip />
      <StepMini />
      <div className="tools">
        {gpu && <GpuBadge gpu={gpu} onClick={() => openDrawer("gpu")} />}
        <button type="button" className="badge network" onClick={() => openDrawer("network")}><Icon name="shield" small />{plural(requests, "request")}</button>
        <button type="button" className="btn icon wide" aria-label="Storage" onClick={() => openDrawer("storage")}><Icon name="storage" /></button>
        <button type="button" className="btn icon" aria-label="Run history" onClick={() => openDrawer("history")}><Icon name="clock" /></button>
        <button type="button" className="btn icon wide" aria-label="Keyboard shortcuts" onClick={() => openDrawer("keys")}><Icon name="help" /></button>
        <ThemeButton />
      </div>
    </header>
  );
}

export function Mark() {
  return <svg viewBox="0 0 22 22" aria-hidden="true"><path className="r1" d="M2 4c6 0 6 7 11 7" /><path className="r2" d="M2 18c6 0 6-7 11-7" /><path className="r3" d="M13 11h7" /></svg>;
}

function ThemeButton() {
  const theme = useStudio((s) => s.theme);
  const setTheme = useStudio((s) => s.setTheme);
  const dark = theme === "dark" || (theme === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
  return <button type="button" className="btn icon" aria-label={dark ? "Theme: dark. Switch to light" : "Theme: light. Switch to dark"} onClick={() => setTheme(dark ? "light" : "dark")}><Icon name="theme" /></button>;
}
