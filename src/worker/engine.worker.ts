/** The engine's host in the tab: hands it the GPU, the stored models and the places to write, and answers the page. */
import { modelFacts } from "../analysis/facts";
import { createEngine } from "../engine/engine";
import type { ModelFacts } from "../engine/api";
import { indexedDatabases } from "../store/keyValue";
import { createLibrary } from "../store/library";
import { localLocks, webLocks } from "../store/locks";
import { awaitSpace, freeBytes, probeQuota } from "../store/quota";
import { readBlobsThrough, readerCounts } from "../store/blobFile";
import { browserMajor } from "./browser";
import { createFisherFiles } from "./fisherFiles";
import { withJobLocks } from "./jobs";
import { createOutputs } from "./outputs";
import { connectReader } from "./reader";
import { expose } from "./rpc";
import { connectWriter } from "./writer";

// Outside secure contexts these are missing; the page still loads, inspects in place, and says what is not there.
const storage = navigator.storage as StorageManager | undefined;
const manager = navigator.locks as LockManager | undefined;
const locks = manager ? webLocks(manager) : localLocks();

const databases = indexedDatabases(indexedDB);
const library = createLibrary<ModelFacts>({
  databases,
  locks,
  describe: modelFacts,
  ...(storage && {
    ownFiles: () => storage.getDirectory(),
    probeQuota: (bytes: number) => probeQuota(storage, bytes),
    freeBytes: () => freeBytes(storage),
    awaitSpace: (before: number | undefined, bytes: number) => awaitSpace(storage, before, bytes),
    usedBytes: async () => (await storage.estimate()).usage,
    persisted: () => storage.persisted(),
  }),
});

const outputs = createOutputs({ storage, locks, records: databases.open("studio-exports"), writer: connectWriter() });
// Leftovers cost only space; the next start tries again.
library.ownFolders().then((kept) => outputs.sweep(kept)).catch(() => undefined);
const fisherFiles = createFisherFiles(storage);
readBlobsThrough(connectReader(() => readBlobsThrough(undefined)));

const engine = createEngine({
  gpu: (navigator as { gpu?: GPU }).gpu,
  library: { ...library, storage: async () => ({ ...(await library.storage()), reader: { ...readerCounts } }) },
  passes: databases.open("studio-passes"),
  locks,
  tuning: { store: databases.open("studio-kernels"), browser: browserMajor(navigator.userAgent) },
  openOutput: (target, job) => outputs.open(target, job),
  staged: outputs.finished,
  unfinished: { list: () => outputs.unfinished(), discard: (id) => outputs.discardUnfinished(id) },
  fisherFile: (key, size) => fisherFiles.create(key, size),
  readFisherFile: (key) => fisherFiles.read(key),
});

expose(withJobLocks(engine, locks), self);
