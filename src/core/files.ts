import type { StageTime } from "./stages";

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

/** Where a file stood at a flush: its first `bytes` bytes are on the disk. `hash` is the state of its SHA-256 there, where one can be kept. */
export interface FileMark {
  bytes: number;
  hash?: Uint8Array;
}

/** A file being written from front to back. What went wrong with an earlier write is thrown by the next call. */
export interface OutputFile {
  /** Takes the bytes; when it resolves, the array is the caller's again and there is room for more. */
  write(bytes: Uint8Array): Promise<void>;
  /** Resolves when all that was written before is on the disk; undefined for a file that can only be had whole. */
  flush(): Promise<FileMark | undefined>;
  /** The SHA-256 of the whole file, in hex. */
  close(): Promise<string>;
}

/** Notes about a job that is being written, kept beside its files: a later try of the same job goes on from the last one. */
export interface OutputJournal {
  /** What the try before noted last; undefined when there was none, or it was of another job. */
  readonly earlier: unknown;
  /** Replaces the note; it is on the disk when this resolves. */
  note(record: unknown): Promise<void>;
  /** Takes over a file that the try before has closed. False when it is not there with this size. */
  adopt(path: string, bytes: number): Promise<boolean>;
  /** Whether a file that the try before has not closed has at least these bytes. */
  holds(path: string, bytes: number): Promise<boolean>;
}

/** Where a merged model goes. Nothing half-written is handed out: `discard` removes all that was created. */
export interface OutputFolder {
  /** `from`: goes on with the file of the try before, behind this mark; what lies after it is cut off. */
  create(path: string, size: number, from?: FileMark): Promise<OutputFile>;
  /** Reads a closed file back, from where it was really written. */
  open(path: string): Promise<FileSource>;
  finish(): Promise<void>;
  discard(): Promise<void>;
  /** Absent where nothing outlives the program. */
  readonly journal?: OutputJournal;
  /** Ends this try and leaves what is on the disk to the next one. */
  suspend?(): Promise<void>;
  /** Takes the bytes of a file in order and keeps none; `close` answers with their SHA-256. Absent where files are hashed in the thread that writes them. */
  digest?(size: number): Promise<Pick<OutputFile, "write" | "close">>;
  /** How long hashing and writing took since the last call. */
  times?(): Promise<StageTime[]>;
  /** Bytes that could still be written, when that can be told. */
  freeBytes?(): Promise<number | undefined>;
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
