import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { StudioError } from "../../../src/core/errors";
import type { Progress } from "../../../src/core/progress";
import type { Recipe } from "../../../src/core/recipe";
import type { Checkpoint } from "../../../src/core/tensors";
import { bench, fisherMemory, hookedReads, recipeFor, tamperedFolder, watchedGpu, type Bench, type WatchedGpu } from "../../support/engineBench";
import { fixtureCheckpoint } from "../../support/nodeCheckpoint";
import { withValues } from "../../support/perturbed";

const TOKENS = [[1, 2, 3, 4, 5], [6, 7, 8]];
const UNIFORM_RING = 512 * 256;
const nothing = () => undefined;

let watched: WatchedGpu;
let base: Checkpoint;
let finetuned: Checkpoint;
/** Called before the n-th read of the base or the fine-tuned model. */
let onRead: (n: number) => void = nothing;
let reads = 0;

const hooked = (checkpoint: Checkpoint): Checkpoint => hookedReads(checkpoint, () => onRead(++reads));
const fresh = (): Bench => bench(watched.gpu, { base: hooked(base), finetuned: hooked(finetuned) });
const recipe = (params: Recipe["params"] = {}, method = "fim-ties") => recipeFor(method, method === "fim-ties" ? { r: 0.2, calib: "off", ...params } : params, { tokens: TOKENS });
/** Buffers that are neither destroyed nor the uniform ring that every device keeps. */
const leaked = () => watched.liveBuffers().filter((b) => b.size !== UNIFORM_RING);

beforeAll(async () => {
  base = await fixtureCheckpoint("qwen2-tiny-f32", "base");
  finetuned = await fixtureCheckpoint("qwen2-tiny-f32", "finetuned");
  watched = await watchedGpu();
});
afterEach(() => {
  onRead = nothing;
  reads = 0;
});

