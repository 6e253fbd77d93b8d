/**
 * Typed calls over a message port. A call carries plain data; a function among its arguments becomes a callback that
 * lives as long as the call (progress, partial results) and its messages arrive in order, before the result.
 * Errors cross as PlainError and are StudioErrors again on the other side. An ArrayBuffer among the arguments, or as the
 * result, is handed over and not copied.
 */
import { StudioError, toStudioError, type ErrorCode, type ErrorDetails } from "../core/errors";
import type { PlainError } from "../engine/api";

/** A Worker, a worker's own scope, or a MessagePort. */
export interface Endpoint {
  postMessage(message: unknown, transfer?: Transferable[]): void;
  addEventListener(type: "message", listener: (event: MessageEvent) => void): void;
  removeEventListener(type: "message", listener: (event: MessageEvent) => void): void;
  start?(): void;
}

interface Call {
  rpc: "call";
  id: number;
  method: string;
  args: unknown[];
  /** Positions of `args` that are functions on the caller's side. */
  callbacks: number[];
}
type Answer =
  | { rpc: "result"; id: number; value: unknown }
  | { rpc: "error"; id: number; error: PlainError }
  | { rpc: "callback"; id: number; index: number; args: unknown[] };

export function toPlainError(error: unknown): PlainError {
  const { code, message, details } = toStudioError(error);
  return { code, message, details: cloneable(details) };
}

export function fromPlainError({ code, message, details }: PlainError): StudioError {
  return new StudioError(code as ErrorCode, message, details);
}

/** Details that the structured clone refuses (functions, handles of a dead context) travel as text. */
function cloneable(details: ErrorDetails): ErrorDetails {
  const safe: ErrorDetails = {};
  for (const [key, value] of Object.entries(details)) {
    try {
      safe[key] = structuredClone(value);
    } catch {
      safe[key] = String(value);
    }
  }
  return safe;
}

const buffers = (values: unknown[]): ArrayBuffer[] => values.filter((value) => value instanceof ArrayBuffer);

/** Answers calls on `endpoint` with the methods of `api`. Returns the function that stops answering. */
export function expose(api: object, endpoint: Endpoint): () => void {
  const answer = (message: Answer, value?: unknown): void => endpoint.postMessage(message, buffers([value]));
  const listener = async (event: MessageEvent): Promise<void> => {
    const call = event.data as Partial<Call> | undefined;
    if (call?.rpc !== "call") return;
    const { id, method, args, callbacks } = call as Call;
    try {
      const target = method in Object.prototype ? undefined : (api as Record<string, unknown>)[method];
      if (typeof target !== "function") throw new StudioError("internal", `The engine has no method "${method}".`);
      const received = [...args];
      for (const index of callbacks) received[index] = (...values: unknown[]) => answer({ rpc: "callback", id, index, args: values });
      const value: unknown = await target.apply(api, received);
      answer({ rpc: "result", id, value }, value);
    } catch (error) {
      answer({ rpc: "error", id, error: toPlainError(error) });
    }
  };
  endpoint.addEventListener("message", listener);
  endpoint.start?.();
  return () => endpoint.removeEventListener("message", listener);
}

export interface Connection<Api> {
  api: Api;
  /** Rejects every open call, and all later ones: the other side is gone. */
  fail(error: StudioError): void;
}

/** The other side's methods. `Api` must have asynchronous methods only. */
export function connect<Api extends object>(endpoint: Endpoint): Connection<Api> {
  const open = new Map<number, { resolve(value: unknown): void; reject(error: unknown): void; args: unknown[] }>();
  let last = 0;
  let broken: StudioError | undefined;

  endpoint.addEventListener("message", (event) => {
    const message = event.data as Answer | undefined;
    const call = message && "rpc" in message ? open.get(message.id) : undefined;
    if (!message || !call) return;
    if (message.rpc === "callback") {
      (call.args[message.index] as (...values: unknown[]) => void)(...message.args);
      return;
    }
    open.delete(message.id);
    if (message.rpc === "result") call.resolve(message.value);
    else call.reject(fromPlainError(message.error));
  });
  endpoint.start?.();

  const invoke = (method: string, args: unknown[]): Promise<unknown> =>
    new Promise((resolve, reject) => {
      if (broken) return reject(broken);
      const id = ++last;
      const callbacks = args.flatMap((arg, index) => (typeof arg === "function" ? [index] : []));
      open.set(id, { resolve, reject, args });
      try {
        endpoint.postMessage({ rpc: "call", id, method, args: args.map((arg) => (typeof arg === "function" ? null : arg)), callbacks } satisfies Call, buffers(args));
      } catch (error) {
        open.delete(id);
        reject(toStudioError(error));
      }
    });

  const methods = new Map<string, (...args: unknown[]) => Promise<unknown>>();
  const api = new Proxy({} as Api, {
    get: (_, name) => {
      // A proxy with a `then` would be taken for a promise when it is returned from an async function.
      if (typeof name !== "string" || name === "then") return undefined;
      let method = methods.get(name);
      if (!method) methods.set(name, (method = (...args) => invoke(name, args)));
      return method;
    },
  });
  return {
    api,
    fail: (error) => {
      broken = error;
      for (const call of open.values()) call.reject(error);
      open.clear();
    },
  };
}
