import type { IncomingFolder, StoredModel } from "../../engine/api";
import type { Progress } from "../../core/progress";
import { StudioError, toStudioError } from "../../core/errors";
import { methodFor } from "./recipe";
import type { Slice } from "./env";
import type { Adding, CheckpointsSlice, IngestItem } from "./types";

export const createCheckpoints: Slice<CheckpointsSlice> = (set, get, env) => {
  /** The dropped folders themselves, so that one can be read again; files stay outside the state. */
  const folders = new Map<string, IncomingFolder>();
  /** Jobs whose end is no news: they were given up for another way of reading. */
  const replaced = new Set<string>();

  const patchItem = (jobId: string, change: Partial<IngestItem>): void =>
    set((s) => ({ queue: s.queue.map((item) => (item.jobId === jobId ? { ...item, ...change } : item)) }));

  /** The first free role: base, then fine-tuned. */
  const assignRole = (id: string): void => {
    const { baseId, modelIds } = get();
    if (id === baseId || modelIds.includes(id)) return;
    if (baseId === undefined) set({ baseId: id });
    else set({ modelIds: [...modelIds, id] });
    pairChanged();
  };

  const pairChanged = (): void => {
    get().newMerge();
    void get().leaveTry();
    set({ preflight: undefined, shape: undefined, measured: undefined, recipe: undefined, layer: 0, expert: 0, answers: {}, evaluated: {}, tryFacts: {}, extraColumns: [] });
    env.history.clear();
    void get().runPreflight();
  };

  /** Finds the entry the engine made for this folder while it is still being copied. */
  const claimEntry = async (item: IngestItem): Promise<void> => {
    const models = await env.engine.models();
    const claimed = new Set(get().queue.map((q) => q.modelId));
    const entry = models.find((m) => m.state === "ingesting" && m.name === item.name && !claimed.has(m.id));
    set({ models });
    if (!entry || get().queue.find((q) => q.jobId === item.jobId)?.modelId) return;
    patchItem(item.jobId, { modelId: entry.id });
    assignRole(entry.id);
  };

  const ingestOne = async (item: IngestItem, folder: IncomingFolder, options: { backend?: Adding; sample?: boolean }): Promise<StoredModel | undefined> => {
    if (get().queue.find((q) => q.jobId === item.jobId)?.state !== "waiting") return undefined;
    const started = env.now();
    let claiming = false;
    const onProgress = (progress: Progress): void => {
      set((s) => ({ running: { ...s.running, [item.jobId]: progress } }));
      const headersRead = progress.phases[0]?.state === "done";
      if (claiming || !headersRead || get().queue.find((q) => q.jobId === item.jobId)?.modelId) return;
      claiming = true;
      void claimEntry(item).catch(() => undefined).finally(() => (claiming = false));
    };
    const adding = options.backend ?? get().adding;
    patchItem(item.jobId, { state: "reading", adding });
    try {
      const model = await env.engine.ingest(item.jobId, folder, { ...options, backend: adding }, onProgress);
      patchItem(item.jobId, { state: "done", modelId: model.id, tookMs: env.now() - started });
      set((s) => ({ models: [...s.models.filter((m) => m.id !== model.id), model] }));
      assignRole(model.id);
      return model;
    } catch (error) {
      const { code } = toStudioError(error);
      patchItem(item.jobId, code === "cancelled" ? { state: "cancelled" } : { state: "failed", failure: code });
      if (!replaced.has(item.jobId)) get().fail(error, `Reading ${item.name}`);
      return undefined;
    } finally {
      set((s) => ({ running: without(s.running, item.jobId) }));
      await get().refreshModels();
    }
  };

  const again = async (jobId: string, backend: Adding): Promise<void> => {
    const folder = folders.get(jobId);
    const item = get().queue.find((q) => q.jobId === jobId);
    if (!folder || !item) return;
    replaced.add(jobId);
    if (item.state === "reading") await get().cancel(jobId);
    await endOf.get(jobId);
    // The engine puts a link in the place of an unfinished copy, so the role stays.
    set((s) => ({ queue: s.queue.filter((q) => q.jobId !== jobId), errors: s.errors.filter((e) => e.context !== `Reading ${item.name}`) }));
    await addFolders([folder], { backend });
  };
  const endOf = new Map<string, Promise<unknown>>();

  const addFolders: CheckpointsSlice["addFolders"] = async (incoming, options = {}) => {
    if (incoming.length === 0) {
      const nothing = { title: "No folder with safetensors files", found: "Nothing that reads as a model folder.", todo: "Drop the folder that holds config.json and the .safetensors files." };
      get().fail(new StudioError("bad-file", "Reading what was dropped: no folder with safetensors files was found. Drop the folder that holds config.json.", nothing), "Reading what was dropped");
      return;
    }
    const items = incoming.map((folder): IngestItem => ({
      jobId: env.jobId("ingest"), name: folder.name, files: folder.files.length, bytes: folder.files.reduce((sum, f) => sum + f.file.size, 0),
      state: "waiting", modelId: undefined, tookMs: undefined,
    }));
    set((s) => ({ queue: [...s.queue, ...items] }));
    for (const [i, item] of items.entries()) folders.set(item.jobId, incoming[i]!);
    for (const [i, item] of items.entries()) {
      const end = ingestOne(item, incoming[i]!, options);
      endOf.set(item.jobId, end);
      await end;
    }
    // The check during the copy may have been refused; now every header is in the store.
    if (get().preflight === undefined) await get().runPreflight();
    else void get().refreshShape();
  };

  return {
    models: [], baseId: undefined, modelIds: [], preflight: undefined, checking: false, queue: [], adding: "copy", adopted: undefined,
    addFolders,
    setAdding: (adding) => set({ adding }),
    retry: (jobId) => again(jobId, "copy"),
    linkInstead: (jobId) => again(jobId, "link"),
    linkRest: async () => {
      const waiting = get().queue.filter((item) => item.state === "failed" && item.failure === "storage-full");
      set({ adding: "link" });
      for (const item of waiting) await again(item.jobId, "link");
    },
    reconnect: async (id) => {
      const name = get().models.find((m) => m.id === id)?.name ?? id;
      const context = `Opening ${name}`;
      set((s) => ({ errors: s.errors.filter((e) => e.context !== context) }));
      try {
        await env.engine.reconnect(id);
      } catch (error) {
        get().fail(error, context);
      }
      await get().refreshModels();
      const { baseId, modelIds, preflight } = get();
      if (preflight === undefined && [baseId, ...modelIds].includes(id)) await get().runPreflight();
    },
    useAsInput: async () => {
      const staged = get().exportReport?.staged;
      if (!staged || get().adopted?.stageId === staged.id) return;
      const jobId = env.jobId("ingest");
      try {
        const model = await env.engine.useAsInput(jobId, staged.id, (progress) => set((s) => ({ running: { ...s.running, [jobId]: progress } })));
        set({ adopted: { stageId: staged.id, modelId: model.id } });
      } catch (error) {
        get().fail(error, "Using the result as an input");
      } finally {
        set((s) => ({ running: without(s.running, jobId) }));
      }
      await Promise.all([get().refreshModels(), get().refreshUnfinished()]);
    },
    chooseBase: (id) => {
      set((s) => ({ baseId: id, modelIds: s.modelIds.filter((m) => m !== id) }));
      pairChanged();
    },
    chooseModels: (ids) => {
      set((s) => ({ modelIds: ids.filter((id) => id !== s.baseId) }));
      pairChanged();
    },
    swapRoles: () => {
      const { baseId, modelIds } = get();
      const first = modelIds[0];
      if (baseId === undefined || first === undefined) return;
      set({ baseId: first, modelIds: [baseId, ...modelIds.slice(1)] });
      pairChanged();
    },
    deleteModel: async (id) => {
      try {
        await env.engine.deleteModel(id);
        const { baseId, modelIds } = get();
        set((s) => ({ queue: s.queue.filter((item) => item.modelId !== id), modelScores: without(s.modelScores, id) }));
        if (baseId === id) get().chooseBase(undefined);
        if (modelIds.includes(id)) get().chooseModels(modelIds.filter((m) => m !== id));
      } catch (error) {
        get().fail(error, "Deleting a stored model");
      }
      await get().refreshModels();
    },
    refreshModels: async () => {
      const [models, storage] = await Promise.all([env.engine.models(), env.engine.storage()]);
      set({ models, storage });
    },
    runPreflight: async () => {
      const { baseId, modelIds, recipe } = get();
      if (baseId === undefined || modelIds.length === 0) return;
      const samePair = (): boolean => get().baseId === baseId && get().modelIds.join() === modelIds.join();
      set({ checking: true });
      try {
        const preflight = await env.engine.preflight(baseId, modelIds, recipe?.reconciliation, recipe?.tensors);
        if (!samePair()) return;
        set({ preflight });
        if (preflight.verdict === "ok" && get().recipe === undefined) {
          const method = methodFor(get().methods, modelIds.length, preflight.fisher.available);
          const fresh = method && (await env.engine.defaultRecipe(method.id, baseId, modelIds));
          if (!fresh || !samePair()) return;
          env.history.pause();
          set({ recipe: fresh });
          env.history.resume();
          env.history.clear();
        }
        if (preflight.verdict === "ok") await get().refreshShape();
      } catch (error) {
        if (!samePair()) return;
        // While a copy runs, or a linked folder waits to be allowed, the engine may decline; the check comes again after it.
        const notYet = get().models.some((m) => (m.id === baseId || modelIds.includes(m.id)) && (m.state === "ingesting" || m.state === "locked"));
        if (!notYet) get().fail(error, "Checking the pair");
      } finally {
        if (samePair()) set({ checking: false });
      }
    },
    startOver: async () => {
      const open = get().queue.filter((item) => item.state === "waiting" || item.state === "reading");
      set((s) => ({ queue: s.queue.map((item) => (item.state === "waiting" ? { ...item, state: "cancelled" } : item)) }));
      await Promise.all(open.filter((item) => item.state === "reading").map((item) => get().cancel(item.jobId)));
      set({ baseId: undefined, modelIds: [], queue: [], errors: [], step: "load" });
      pairChanged();
      await get().refreshModels();
    },
  };
};

export function without<T>(record: Record<string, T>, key: string): Record<string, T> {
  return Object.fromEntries(Object.entries(record).filter(([k]) => k !== key));
}
