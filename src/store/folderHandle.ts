import { StudioError } from "../core/errors";
import type { OutputFolder, OutputJournal } from "../core/files";
import { safeName } from "./directories";
import { accessDenied } from "./failures";
import type { FileWriter } from "./fileWriter";
import { handleFolder } from "./handleFolder";
import { removeEntry } from "./opfs";

/** The names in a directory. */
async function namesIn(directory: FileSystemDirectoryHandle): Promise<string[]> {
  const names: string[] = [];
  for await (const name of (directory as FileSystemDirectoryHandle & { keys(): AsyncIterable<string> }).keys()) names.push(name);
  return names;
}

const topOf = (path: string): string => path.split("/")[0]!;

export interface PickedFolder extends OutputFolder, Pick<OutputJournal, "adopt" | "holds"> {
  suspend(): Promise<void>;
}

/** Browsers write beside the file, under a name of its own, and rename it at the end; a crash leaves that one. */
const unwhole = (name: string): string => name.replace(/(\.\d+)?\.crswap$/, "");

/**
 * An OutputFolder in a folder the user picked: a subfolder `name` of it, written with createWritable from front to back, so
 * that a file is there whole or not at all. An existing subfolder is used only when it is empty, or holds nothing but
 * `earlier`, the files of a try that is continued: nothing of the user's is ever overwritten. `discard` removes what was
 * created, now and in that try, the subfolder included when it is new.
 * Throws "bad-request" when the subfolder holds other files, "permission" when the browser refuses.
 */
export async function pickedFolder(parent: FileSystemDirectoryHandle, name: string, writer: FileWriter, earlier?: readonly string[]): Promise<PickedFolder> {
  const folderName = safeName(name);
  let root: FileSystemDirectoryHandle;
  let isNew = earlier !== undefined;
  let there: string[];
  try {
    root = await parent.getDirectoryHandle(folderName).catch((error: unknown) => {
      if (!(error instanceof Error) || error.name !== "NotFoundError") throw error;
      isNew = true;
      return parent.getDirectoryHandle(folderName, { create: true });
    });
    there = await namesIn(root);
  } catch (error) {
    throw error instanceof Error && error.name === "NotAllowedError" ? accessDenied(`Saving to ${parent.name}`, error) : error;
  }
  const own = new Set((earlier ?? []).map(topOf));
  const strangers = there.filter((n) => !own.has(unwhole(n)));
  if (strangers.length > 0) {
    const found = strangers.slice(0, 4).join(", ");
    throw new StudioError("bad-request", `Saving to ${parent.name}/${folderName}: the folder already holds ${found}. Nothing is overwritten; choose another name or another folder.`, {
      title: "The folder is not empty",
      where: `${parent.name}/${folderName}`,
      found,
      expected: "an empty or new folder",
      todo: "Choose another name for the result, or another folder.",
    });
  }
  for (const swap of there.filter((n) => n !== unwhole(n))) await removeEntry(root, swap).catch(() => undefined); // the browser may guard them

  const files = handleFolder(root, writer, false, `${folderName}/`);
  return {
    create: files.create,
    open: files.open,
    digest: files.digest,
    adopt: files.adopt,
    holds: files.holds,
    times: files.times,
    finish: async () => undefined,
    suspend: files.letGo,
    discard: async () => {
      await files.letGo();
      // Whole first segments: `create` only ever made things inside an empty folder.
      for (const top of new Set([...files.created].map(topOf).concat(there.filter((n) => own.has(n))))) await removeEntry(root, top).catch(() => undefined);
      if (isNew) await removeEntry(parent, folderName).catch(() => undefined);
    },
  };
}
