import { medianMs, PIECE } from "../rates";

export interface OpfsTimes {
  readMs: number;
  writeMs: number;
}

interface SyncHandle {
  read(into: Uint8Array, options: { at: number }): number;
  write(from: Uint8Array, options: { at: number }): number;
  flush(): void;
  close(): void;
}

/** Writes a file of `size` bytes in pieces, reads it back, both timed, and removes it. */
async function measure(size: number): Promise<OpfsTimes> {
  const root = await navigator.storage.getDirectory();
  const handle = (await root.getFileHandle("bench", { create: true })) as FileSystemFileHandle & { createSyncAccessHandle(): Promise<SyncHandle> };
  const file = await handle.createSyncAccessHandle();
  const piece = new Uint8Array(PIECE).fill(1);
  const each = (work: (at: number) => void): void => {
    for (let at = 0; at < size; at += PIECE) work(at);
  };
  try {
    const writeMs = await medianMs(async () => {
      each((at) => file.write(piece, { at }));
      file.flush();
    }, 2);
    const readMs = await medianMs(async () => each((at) => file.read(piece, { at })), 3);
    return { readMs, writeMs };
  } finally {
    file.close();
    await root.removeEntry("bench");
  }
}

self.onmessage = async ({ data }: MessageEvent<number>) => self.postMessage(await measure(data));
