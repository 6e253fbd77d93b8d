import { beforeEach, describe, expect, test } from "vitest";
import { Gpu } from "../../../src/gpu/gpu";
import { isOutOfMemory } from "../../../src/gpu/memory";
import { add } from "../../../src/kernels/nn/add";
import { shortGpu, type ShortGpu } from "../../support/shortGpu";

const MB = 2 ** 20;
/** What a device keeps for good: the ring of uniforms. */
const IDLE = 512 * 256;

let short: ShortGpu;
let gpu: Gpu;
beforeEach(async () => {
  short = await shortGpu(IDLE + 4 * MB);
  gpu = await Gpu.create(short.gpu);
  return () => gpu.destroy();
});

describe("a device without room", () => {
  test("says so at the next wait with both numbers, before anything that was read is believed", async () => {
    const held = gpu.upload(new Float32Array(MB / 2).fill(1)); // 2 MiB
    const refused = gpu.alloc(3 * MB);
    gpu.run(add, { x: held, y: refused }, { count: 64 });
    const error = await gpu.readFloats(refused, 64).catch((e: unknown) => e);
    expect(isOutOfMemory(error)).toBe(true);
    expect(error).toMatchObject({ code: "gpu-limit", details: { heldBytes: 2 * MB, wantedBytes: 3 * MB } });
    expect((error as Error).message).toMatch(/^The GPU has no room for 3\.15 MB more; 2\.1 MB are held\./);
    await expect(gpu.sync(), "every wait says so until the work is given up").rejects.toSatisfy(isOutOfMemory);
    gpu.release(held, refused);
    await gpu.settle();
    expect(short.bytes).toBe(IDLE);
    // All is well again, and the refused buffer is not found in the pool.
    const again = gpu.upload(Float32Array.of(1, 2, 3));
    const wide = gpu.alloc(3 * MB);
    expect([...(await gpu.readFloats(again, 3))]).toEqual([1, 2, 3]);
    gpu.release(again, wide);
  });

  test("two waits at one time both say so", async () => {
    const held = gpu.upload(new Float32Array(16));
    const refused = gpu.alloc(5 * MB);
    const outcomes = await Promise.allSettled([gpu.read(held, 64), gpu.sync(), gpu.read(held, 64)]);
    expect(outcomes.map((o) => o.status === "rejected" && isOutOfMemory(o.reason))).toEqual([true, true, true]);
    gpu.release(held, refused);
    await gpu.settle();
  });

  test("a readback that finds no room is a refusal like any other", async () => {
    const held = gpu.alloc(3 * MB);
    await expect(gpu.read(held, 2 * MB)).rejects.toSatisfy(isOutOfMemory);
    gpu.release(held);
    await gpu.settle();
    expect(short.bytes).toBe(IDLE);
  });

  test("within a budget nothing is refused: pooled buffers make room, readbacks use their buffers again", async () => {
    gpu.budgetBytes = 4 * MB;
    for (let i = 1; i <= 12; i++) {
      const buffer = gpu.upload(new Float32Array((i * MB) / 32).fill(i));
      expect((await gpu.readFloats(buffer, 3)).at(-1)).toBe(i);
      gpu.release(buffer);
    }
    expect(short.refused).toBe(0);
    expect(short.peak).toBeLessThanOrEqual(IDLE + 4 * MB);
    gpu.trim();
    expect([short.bytes, gpu.allocatedBytes, gpu.liveBytes]).toEqual([IDLE, 0, 0]);
  });
});
