import { createContext, useCallback, useContext, useEffect, useRef, useState, type ReactNode } from "react";
import { isTextFile } from "../../../core/calibrationText";
import { collectDrop, fromInput, isRecipeFile, pickFolder } from "../../intake";
import type { StudioState } from "../../state";
import { useStudioStore } from "../../state/useStudio";

interface Folders {
  /** Opens the browser's folder dialog. */
  choose: () => void;
  /** Something is being dragged over the page. */
  over: boolean;
}

/** Lets a file input take a folder; in every browser, in no standard, so React's types do not know it. */
const WHOLE_FOLDER = { webkitdirectory: "" };

const FoldersContext = createContext<Folders>({ choose: () => undefined, over: false });
export const useFolders = (): Folders => useContext(FoldersContext);

/** On the problems' page a .jsonl holds problems, elsewhere calibration text. */
const giveText = ({ step, tryTab, giveProblems, giveTextFile }: StudioState, file: File): Promise<void> =>
  step === "try" && tryTab === "evaluate" && !/\.txt$/i.test(file.name) ? giveProblems(file) : giveTextFile(file);

/** Drop anywhere, the folder dialog, and the plain input where there is no dialog: three doors, one hall. */
export function FoldersProvider({ children }: { children: ReactNode }) {
  const store = useStudioStore();
  const input = useRef<HTMLInputElement>(null);
  const [over, setOver] = useState(false);

  const add = useCallback(async (folders: ReturnType<typeof collectDrop>): Promise<void> => {
    const { addFolders, fail, go } = store.getState();
    try {
      const found = await folders;
      if (found.length === 0) return; // the dialog was closed
      go("load");
      await addFolders(found);
    } catch (error) {
      // Closing the dialog is a decision, not a fault.
      if (!(error instanceof DOMException && error.name === "AbortError")) fail(error, "Reading what was chosen");
    }
  }, [store]);

  const choose = useCallback((): void => {
    if ("showDirectoryPicker" in window) void add(pickFolder()).catch(() => undefined);
    else input.current?.click();
  }, [add]);

  useEffect(() => {
    const hasFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes("Files") ?? false;
    const onOver = (event: DragEvent): void => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      setOver(true);
    };
    const onLeave = (event: DragEvent): void => { if (event.relatedTarget === null) setOver(false); };
    const onDrop = (event: DragEvent): void => {
      setOver(false);
      if (!hasFiles(event) || !event.dataTransfer) return;
      event.preventDefault();
      const [only, ...more] = event.dataTransfer.files;
      if (only && more.length === 0 && isRecipeFile(only.name) && only.size > 0) void store.getState().dropRecipe(only);
      else if (only && more.length === 0 && isTextFile(only.name) && only.size > 0) void giveText(store.getState(), only);
      else void add(collectDrop(event.dataTransfer));
    };
    window.addEventListener("dragover", onOver);
    window.addEventListener("dragleave", onLeave);
    window.addEventListener("drop", onDrop);
    return () => {
      window.removeEventListener("dragover", onOver);
      window.removeEventListener("dragleave", onLeave);
      window.removeEventListener("drop", onDrop);
    };
  }, [add, store]);

  return (
    <FoldersContext value={{ choose, over }}>
      {children}
      <input
        ref={input} type="file" hidden multiple {...WHOLE_FOLDER} aria-label="Model folder"
        onChange={(event) => {
          const files = [...(event.target.files ?? [])];
          event.target.value = "";
          if (files.length > 0) void add(fromInput(files));
        }}
      />
    </FoldersContext>
  );
}
