import { canLink } from "../../intake";
import type { Adding } from "../../state";
import { useStudio } from "../../state/useStudio";

/** Copy or link: what it costs beside each, remembered for the next visit. A folder that waits takes the way chosen at its turn. */
export function AddingChoice() {
  const adding = useStudio((s) => s.adding);
  const setAdding = useStudio((s) => s.setAdding);
  const linked = canLink();
  const choices: { value: Adding; label: string; help: string }[] = [
    { value: "copy", label: "Copy into this browser", help: "Takes the folder’s size of disk space. Is there again after a reload." },
    { value: "link", label: linked ? "Link, don’t copy" : "Read in place, don’t copy", help: linked ? "Takes no disk space. The browser asks again after a reload." : "Takes no disk space. After a reload, drop the folder again." },
  ];
  return (
    <fieldset className="adding">
      <legend className="vh">How to add a folder</legend>
      {choices.map((c) => (
        // The words stand one level deeper than the rule looks.
        // eslint-disable-next-line jsx-a11y/label-has-associated-control
        <label key={c.value} className="row top where-choice">
          <input type="radio" className="radio" name="adding" value={c.value} checked={adding === c.value} onChange={() => setAdding(c.value)} />
          <span><b>{c.label}</b><br /><span className="tiny muted">{c.help}</span></span>
        </label>
      ))}
    </fieldset>
  );
}
