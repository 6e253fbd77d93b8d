/** The directory `path` ("a/b/file" has the directories a and b), created on the way, and the file's own name. */
export async function directoryOf(root: FileSystemDirectoryHandle, path: string, create: boolean): Promise<{ directory: FileSystemDirectoryHandle; name: string }> {
  const parts = path.split("/");
  const name = parts.pop()!;
  let directory = root;
  for (const part of parts) directory = await directory.getDirectoryHandle(part, { create });
  return { directory, name };
}

/** A name that every file system takes: letters, digits, dot, dash, underscore and space survive. */
export function safeName(name: string): string {
  const cleaned = name.replace(/[^\p{L}\p{N}._ -]+/gu, "-").replace(/^[. -]+|[. ]+$/g, "");
  return cleaned.slice(0, 100) || "merged";
}
