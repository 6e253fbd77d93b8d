import { describe, expect, test } from "vitest";
import { StudioError } from "../../../src/core/errors";
import { withLessMemory } from "../../../src/engine/lessMemory";
import type { GpuMemory } from "../../../src/gpu/memory";

const MB = 1e6;
/** A device of a given size, and work whose peak is its budget, down to what it needs at least. */
function device(room: number, least: number) {
  const log: number[] = [];
  const gpu = { settled: 0, settle: async () => void gpu.settled++ };
  const plan = async (gpuBytes = 1000 * MB) => ({ gpuBytes: Math.max(least, gpuBytes), budgets: { gpuBytes, hostBytes: 0 }, memory: { panelBytes: 8 * MB, inputsOnHost: true, pinnedBlocks: 0, sliceElements: 1, readAhead: 0 } });
  const run = async ({ gpuBytes }: { gpuBytes: number }): Promise<string> => {
    log.push(gpuBytes / MB);
    if (gpuBytes > room) throw new StudioError("gpu-limit", "no room", { outOfMemory: true, heldBytes: room - 5 * MB, wantedBytes: 10 * MB });
    return "done";
  };
  return { log, gpu: gpu as unknown as GpuMemory & { settled: number }, plan, run };
}

describe("withLessMemory", () => {
  test("runs once where there is room", async () => {
    const { log, gpu, plan, run } = device(2000 * MB, 100 * MB);
    expect(await withLessMemory(gpu, plan, run)).toBe("done");
    expect([log, gpu.settled]).toEqual([[1000], 0]);
  });

  test.each([900, 500, 150])("on a device of %d MB goes on within what it held", async (room) => {
    const { log, gpu, plan, run } = device(room * MB, 100 * MB);
    const told: string[] = [];
    expect(await withLessMemory(gpu, plan, run, (sentence) => told.push(sentence))).toBe("done");
    expect(log[0]).toBe(1000);
    expect(log.at(-1)).toBeLessThanOrEqual(room);
    expect(log.every((bytes, i) => i === 0 || bytes <= 0.85 * log[i - 1]!)).toBe(true);
    expect(told).toHaveLength(log.length - 1);
    expect(gpu.settled).toBe(log.length - 1);
    expect(told[0]).toBe(`The GPU had no room for 10 MB beside ${room - 5} MB; the work was planned again for ${Math.min(850, room - 5)} MB.`);
  });

  test("below the least that the work needs, one sentence with both numbers and what to do", async () => {
    const { log, gpu, plan, run } = device(90 * MB, 100 * MB);
    const error = await withLessMemory(gpu, plan, run).catch((e: unknown) => e as StudioError);
    expect(error).toMatchObject({ code: "gpu-limit", details: { heldBytes: 85 * MB, wantedBytes: 10 * MB } });
    expect((error as StudioError).message).toBe("The GPU has no room: 10 MB more were wanted beside 85 MB. The work was planned 2 times, the last plan cuts matrices into panels of 8 MB and needs 100 MB at one time. Close other programs that use the GPU, take fewer or shorter random inputs, or choose a method without Fisher.");
    expect(log).toEqual([1000, 100]);
  });

  test("other faults pass through", async () => {
    const { gpu, plan } = device(1, 1);
    await expect(withLessMemory(gpu, plan, async () => Promise.reject(new StudioError("cancelled", "stop")))).rejects.toMatchObject({ code: "cancelled" });
    expect(gpu.settled).toBe(0);
  });
});
