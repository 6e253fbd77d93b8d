import { useShallow, useStudio } from "../../state/useStudio";
import { bytes } from "../../ui/format";
import { Banner } from "../../ui/marks";

/** Models whose writing a closed tab, a crash or a full disk cut off: continue behind what is written, or discard it. */
export function UnfinishedExports() {
  // Of one with an error card, the card has the choices.
  const unfinished = useStudio(useShallow((s) => s.unfinished.filter((u) => !s.errors.some((e) => e.context === `Writing ${u.target.name}`))));
  const busy = useStudio((s) => Object.values(s.running).some((job) => job.kind === "export"));
  const proceed = useStudio((s) => s.continueExport);
  const discard = useStudio((s) => s.discardExport);
  if (busy) return null;
  return unfinished.map(({ id, target, bytesDone, bytesTotal }) => (
    <Banner
      key={id} icon="clock" lead="Unfinished work."
      actions={<><button type="button" className="btn s primary" onClick={() => void proceed(id)}>Continue writing</button><button type="button" className="btn s" onClick={() => void discard(id)}>Discard</button></>}
    >
      {target.name}, {bytes(bytesDone)} of {bytes(bytesTotal)} written. What is written is kept until you discard it or write another model.
    </Banner>
  ));
}
