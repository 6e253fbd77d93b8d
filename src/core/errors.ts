/** Stable codes: they are searchable, shown on the error card, and one test raises each of them. */
export type ErrorCode =
  | "bad-file"
  | "bad-request"
  | "shape-mismatch"
  | "bad-recipe"
  | "unknown-architecture"
  | "gpu-unavailable"
  | "gpu-limit"
  | "gpu-lost"
  | "storage-full"
  | "file-changed"
  | "permission"
  | "busy"
  | "cancelled"
  | "internal";

/** The rows of the error card. `official` is the name the safetensors crate gives the same fault. */
export interface ErrorDetails {
  title?: string;
  where?: string;
  found?: string;
  expected?: string;
  why?: string;
  todo?: string;
  official?: string;
  [key: string]: unknown;
}

/**
 * The one error class. The message is a sentence: what was being done, which thing, what was found, what was expected,
 * then what the reader can do.
 */
export class StudioError extends Error {
  override readonly name = "StudioError";
  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly details: ErrorDetails = {},
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}

export function cancelled(): StudioError {
  return new StudioError("cancelled", "The work was cancelled.", { title: "Cancelled" });
}

/** Throws "cancelled" when the signal has fired; called between slices so that Cancel answers within two seconds. */
export function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw signal.reason instanceof StudioError ? signal.reason : cancelled();
}

/** Any caught value as a StudioError; an unknown one keeps its cause. */
export function toStudioError(error: unknown): StudioError {
  if (error instanceof StudioError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new StudioError("internal", message || "An unexpected fault without a message.", { title: "Something unexpected" }, { cause: error });
}
