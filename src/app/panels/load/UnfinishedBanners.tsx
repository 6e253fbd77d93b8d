import { useFolders } from "../shell/Folders";
import { FinishedExports } from "../shell/FinishedExports";
import { UnfinishedExports } from "../shell/UnfinishedExports";
import { useShallow, useStudio } from "../../state/useStudio";
import { plural } from "../../ui/format";
import { Banner } from "../../ui/marks";

/** What an earlier visit left: copies and models that were being written, and merged models that wait for their downloads. */
export function UnfinishedBanners() {
  return <><UnfinishedCopies /><UnfinishedExports /><FinishedExports /></>;
}

/** A copy that a closed tab left behind, or that was cancelled before it had a panel of its own: drop the folder again to continue, or discard it. */
function UnfinishedCopies() {
  const { choose } = useFolders();
  const deleteModel = useStudio((s) => s.deleteModel);
  const unfinished = useStudio(useShallow((s) => s.models.filter((m) => m.state === "ingesting" && !s.queue.some((item) => item.modelId === m.id || (item.name === m.name && item.state !== "cancelled")))));
  return unfinished.map((model) => (
    <Banner
      key={model.id} icon="clock" lead="Unfinished work."
      actions={<><button type="button" className="btn s primary" onClick={() => choose()}>Choose the folder…</button><button type="button" className="btn s" onClick={() => void deleteModel(model.id)}>Discard</button></>}
    >
      {model.name}, {model.chunksDone} of {plural(model.chunks, "chunk")} copied. Drop the folder again to continue.
    </Banner>
  ));
}
