/** Where a model's bytes are, and what that costs, in words. */
import type { StoredModel } from "../../../engine/api";
import { bytes, plural } from "../../ui/format";

/** Bytes of this browser's storage that the model takes. */
export function storedBytes(model: StoredModel): number {
  if (model.backend === "link" || model.backend === "session" || model.state === "evicted") return 0;
  return model.state === "ingesting" ? Math.round((model.bytes * model.chunksDone) / Math.max(1, model.chunks)) : model.bytes;
}

/** "copied: 3.09 GB of this browser's storage", "linked: no copy; asks again after a reload". */
export function placeOf(model: StoredModel): string {
  if (model.backend === "link") return "linked: no copy; asks again after a reload";
  if (model.backend === "session") return "read in place: no copy; gone after a reload";
  return `${model.backend === "opfs" ? "result of a merge" : "copied"}: ${bytes(storedBytes(model))} of this browser’s storage`;
}

/** One line for lists: state, place and sample. */
export function describe(model: StoredModel, reading: boolean): string {
  const sample = model.sample ? ", sample" : "";
  if (model.state === "locked") return "linked, needs your permission";
  if (model.state === "evicted") return model.backend === "opfs" ? "deleted by the browser" : "deleted by the browser, drop the folder again";
  if (model.state === "ingesting") return `${reading ? (model.backend === "copy" ? "copying" : "reading") : "unfinished copy"}, ${model.chunksDone} of ${plural(model.chunks, "chunk")}`;
  if (model.backend === "link") return `linked in place, asks again after a reload${sample}`;
  if (model.backend === "session") return `read in place, gone after a reload${sample}`;
  if (model.backend === "opfs") return "result of a merge, verified";
  return `copied${model.hash ? ", verified" : ""}${sample}`;
}
