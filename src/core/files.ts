/**
 * A readable file, wherever it lives: a dropped File, chunks in IndexedDB, OPFS, the disk in a terminal.
 * `read` returns exactly `length` bytes or throws StudioError; it may reuse `into` (and then returns a view of it).
 */
export interface FileSource {
  /** Path inside the model folder, "/" separated, without the folder's own name. */
  readonly path: string;
  readonly size: number;
  /** Milliseconds since 1970; 0 when unknown. */
  readonly lastModified: number;
  read(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array>;
}

/** A file being written from front to back. */
export interface OutputFile {
  write(bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** Where a merged model goes. Nothing half-written stays behind: `discard` removes all that was created. */
export interface OutputFolder {
  create(path: string, size: number): Promise<OutputFile>;
  /** Reads a closed file back, from where it was really written. */
  open(path: string): Promise<FileSource>;
  finish(): Promise<void>;
  discard(): Promise<void>;
}

/** A file held in memory: small texts, and tests. */
export function memoryFile(path: string, bytes: Uint8Array, lastModified = 0): FileSource {
  return {
    path,
    size: bytes.byteLength,
    lastModified,
    read: async (offset, length) => bytes.subarray(offset, offset + length),
  };
}
