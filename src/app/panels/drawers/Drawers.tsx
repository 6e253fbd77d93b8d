import { useStudio } from "../../state/useStudio";
import { GpuDrawer } from "./GpuDrawer";
import { HistoryDrawer } from "./HistoryDrawer";
import { KeysDrawer } from "./KeysDrawer";
import { MethodsDrawer } from "./MethodsDrawer";
import { NetworkDrawer } from "./NetworkDrawer";
import { Palette } from "./Palette";
import { StorageDrawer } from "./StorageDrawer";

/** The one drawer that is open. */
export function Drawers() {
  const drawer = useStudio((s) => s.drawer);
  const openDrawer = useStudio((s) => s.openDrawer);
  const close = (): void => openDrawer("none");
  switch (drawer) {
    case "gpu": return <GpuDrawer onClose={close} />;
    case "storage": return <StorageDrawer onClose={close} />;
    case "history": return <HistoryDrawer onClose={close} />;
    case "keys": return <KeysDrawer onClose={close} />;
    case "methods": return <MethodsDrawer onClose={close} />;
    case "network": return <NetworkDrawer onClose={close} />;
    case "palette": return <Palette onClose={close} />;
    case "none": return null;
  }
}
