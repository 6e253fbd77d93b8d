/**
 * Folders on their way in: a drop, the directory picker, a directory input. The page only collects File objects, names,
 * and handles where the browser gives them; no byte is read here. Order of preference in a drop: handle, entry, plain files.
 */
import { StudioError } from "../core/errors";
import { isModelFile, isWeightFile } from "../core/modelFiles";
import type { IncomingFolder } from "../engine/api";
import { patience, TooLate, type Patience } from "./patience";

/** A file found on the way, its File fetched only when it is kept. */
export interface FoundFile {
  /** With the dropped folder's own name in front; no folder for loose files. */
  path: string;
  file(): Promise<File> | File;
  /** What a link keeps of it. */
  handle?: FileSystemFileHandle;
}

/** Handles of the folders on the way, by path. */
type Directories = Map<string, FileSystemDirectoryHandle>;

/** Models lie in the dropped folder or a little below it: a download cache has models--x/snapshots/hash/. */
const MAX_DEPTH = 4;

const parentOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf("/")));
const baseName = (path: string): string => path.slice(path.lastIndexOf("/") + 1);
/** A hidden folder that was chosen itself is meant; hidden things inside are not. */
const isHidden = (path: string): boolean => path.split("/").some((part, i, parts) => part.startsWith(".") && (i > 0 || parts.length === 1));
const holdsModel = (paths: string[]): boolean => paths.some((path) => isWeightFile(path) || path.endsWith(".safetensors.index.json"));

/** What a person calls the model in `directory`: the folder's name, or the repository's in a download cache. */
export function modelName(directory: string, files: string[]): string {
  const cached = /(?:^|\/)models--[^/]+--([^/]+)\/snapshots\/[^/]+$/.exec(directory);
  if (cached) return cached[1]!;
  if (directory) return baseName(directory);
  const weights = files.filter(isWeightFile);
  const stem = weights.length === 1 ? weights[0]!.replace(/\.safetensors$/, "") : "";
  return stem && stem !== "model" ? stem : "Loose files";
}

/**
 * The model folders among the files found: each directory that holds safetensors weights itself and lies in no other
 * such directory. Hidden files and other kinds of file are left out. With no weights anywhere, the outermost folders
 * come back whole, so that the reader can say what they hold instead.
 */
export async function groupFolders(found: FoundFile[], directories: Directories = new Map()): Promise<IncomingFolder[]> {
  const visible = found.filter((f) => !isHidden(f.path));
  if (visible.length === 0) throw nothingFound();
  const byDirectory = new Map<string, FoundFile[]>();
  for (const file of visible) {
    const directory = parentOf(file.path);
    byDirectory.set(directory, [...(byDirectory.get(directory) ?? []), file]);
  }
  const models = [...byDirectory.entries()].filter(([, files]) => holdsModel(files.map((f) => f.path))).map(([directory]) => directory);
  const outermost = models.filter((directory) => !models.some((other) => other !== "" && other !== directory && directory.startsWith(`${other}/`)));
  const collect = async (name: string, files: FoundFile[], cut: number): Promise<IncomingFolder> => {
    const directory = cut > 0 ? directories.get(files[0]?.path.slice(0, cut - 1) ?? "") : undefined;
    return {
      name,
      files: await Promise.all(files.map(async (f) => ({ path: f.path.slice(cut), file: await f.file(), ...(f.handle ? { handle: f.handle } : {}) }))),
      ...(directory ? { directory } : {}),
    };
  };

  if (outermost.length > 0) {
    return Promise.all(
      outermost.sort().map((directory) => {
        const cut = directory ? directory.length + 1 : 0;
        const files = byDirectory.get(directory)!.filter((f) => isModelFile(f.path.slice(cut)));
        return collect(
          modelName(
            directory,
            files.map((f) => f.path),
          ),
          files,
          cut,
        );
      }),
    );
  }
  const tops = [...new Set(visible.map((f) => (f.path.includes("/") ? f.path.slice(0, f.path.indexOf("/")) : "")))];
  return Promise.all(
    tops.map((top) =>
      collect(
        top || "Loose files",
        visible.filter((f) => (top ? f.path.startsWith(`${top}/`) : !f.path.includes("/"))),
        top ? top.length + 1 : 0,
      ),
    ),
  );
}

/** A file that, dropped alone, is a recipe: recipe.json, or mergekit's YAML. */
export const isRecipeFile = (name: string): boolean => /\.(?:json|ya?ml)$/i.test(name);

function nothingFound(): StudioError {
  return new StudioError("bad-file", `Reading what was dropped or chosen: there are no files in it. Drop a model folder with safetensors weights.`, { title: "No files", found: "no files", todo: "Drop a model folder." });
}

interface Walk {
  found: FoundFile[];
  directories: Directories;
  patience: Patience;
}