describe("measuring", () => {
  test.each([
    ["one threshold per tensor, activations", { calib: "activations" }, 6],
    ["one threshold per block, Gaussian probes", { calib: "gaussian", trimScope: "block", trim1D: true }, 6],
    ["one threshold for the model", { trimScope: "model" }, 3],
  ])("%s: a cancel or a fault at any read leaves no buffer and no mask", async (_, params, points) => {
    reads = 0;
    const b = fresh();
    await b.measure(recipe(params));
    expect(leaked(), "after a finished pass").toEqual([]);
    const total = reads;
    expect(total).toBeGreaterThan(60);
    for (let part = 0; part < points; part++) {
      const at = 1 + Math.floor((part * (total - 1)) / (points - 1));
      b.passes.clear();
      reads = 0;
      let asked = 0;
      onRead = (n) => {
        if (n !== at) return;
        if (part % 2 === 1) throw new StudioError("file-changed", "The file changed.");
        asked = performance.now();
        void b.engine.cancel("job");
      };
      await expect(b.measure(recipe(params)), `read ${at} of ${total}`).rejects.toMatchObject({ code: part % 2 === 1 ? "file-changed" : "cancelled" });
      if (asked > 0) expect(performance.now() - asked).toBeLessThan(2000);
      expect(leaked(), `read ${at} of ${total}`).toEqual([]);
      expect([...b.passes.keys()].filter((k) => k !== "order")).toEqual([]);
      expect(b.passes.get("order") ?? []).toEqual([]);
    }
  });

  test("NaN in the base and infinity in the fine-tuned model are named, and leave nothing", async () => {
    const name = "model.layers.1.mlp.up_proj.weight";
    for (const [role, model, value] of [["the base", base, NaN], ["the fine-tuned model", finetuned, -Infinity]] as const) {
      const bad = await withValues(model, name, [[130, value]]);
      const b = bench(watched.gpu, role === "the base" ? { base: bad, finetuned } : { base, finetuned: bad });
      await expect(b.merge(recipe())).rejects.toMatchObject({ code: "bad-file", message: expect.stringContaining(`Measuring for FIM-TIES: "${name}" of ${role} "${bad.name}": 1 of 10,240 values is NaN or infinite, the first ${Number.isNaN(value) ? "NaN" : "infinity"} at element 130 (2, 2).`) });
      expect(b.output()).toBeUndefined();
      expect(leaked()).toEqual([]);
      expect([...b.passes.keys()].filter((k) => k !== "order")).toEqual([]);
    }
  });

  test("a kept Fisher is discarded with its pass", async () => {
    const kept = fisherMemory();
    const b = fresh();
    b.env.fisherFile = kept.fisherFile;
    onRead = (n) => void (n === 60 && b.engine.cancel("job"));
    await expect(b.measure(recipe({ keepFisher: true }))).rejects.toMatchObject({ code: "cancelled" });
    expect(kept.state).toMatchObject({ closed: false, discarded: true });
  });

  test("two jobs that need one pass share it; cancelling one does not take it from the other", async () => {
    const b = fresh();
    await b.measure(recipe({ r: 0.9 }));
    reads = 0;
    await b.measure(recipe());
    const alone = reads;
    await b.engine.shape(recipe());
    const other = recipe({ r: 0.3 });
    reads = 0;
    const first = b.engine.measure("first", other, nothing, nothing);
    const second = b.engine.measure("second", other, nothing, nothing);
    const third = b.engine.measure("third", other, nothing, nothing);
    await new Promise((resolve) => setTimeout(resolve, 20));
    await b.engine.cancel("third");
    await expect(third).rejects.toMatchObject({ code: "cancelled" });
    expect(await second).toEqual(await first);
    expect(reads).toBeLessThan(1.5 * alone);
    // The first is cancelled: who waited makes the pass.
    const again = recipe({ r: 0.4 });
    const left = b.engine.measure("first", again, nothing, nothing);
    const stays = b.engine.measure("second", again, nothing, nothing);
    await new Promise((resolve) => setTimeout(resolve, 20));
    await b.engine.cancel("first");
    await expect(left).rejects.toMatchObject({ code: "cancelled" });
    expect((await stays).losses).toHaveLength(2);
    expect((await b.shape(again)).complete).toBe(true);
  });

  test("one job of each id at a time", async () => {
    const b = fresh();
    const first = b.measure(recipe());
    await expect(b.measure(recipe())).rejects.toMatchObject({ code: "busy" });
    await first;
  });

  test("progress tells of every round, never goes back, and ends at 1", async () => {
    const b = fresh();
    const seen: Progress[] = [];
    await b.engine.measure("job", recipe({ trimScope: "model" }), (p) => seen.push(structuredClone(p)), nothing);
    const fractions = seen.map((p) => p.fraction);
    expect(fractions.every((f, i) => i === 0 || f >= fractions[i - 1]!)).toBe(true);
    expect(fractions.at(-1)).toBe(1);
    // Three rounds over three blocks, forward and backward, each a step of its own.
    expect(new Set(fractions).size).toBeGreaterThanOrEqual(18);
    expect(seen.every((p) => p.phases.filter((phase) => phase.state === "now").length <= 1)).toBe(true);
    expect(seen.at(-1)!.phases.every((p) => p.state === "done")).toBe(true);
  });

  test("an architecture without gradients is refused with the part that is missing; data-free methods still run", async () => {
    const config = { ...base.config, architectures: ["GemmaForCausalLM"], model_type: "gemma", final_logit_softcapping: 30 };
    const b = fresh();
    for (const [id, model] of [["base", base], ["finetuned", finetuned]] as const) b.models.set(id, { ...model, config });
    await expect(b.measure(recipe())).rejects.toMatchObject({ code: "unknown-architecture", message: expect.stringMatching(/softcapping.*Choose a method without Fisher/) as string });
    const { report } = await b.merge(recipe({ lambda: 0.5 }, "task-arithmetic"));
    expect(report.checks.filter((c) => c.verdict === "fail")).toEqual([]);
  });
});

