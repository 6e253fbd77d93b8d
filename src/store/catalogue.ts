import type { LinkedHandles } from "./handles";
import type { Databases, KeyValue } from "./keyValue";

/**
 * Where the bytes of a model are. `copy`: chunks in IndexedDB. `link`: the person's own files, by handles that are kept.
 * `session`: the person's own files, forgotten on reload. `opfs`: a finished result in the origin's own file system.
 */
export type Backend = "copy" | "link" | "session" | "opfs";

/** One model as the studio lists it. `Facts` is what the analysis says about it; this folder does not look inside. */
export interface StoredRecord<Facts = unknown> {
  id: string;
  name: string;
  /** `locked`: linked, and the browser has to be asked for the files again, or they are not as they were. */
  state: "ingesting" | "ready" | "evicted" | "locked";
  backend: Backend;
  createdAt: number;
  bytes: number;
  files: number;
  /** Chunks of weight files. */
  chunks: number;
  chunksDone: number;
  hash?: string;
  sample?: boolean;
  facts: Facts;
}

/** What tells one version of a file from another without reading it. */
export interface SourceEntry {
  path: string;
  size: number;
  lastModified: number;
  /** XXH3-128 of the header of a weight file that is read in place; its equality is asked for when it is opened again. */
  header?: string;
}

/** `model/<id>` in the catalogue. `v` is the schema; later versions only add fields. */
export interface CatalogueEntry<Facts> {
  v: 1;
  model: StoredRecord<Facts>;
  source: SourceEntry[];
  /** Of a linked model. */
  handles?: LinkedHandles;
  /** Of a result that is used where it was written: its folder in the origin's own file system, "stages/<id>". */
  directory?: string;
}

export interface ManifestFile extends SourceEntry {
  kind: "safetensors" | "aux";
  chunks: number;
  done: boolean;
}

/** `m` in a model's own database. */
export interface Manifest {
  v: 1;
  id: string;
  name: string;
  createdAt: number;
  /** Bytes per chunk: 64 MiB outside of tests. */
  chunk: number;
  /** `blob`: a chunk is one Blob. `bytes`: it is several ArrayBuffers, where the browser cannot store Blobs. */
  records: "blob" | "bytes";
  files: ManifestFile[];
  totalBytes: number;
}

/** `s/..`: a chunk is there once this is; `x` is its XXH3-128 once it has been read back. */
export interface ChunkState {
  n: number;
  x: string | null;
}

const digits = (value: number, width: number): string => String(value).padStart(width, "0");
export const chunkKey = (file: number, chunk: number): string => `c/${digits(file, 4)}/${digits(chunk, 6)}`;
export const partKey = (file: number, chunk: number, part: number): string => `${chunkKey(file, chunk)}/${digits(part, 2)}`;
export const stateKey = (file: number, chunk: number): string => `s/${digits(file, 4)}/${digits(chunk, 6)}`;
export const headerKey = (file: number): string => `h/${digits(file, 4)}`;
export const MANIFEST = "m";

const CATALOGUE = "studio-catalog";
const MODEL_PREFIX = "studio-model-";
export const modelDatabase = (id: string): string => MODEL_PREFIX + id;

/** The list of models. Small records, always strict: a model that is listed is on disk. */
export interface Catalogue<Facts> {
  all(): Promise<CatalogueEntry<Facts>[]>;
  get(id: string): Promise<CatalogueEntry<Facts> | undefined>;
  put(entry: CatalogueEntry<Facts>): Promise<void>;
  remove(id: string): Promise<void>;
  /** The records' own database, for preferences and capability marks. */
  readonly keyValue: KeyValue;
  /** Ids of model databases without a record: a crash came between the two. */
  orphans(): Promise<string[]>;
}

export function openCatalogue<Facts>(databases: Databases): Catalogue<Facts> {
  const keyValue = databases.open(CATALOGUE);
  const all = async (): Promise<CatalogueEntry<Facts>[]> => {
    const keys = (await keyValue.keys()).filter((key) => key.startsWith("model/"));
    const entries = await Promise.all(keys.map((key) => keyValue.get<CatalogueEntry<Facts>>(key)));
    return entries.filter((entry) => entry !== undefined).sort((a, b) => a.model.createdAt - b.model.createdAt);
  };
  return {
    keyValue,
    all,
    get: (id) => keyValue.get(`model/${id}`),
    put: (entry) => keyValue.set(`model/${entry.model.id}`, entry, "strict"),
    remove: (id) => keyValue.del(`model/${id}`, "strict"),
    orphans: async () => {
      const known = new Set((await all()).map((entry) => entry.model.id));
      return (await databases.names()).filter((name) => name.startsWith(MODEL_PREFIX)).map((name) => name.slice(MODEL_PREFIX.length)).filter((id) => !known.has(id));
    },
  };
}
