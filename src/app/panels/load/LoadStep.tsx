import { useStudio } from "../../state/useStudio";
import { FirstScreen } from "./FirstScreen";
import { LoadedScreen } from "./LoadedScreen";

/** The first screen until a folder is dropped or a stored model has a role; then what is being read and what is ready. */
export function LoadStep() {
  const empty = useStudio((s) => s.baseId === undefined && s.modelIds.length === 0 && s.queue.every((item) => item.state === "cancelled" || item.state === "failed"));
  return empty ? <FirstScreen /> : <LoadedScreen />;
}
