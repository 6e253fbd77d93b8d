import type { OnProgress } from "../core/progress";
import type { Checkpoint } from "../core/tensors";
import type { StoredRecord } from "./catalogue";
import type { IngestFolder } from "./ingest";
import type { Databases } from "./keyValue";
import type { Locks } from "./locks";
import type { QuotaAnswer } from "./quota";

/** What the library is handed. Nothing in it reaches for the browser itself. */
export interface LibraryEnv<Facts> {
  databases: Databases;
  locks: Locks;
  /** What a folder is, from config and headers alone. */
  describe(checkpoint: Checkpoint): Promise<Facts> | Facts;
  /** The origin's own file system, for results that are used as inputs where they lie. */
  ownFiles?(): Promise<FileSystemDirectoryHandle>;
  /** Whether so many bytes more would be granted; without it, the write itself tells. */
  probeQuota?(bytes: number): Promise<QuotaAnswer>;
  freeBytes?(): Promise<number | undefined>;
  usedBytes?(): Promise<number | undefined>;
  /** Waits until `bytes` that were deleted are free, `before` being what was used until then. */
  awaitSpace?(before: number | undefined, bytes: number): Promise<void>;
  /** Asks the browser not to evict; may be refused. */
  persist?(): Promise<boolean>;
  persisted?(): Promise<boolean>;
  chunkBytes?: number;
  now?(): number;
}

export interface WorkOptions {
  signal?: AbortSignal;
  onProgress?: OnProgress;
}

export interface IngestOptions extends WorkOptions {
  /**
   * `copy`: chunks in the database. `link`: read in place by kept handles; a folder without handles becomes a session.
   * `session`: read in place and forgotten on reload.
   */
  backend: "copy" | "link" | "session";
  sample?: boolean;
}

/** A finished result in the origin's own file system. */
export interface OwnFolder {
  name: string;
  /** Path from the root of that file system. */
  directory: string;
  paths: string[];
}

/** The stored models. `Facts` is ModelFacts in the studio. */
export interface Library<Facts = unknown> {
  list(): Promise<StoredRecord<Facts>[]>;
  /** The model as a checkpoint. While it is being copied, headers and small files can be read already. */
  get(id: string): Promise<Checkpoint>;
  ingest(jobId: string, folder: IngestFolder, options: IngestOptions): Promise<StoredRecord<Facts>>;
  remove(id: string): Promise<void>;
  storage(): Promise<{ usedBytes: number; freeBytes: number | undefined; persistent: boolean }>;
  persist(): Promise<boolean>;
  /** The handles of a linked model, for the page to ask the browser with. */
  handles?(id: string): Promise<FileSystemHandle[]>;
  /** Opens a linked model again: every size, time and header as it was. Throws "permission", "file-changed". */
  reconnect?(id: string): Promise<StoredRecord<Facts>>;
  /** Makes a finished result a model of the library where it lies, without a copy; deleting the model deletes the files. */
  adopt?(jobId: string, folder: OwnFolder, options: WorkOptions): Promise<StoredRecord<Facts>>;
  /** Folders of the origin's own file system that belong to models. */
  ownFolders?(): Promise<string[]>;
}

/** A model that is open or being read. */
export interface Active<Facts> {
  record: StoredRecord<Facts>;
  checkpoint: Checkpoint;
}