describe("exporting", () => {
  test("a cancel at any point leaves neither files nor buffers", async () => {
    const b = fresh();
    const r = recipe();
    await b.measure(r);
    reads = 0;
    await b.merge(r);
    const total = reads;
    for (const at of [1, Math.floor(total / 3), Math.floor(total / 2), total]) {
      let folder: ReturnType<typeof tamperedFolder> | undefined;
      b.env.openOutput = async () => (folder = tamperedFolder({}));
      reads = 0;
      let asked = 0;
      onRead = (n) => {
        if (n !== at) return;
        asked = performance.now();
        void b.engine.cancel("job");
      };
      await expect(b.engine.exportModel("job", r, { kind: "stage", name: "x" }, nothing), `read ${at} of ${total}`).rejects.toMatchObject({ code: "cancelled" });
      expect(performance.now() - asked).toBeLessThan(2000);
      expect([...folder!.files.keys()]).toEqual([]);
      expect(folder!.discarded).toBe(1);
      expect(leaked()).toEqual([]);
    }
    // The pass is still there.
    expect((await b.shape(r)).complete).toBe(true);
  });

  test("a write that fails leaves nothing and keeps its code", async () => {
    const b = fresh();
    const folder = tamperedFolder({
      onWrite: (_, total) => {
        if (total > 300_000) throw new StudioError("storage-full", "The disk is full.");
      },
    });
    b.env.openOutput = async () => folder;
    await expect(b.engine.exportModel("job", recipe({ lambda: 0.5 }, "task-arithmetic"), { kind: "stage", name: "x" }, nothing)).rejects.toMatchObject({ code: "storage-full" });
    expect([...folder.files.keys()]).toEqual([]);
    expect(folder.discarded).toBe(1);
    expect(leaked()).toEqual([]);
  });

  test("masks that are gone stop the merge in a sentence, and a new pass repairs it", async () => {
    const b = fresh();
    await b.measure(recipe());
    const lost = [...b.passes.keys()].find((k) => k.includes("layers.1.mlp.up_proj"))!;
    b.passes.delete(lost);
    await expect(b.merge(recipe())).rejects.toMatchObject({ code: "storage-full", message: expect.stringContaining("model.layers.1.mlp.up_proj.weight") as string });
    expect((await b.merge(recipe())).report.checks.every((c) => c.verdict === "pass")).toBe(true);
  });
});

describe("reading back", () => {
  const headerBytes = (bytes: Uint8Array): number => 8 + Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true));
  const exported = async (onOpen: (path: string, bytes: Uint8Array) => Uint8Array) => {
    const b = fresh();
    b.env.openOutput = async () => tamperedFolder({ onOpen });
    const report = await b.engine.exportModel("job", recipe({ lambda: 0.5 }, "task-arithmetic"), { kind: "stage", name: "x" }, nothing);
    return new Map(report.checks.filter((c) => c.verdict === "fail").map((c) => [c.id, c.found]));
  };
  const weights = (change: (bytes: Uint8Array, header: number) => Uint8Array | void) => exported((path, bytes) => (path === "model.safetensors" ? (change(bytes, headerBytes(bytes)) ?? bytes) : bytes));

  test("nothing wrong", async () => {
    expect(await weights(() => undefined)).toEqual(new Map());
  });

  test("one changed byte is found by the hash of its file", async () => {
    const failed = await weights((bytes, header) => void (bytes[header + 1234]! ^= 1));
    expect(failed.get("hashes")).toContain("model.safetensors");
  });

  test("a changed config.json too", async () => {
    const failed = await exported((path, bytes) => (path === "config.json" ? new TextEncoder().encode(new TextDecoder().decode(bytes).replace('"silu"', '"gelu"')) : bytes));
    expect([...failed.keys()]).toEqual(["hashes"]);
    expect(failed.get("hashes")).toContain("config.json");
  });

  test("wrong values are found by the tiles, with the tensor's name", async () => {
    const failed = await weights((bytes, header) => {
      for (let at = header + 2; at < bytes.length; at += 400) bytes[at]! ^= 0x40;
    });
    expect(failed.get("tiles")).toMatch(/more than one rounding step, first in \S+/);
  });

  test("NaN is found, with the tensor's name", async () => {
    const failed = await weights((bytes, header) => void bytes.set([0, 0, 0xc0, 0x7f], header));
    expect(failed.get("values")).toMatch(/^1 NaN or infinite values, first in \S+/);
  });

  test("a file cut short does not parse", async () => {
    const failed = await weights((bytes) => bytes.subarray(0, bytes.length - 4));
    expect(failed.get("parse")).toContain("model.safetensors");
  });
});
