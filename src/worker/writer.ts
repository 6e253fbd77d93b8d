import { StudioError } from "../core/errors";
import { createFileWriter, type FileWriter } from "../store/fileWriter";
import { connect } from "./rpc";

/** The writer in a worker of its own, started with the first file; in this thread where a worker cannot have workers. */
export function connectWriter(): FileWriter {
  let started: FileWriter | undefined;
  const start = (): FileWriter => {
    if (typeof Worker === "undefined") return createFileWriter();
    const worker = new Worker(new URL("./writer.worker.ts", import.meta.url), { type: "module", name: "writer" });
    const { api, fail } = connect<FileWriter>(worker);
    worker.addEventListener("error", (event) => {
      fail(new StudioError("internal", `Writing the files: the writer stopped (${event.message || "its worker could not be loaded"}). Save again; what was flushed is kept.`, { title: "The writer stopped", todo: "Save again: it goes on where it stopped." }));
      started = undefined;
    });
    return api;
  };
  return new Proxy({} as FileWriter, { get: (_, name) => Reflect.get((started ??= start()), name) as unknown });
}