async function walkHandle(handle: FileSystemHandle, path: string, depth: number, walk: Walk): Promise<void> {
  if (handle.kind === "file") {
    const file = handle as FileSystemFileHandle;
    walk.found.push({ path, handle: file, file: () => walk.patience(path, file.getFile()) });
    return;
  }
  if (depth > MAX_DEPTH) return;
  const directory = handle as FileSystemDirectoryHandle;
  walk.directories.set(path, directory);
  const children = directory.values()[Symbol.asyncIterator]();
  for (;;) {
    const { value: child, done } = await walk.patience(path, children.next());
    if (done) return;
    if (!child.name.startsWith(".")) await walkHandle(child, path ? `${path}/${child.name}` : child.name, depth + 1, walk);
  }
}

async function walkEntry(entry: FileSystemEntry, path: string, depth: number, walk: Walk): Promise<void> {
  if (entry.isFile) {
    walk.found.push({ path, file: () => walk.patience(path, new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject))) });
    return;
  }
  if (depth > MAX_DEPTH) return;
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  for (;;) {
    // At most 100 entries come per call; an empty batch is the end.
    const batch = await walk.patience(path, new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject)));
    if (batch.length === 0) return;
    for (const child of batch) if (!child.name.startsWith(".")) await walkEntry(child, `${path}/${child.name}`, depth + 1, walk);
  }
}

type HandleItem = DataTransferItem & { getAsFileSystemHandle?(): Promise<FileSystemHandle | null> };

/**
 * The model folders of a drop. Call it inside the drop handler: handles and entries are captured before the first
 * await, after which the item list is dead.
 * Throws "bad-file" when there is no file in what was dropped, "permission" when the browser does not answer for a folder.
 */
export async function collectDrop(transfer: DataTransfer, waitMs?: number): Promise<IncomingFolder[]> {
  const captured = [...transfer.items]
    .filter((item) => item.kind === "file")
    .map((item: HandleItem) => ({
      handle: item.getAsFileSystemHandle?.()?.catch(() => null),
      entry: item.webkitGetAsEntry?.() ?? null,
      file: item.getAsFile(),
    }));
  const flat = [...transfer.files];

  const walk: Walk = { found: [], directories: new Map(), patience: patience(waitMs) };
  for (const { handle, entry, file } of captured) {
    const name = entry?.name ?? file?.name ?? "";
    // A browser that keeps a folder to itself may say nothing at all when asked for its handle; the entry may still do.
    const resolved = handle && (await walk.patience(name, handle).catch((error: unknown) => (error instanceof TooLate && entry ? null : Promise.reject(error as Error))));
    if (resolved) await walkHandle(resolved, resolved.name, 0, walk);
    else if (entry) await walkEntry(entry, entry.name, 0, walk);
    else if (file) walk.found.push({ path: file.webkitRelativePath || file.name, file: () => file });
  }
  if (captured.length === 0) for (const file of flat) walk.found.push({ path: file.webkitRelativePath || file.name, file: () => file });
  return groupFolders(walk.found, walk.directories);
}

type Picker = (options: { id?: string; mode?: "read" | "readwrite" }) => Promise<FileSystemDirectoryHandle>;
const picker = (): Picker | undefined => (globalThis as { showDirectoryPicker?: Picker }).showDirectoryPicker?.bind(globalThis);

/** Whether `pickFolder` and saving to a folder can work here (Chromium). */
export const canPickFolder = (): boolean => picker() !== undefined;

/** Whether this browser gives handles of what is dropped or picked, so that a link outlives a reload. */
export const canLink = (): boolean => canPickFolder() || (typeof DataTransferItem !== "undefined" && "getAsFileSystemHandle" in DataTransferItem.prototype);

/** The model folders in a folder the user picks; none when the dialog is closed. Throws "permission" without a picker. */
export async function pickFolder(waitMs?: number): Promise<IncomingFolder[]> {
  const show = picker();
  if (!show) throw new StudioError("permission", "Choosing a folder: this browser has no folder dialog for pages. Drop the folder, or use the file dialog.", { title: "No folder dialog" });
  let handle: FileSystemDirectoryHandle;
  try {
    handle = await show({ id: "models", mode: "read" });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") return [];
    throw error;
  }
  const walk: Walk = { found: [], directories: new Map(), patience: patience(waitMs) };
  // The origin's own root has no name; its files are then loose ones.
  await walkHandle(handle, handle.name, 0, walk);
  return groupFolders(walk.found, walk.directories);
}

/** The model folders of `<input type="file" webkitdirectory>` or `multiple`. */
export async function fromInput(files: FileList | readonly File[]): Promise<IncomingFolder[]> {
  const found = [...files].map((file): FoundFile => ({ path: file.webkitRelativePath || file.name, file: () => file })).filter((f) => f.path.split("/").length <= MAX_DEPTH + 2);
  return groupFolders(found);
}
