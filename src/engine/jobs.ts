import { cancelled, StudioError, toStudioError } from "../core/errors";
import { addGate, type Gate } from "../core/pause";
import type { Locks } from "../store/locks";

/** Runs `work` under a lock; throws "busy" when another tab holds it. */
export async function alone<T>(locks: Locks | undefined, name: string, work: () => Promise<T>): Promise<T> {
  const release = await locks?.acquire(name);
  if (locks && !release)
    throw new StudioError("busy", "Another tab is measuring these models with these options. Wait until it is done, or cancel it there.", { title: "Busy in another tab", found: "Another tab is measuring these models with these options.", todo: "Wait until it is done: its numbers are then here too. Or cancel it there." });
  try {
    return await work();
  } finally {
    release?.();
  }
}

/** Running jobs by id. One job of each id at a time; cancelling fires its signal, and the job rejects with "cancelled". */
export class Jobs {
  private readonly running = new Map<string, { controller: AbortController; gate: Gate }>();

  async run<T>(jobId: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (this.running.has(jobId)) throw new StudioError("busy", `The job "${jobId}" is already running. Wait for it or cancel it.`, { title: "Already running" });
    const controller = new AbortController();
    this.running.set(jobId, { controller, gate: addGate(controller.signal) });
    try {
      return await work(controller.signal);
    } catch (error) {
      // Whatever an aborted read or write threw, the reader asked for the end of it.
      if (controller.signal.aborted) throw cancelled();
      throw toStudioError(error);
    } finally {
      this.running.delete(jobId);
    }
  }

  cancel(jobId: string): void {
    this.running.get(jobId)?.controller.abort(cancelled());
  }

  /** The job goes on with the piece in work and takes no new one; what it holds stays. */
  pause(jobId: string): void {
    this.running.get(jobId)?.gate.pause();
  }

  resume(jobId: string): void {
    this.running.get(jobId)?.gate.resume();
  }
}
