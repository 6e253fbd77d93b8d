import { StudioError, toStudioError } from "../../core/errors";
import { without } from "./checkpoints";
import { recordRun } from "./runs";
import type { Slice } from "./env";
import { allDownloaded } from "./finished";
import type { JobsSlice } from "./types";

type Asking = FileSystemDirectoryHandle & { requestPermission?(options: { mode: "readwrite" }): Promise<PermissionState> };

export const createJobs: Slice<JobsSlice> = (set, get, env) => {
  const leaveReport = (): void => {
    const id = get().exportReport?.staged?.id;
    set({ exportReport: undefined, shownFinished: undefined });
    if (id === undefined) return;
    const waiting = get().finished.find((f) => f.id === id);
    if (waiting && !allDownloaded(waiting)) return;
    set((s) => ({ finished: s.finished.filter((f) => f.id !== id) }));
    void env.engine.discardStage(id).then(() => get().refreshModels()).catch(() => undefined);
  };

  return {
    running: {},
    errors: [],
    cancel: async (jobId) => {
      if (get().queue.some((item) => item.jobId === jobId && item.state === "failed")) set((s) => ({ errors: s.errors.filter((e) => e.context !== `Reading ${s.queue.find((item) => item.jobId === jobId)?.name}`) }));
      set((s) => ({ queue: s.queue.map((item) => (item.jobId === jobId && (item.state === "waiting" || item.state === "failed") ? { ...item, state: "cancelled" } : item)) }));
      if (get().queue.find((item) => item.jobId === jobId)?.state !== "cancelled") await env.engine.cancel(jobId);
    },
    pause: (jobId) => env.engine.pause(jobId),
    resume: (jobId) => env.engine.resume(jobId),
    fail: (caught, context) => {
      const error = toStudioError(caught);
      if (error.code === "cancelled") return;
      const plain = { code: error.code, message: error.message, details: error.details };
      // The same fault in the same place twice is one card.
      set((s) => ({ errors: [...s.errors.filter((e) => e.context !== context || e.error.message !== plain.message), { id: env.jobId("error"), error: plain, context }] }));
    },
    dismissError: (id) => set((s) => ({ errors: s.errors.filter((e) => e.id !== id) })),
    exportPlan: undefined,
    exportReport: undefined,
    planExport: async () => {
      const { recipe } = get();
      if (!recipe) return;
      try {
        const plan = await env.engine.planExport(recipe);
        if (get().recipe === recipe) set({ exportPlan: plan });
      } catch (error) {
        get().fail(error, "Planning the files");
      }
    },
    exportModel: async (target) => {
      const { recipe, running } = get();
      if (!recipe || Object.values(running).some((job) => job.kind === "export")) return;
      const jobId = env.jobId("export");
      leaveReport();
      try {
        const report = await env.engine.exportModel(jobId, recipe, target, (progress) => set((s) => ({ running: { ...s.running, [jobId]: progress } })));
        set({ exportReport: report });
        recordRun(set, get, env, recipe, "saved");
      } catch (error) {
        get().fail(error, `Writing ${target.name}`);
      } finally {
        set((s) => ({ running: without(s.running, jobId) }));
        await Promise.all([get().refreshModels(), get().refreshUnfinished()]);
      }
    },
    unfinished: [],
    refreshUnfinished: async () => {
      const [unfinished, finished] = await Promise.all([env.engine.unfinishedExports(), env.engine.finishedExports()]);
      set({ unfinished, finished });
    },
    finished: [],
    shownFinished: undefined,
    showFinished: (id) => {
      const report = get().finished.find((f) => f.id === id)?.report;
      if (!report) return;
      leaveReport();
      set({ exportReport: report, shownFinished: id, step: "save", drawer: "none" });
    },
    deleteFinished: async (id) => {
      try {
        await env.engine.discardStage(id);
        if (get().exportReport?.staged?.id === id) set({ exportReport: undefined, ...(get().shownFinished === id ? { shownFinished: undefined, step: "load" as const } : {}) });
      } catch (error) {
        get().fail(error, "Deleting a merged model");
      }
      await Promise.all([get().refreshModels(), get().refreshUnfinished()]);
    },
    continueExport: async (id) => {
      const left = get().unfinished.find((u) => u.id === id);
      if (!left) return;
      const { target, recipe } = left;
      const context = `Writing ${target.name}`;
      try {
        // First of all, while the click still counts as one.
        if (target.kind === "folder" && (await (target.handle as Asking).requestPermission?.({ mode: "readwrite" })) === "denied")
          throw new StudioError("permission", `Writing to ${target.handle.name}: the browser did not allow it. Allow it when it asks, or discard what is written.`, { title: "Access was not given", where: target.handle.name, todo: "Continue again and allow it, or discard what is written." });
        set((s) => ({ errors: s.errors.filter((e) => e.context !== context) }));
        if (JSON.stringify(get().recipe) !== JSON.stringify(recipe)) {
          const before = get().recipe;
          void get().loadRecipe(recipe);
          if (get().recipe === before) return; // a model of it is not here; the card says which
        }
        set({ step: "save", drawer: "none" });
        await get().exportModel(target);
      } catch (error) {
        get().fail(error, context);
      }
    },
    discardExport: async (id) => {
      const context = `Writing ${get().unfinished.find((u) => u.id === id)?.target.name}`;
      try {
        await env.engine.discardUnfinished(id);
        set((s) => ({ errors: s.errors.filter((e) => e.context !== context) }));
      } catch (error) {
        get().fail(error, "Discarding an unfinished export");
      }
      await Promise.all([get().refreshModels(), get().refreshUnfinished()]);
    },
    stagedFile: async (path) => {
      const staged = get().exportReport?.staged;
      if (!staged) return undefined;
      try {
        const file = await env.engine.stagedFile(staged.id, path);
        set((s) => ({ finished: s.finished.map((f) => (f.id === staged.id && !f.downloaded.includes(path) ? { ...f, downloaded: [...f.downloaded, path] } : f)) }));
        return file;
      } catch (error) {
        get().fail(error, `Fetching ${path}`);
        return undefined;
      }
    },
    newMerge: () => {
      leaveReport();
      set({ exportPlan: undefined });
    },
  };
};
