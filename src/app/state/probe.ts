import { checkTextSize, decodeText } from "../../core/calibrationText";
import { without } from "./checkpoints";
import { contenders } from "./contenders";
import type { Slice } from "./env";
import type { ProbeSlice } from "./sweepTypes";

/** A look at the merge before it is saved: how well it foresees a text, beside its parents. */
export const createProbe: Slice<ProbeSlice> = (set, get, env) => ({
  probeText: "",
  setProbeText: (probeText) => set({ probeText }),
  giveProbeText: async (file) => {
    try {
      checkTextSize(file.name, file.size, "the text");
      set({ probeText: decodeText(file.name, new Uint8Array(await file.arrayBuffer()), "the text") });
    } catch (error) {
      get().fail(error, `Reading ${file.name}`);
    }
  },
  probed: undefined,
  probe: async () => {
    const { trying, probeText, recipe } = get();
    const list = contenders(get()).filter((c) => c.role !== "other");
    if (trying || !recipe || probeText.trim() === "") return;
    const jobId = env.jobId("try");
    set({ trying: { kind: "probe", jobId, key: "merge", after: 0, stopping: false } });
    try {
      const probe = await env.engine.probe(jobId, list.map((c) => c.model), probeText, (progress) => set((s) => (s.trying?.jobId === jobId ? { running: { ...s.running, [jobId]: progress } } : {})));
      set({ probed: { probe, recipe: JSON.stringify(recipe) } });
    } catch (error) {
      get().fail(error, "Probing the text");
    } finally {
      set((s) => ({ running: without(s.running, jobId), trying: undefined }));
    }
  },
});
