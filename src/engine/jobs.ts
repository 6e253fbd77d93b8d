import { cancelled, StudioError, toStudioError } from "../core/errors";

/** Running jobs by id. One job of each id at a time; cancelling fires its signal, and the job rejects with "cancelled". */
export class Jobs {
  private readonly running = new Map<string, AbortController>();

  async run<T>(jobId: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (this.running.has(jobId)) throw new StudioError("busy", `The job "${jobId}" is already running. Wait for it or cancel it.`, { title: "Already running" });
    const controller = new AbortController();
    this.running.set(jobId, controller);
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
    this.running.get(jobId)?.abort(cancelled());
  }
}
