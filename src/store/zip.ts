import { makeZip } from "client-zip";
import { throwIfCancelled } from "../core/errors";
import type { OutputFile } from "../core/files";

/**
 * Packs files into one archive, stored without compression (weights do not compress), Zip64 where sizes need it.
 * The archive is streamed into `out`; no file is held in memory.
 */
export async function packZip(files: { name: string; file: File }[], out: Pick<OutputFile, "write" | "close">, signal?: AbortSignal): Promise<void> {
  const reader = makeZip(files.map(({ name, file }) => ({ name, input: file, size: file.size }))).getReader();
  try {
    for (;;) {
      throwIfCancelled(signal);
      const { value, done } = await reader.read();
      if (done) break;
      await out.write(value);
    }
    await out.close();
  } catch (error) {
    await reader.cancel(error).catch(() => undefined);
    throw error;
  }
}
