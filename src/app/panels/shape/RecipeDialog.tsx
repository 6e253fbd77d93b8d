import { useEffect, useId, useState, type RefObject } from "react";
import { toStudioError } from "../../../core/errors";
import { Dialog } from "radix-ui";
import { saveText } from "../../charts/csv";
import { useStudio } from "../../state/useStudio";
import { Icon } from "../../ui/icons";

/** The recipe as text: read it, copy it, or put another one in its place. */
export function RecipeDialog({ open, onClose, returnTo }: { open: boolean; onClose: () => void; returnTo: RefObject<HTMLElement | null> }) {
  const back = (event: Event) => {
    event.preventDefault();
    returnTo.current?.focus();
  };
  return (
    <Dialog.Root open={open} onOpenChange={(next) => !next && onClose()}>
      <Dialog.Portal>
        <Dialog.Overlay className="recipe-scrim" />
        <Dialog.Content className="recipe-dialog" onCloseAutoFocus={back} aria-describedby={undefined}>
          <header>
            <Dialog.Title asChild><h2>Recipe</h2></Dialog.Title>
            <Dialog.Close asChild><button type="button" className="btn icon s" aria-label="Close"><Icon name="close" /></button></Dialog.Close>
          </header>
          <Contents onClose={onClose} />
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

function Contents({ onClose }: { onClose: () => void }) {
  const recipe = useStudio((s) => s.recipe);
  const planned = useStudio((s) => s.exportPlan?.recipeJson);
  const readRecipe = useStudio((s) => s.readRecipe);
  const [file, setFile] = useState("the pasted recipe");
  const [loading, setLoading] = useState(false);
  const [text, setText] = useState("");
  const [sentence, setSentence] = useState<string>();
  const [copied, setCopied] = useState(false);
  const fieldId = useId();
  const errorId = useId();
  useEffect(() => setSentence(undefined), [text]);
  if (!recipe) return null;
  const json = planned ?? JSON.stringify(recipe, null, 2);
  const use = () => {
    readRecipe(text, file).then(onClose, (error: unknown) => setSentence(toStudioError(error).message));
  };
  if (loading)
    return (
      <>
        <div className="recipe-body stack">
          <label htmlFor={fieldId} className="small">Paste a recipe.json or a mergekit YAML, or choose the file. It replaces method and options; models are found by their content, then by name.</label>
          <textarea id={fieldId} className="input recipe-text" value={text} spellCheck={false} aria-invalid={sentence !== undefined} aria-describedby={sentence ? errorId : undefined} onChange={(event) => setText(event.target.value)} />
          {sentence && <p className="help bad-help" role="alert" id={errorId}>{sentence}</p>}
        </div>
        <footer>
          <label className="btn s file-btn">
            <Icon name="file" small />Choose a file
            <input type="file" accept=".json,.yaml,.yml,application/json" className="vh" onChange={(event) => {
              const chosen = event.target.files?.[0];
              if (!chosen) return;
              setFile(chosen.name);
              void chosen.text().then(setText);
            }} />
          </label>
          <span className="grow" />
          <button type="button" className="btn s ghost" onClick={() => setLoading(false)}>Back</button>
          <button type="button" className="btn s primary" disabled={text.trim() === ""} onClick={use}>Use this recipe</button>
        </footer>
      </>
    );
  return (
    <>
      {/* Focusable so that the keyboard can scroll it. */}
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <pre className="recipe-body recipe-json" tabIndex={0} role="region" aria-label="recipe.json">{json}</pre>
      <footer>
        <button type="button" className="btn s ghost" onClick={() => setLoading(true)}>Load a recipe</button>
        <span className="grow" />
        <button type="button" className="btn s" onClick={() => saveText("recipe.json", json, "application/json")}><Icon name="download" small />Save</button>
        <button type="button" className="btn s primary" onClick={() => void navigator.clipboard.writeText(json).then(() => setCopied(true))}><Icon name={copied ? "check" : "copy"} small />{copied ? "Copied" : "Copy"}</button>
      </footer>
    </>
  );
}
