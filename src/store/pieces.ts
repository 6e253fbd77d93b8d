import type { FileMark, OutputFile } from "../core/files";

/** What takes the pieces of a file, in order. */
export interface PieceSink {
  /** Resolves with the buffer once it is free again. */
  put(buffer: ArrayBuffer, length: number): Promise<ArrayBuffer>;
  flush(): Promise<FileMark | undefined>;
  close(): Promise<string>;
}

/** Most bytes of a file that wait to be hashed and written: few enough to stop at once, enough to never run dry. */
export const PIECE_BYTES = 4 * 1024 * 1024;
export const CREDITS = 4;

/**
 * Cuts what is written into pieces of equal size, in `CREDITS` buffers that go round: while they are on their way the next
 * bytes are computed; when all are, `write` waits. `onWait` is told for how many milliseconds.
 */
export function inPieces(sink: PieceSink, size: number, onWait: (ms: number) => void): OutputFile {
  const pieceBytes = Math.max(1, Math.min(PIECE_BYTES, size));
  const idle: ArrayBuffer[] = [];
  let made = 0;
  let filling: Uint8Array<ArrayBuffer> | undefined;
  let filled = 0;
  let failure: { error: unknown } | undefined;
  let wake: (() => void) | undefined;

  const check = (): void => {
    if (failure) throw failure.error;
  };
  const take = async (): Promise<Uint8Array<ArrayBuffer>> => {
    check();
    if (idle.length === 0 && made < CREDITS) {
      made++;
      return new Uint8Array(pieceBytes);
    }
    const started = performance.now();
    while (idle.length === 0) {
      await new Promise<void>((resolve) => (wake = resolve));
      check();
    }
    if (performance.now() > started) onWait(performance.now() - started);
    return new Uint8Array(idle.pop()!);
  };
  const send = (): void => {
    if (!filling || filled === 0) return;
    sink
      .put(filling.buffer, filled)
      .then((buffer) => void idle.push(buffer), (error: unknown) => (failure ??= { error }))
      .finally(() => wake?.());
    filling = undefined;
    filled = 0;
  };

  return {
    write: async (bytes) => {
      check();
      for (let done = 0; done < bytes.length; ) {
        filling ??= await take();
        const count = Math.min(bytes.length - done, filling.length - filled);
        filling.set(bytes.subarray(done, done + count), filled);
        filled += count;
        done += count;
        if (filled === filling.length) send();
      }
    },
    flush: async () => {
      check();
      send();
      const mark = await sink.flush();
      check();
      return mark;
    },
    close: async () => {
      check();
      send();
      const hash = await sink.close();
      check();
      return hash;
    },
  };
}
