import { StudioError } from "../core/errors";
import type { BlobReader } from "../store/blobFile";
import { connect } from "./rpc";

/** The reader in a worker of its own, started with the first read; undefined where a worker cannot have workers. `gone` is told when it stops. */
export function connectReader(gone: () => void): BlobReader | undefined {
  if (typeof Worker === "undefined") return undefined;
  let started: BlobReader | undefined;
  const start = (): BlobReader => {
    const worker = new Worker(new URL("./reader.worker.ts", import.meta.url), { type: "module", name: "reader" });
    const { api, fail } = connect<BlobReader>(worker);
    worker.addEventListener("error", (event) => {
      gone();
      fail(new StudioError("internal", `Reading the files: the reader stopped (${event.message || "its worker could not be loaded"}).`));
    });
    return api;
  };
  return { read: (blob, buffer) => (started ??= start()).read(blob, buffer) };
}
