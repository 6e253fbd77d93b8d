import { beforeEach, describe, expect, test } from "vitest";
import { PaperGpu } from "../../../src/engine/paperGpu";
import { Pinned } from "../../../src/model/pinned";

const KB = 1024;
let gpu: PaperGpu;
beforeEach(async () => {
  gpu = await PaperGpu.on({ state: "hardware", vendor: "", architecture: "", description: "" });
});
const pinnedOf = (furthest: "oldest" | "newest"): Pinned<GPUBuffer> => new Pinned(gpu, furthest, (buffer) => [buffer]);

describe("what is kept", () => {
  test("stays while there is room, and is handed over once", () => {
    const pinned = pinnedOf("oldest");
    const a = gpu.alloc(KB);
    pinned.keep(1, a);
    expect([gpu.liveBytes, gpu.reservedBytes]).toEqual([0, KB]);
    expect(pinned.take(1)).toBe(a);
    expect(pinned.take(1)).toBeUndefined();
    expect([gpu.liveBytes, gpu.reservedBytes, pinned.reused]).toEqual([KB, 0, 1]);
    gpu.release(a);
    pinned.end();
  });

  test.each([["oldest", [false, true, true]], ["newest", [true, true, false]]] as const)("the %s makes room first, and its buffer is used again", (furthest, left) => {
    const pinned = pinnedOf(furthest);
    gpu.budgetBytes = 3 * KB;
    const buffers = [1, 2, 3].map(() => gpu.alloc(KB));
    buffers.forEach((buffer, i) => pinned.keep(i, buffer));
    const wanted = gpu.alloc(KB);
    expect(wanted).toBe(furthest === "oldest" ? buffers[0] : buffers[2]);
    expect(gpu.allocatedBytes).toBe(3 * KB);
    expect([0, 1, 2].map((i) => pinned.take(i) !== undefined)).toEqual(left);
    expect(pinned.reused).toBe(2);
  });

  test("is never a reason to say that there is no room, and everything goes before the budget is passed", () => {
    const pinned = pinnedOf("oldest");
    gpu.budgetBytes = 4 * KB;
    for (let i = 0; i < 3; i++) pinned.keep(i, gpu.alloc(KB));
    expect(gpu.hasRoom(4 * KB)).toBe(true);
    gpu.alloc(4 * KB);
    expect([gpu.allocatedBytes, gpu.reservedBytes]).toEqual([4 * KB, 0]);
    gpu.alloc(KB); // needed, so it is made all the same
    expect(gpu.allocatedBytes).toBe(5 * KB);
  });

  test("of two, the one that was made later gives first", () => {
    const [blocks, head] = [pinnedOf("oldest"), pinnedOf("newest")];
    gpu.budgetBytes = 2 * KB;
    const [a, b] = [gpu.alloc(KB), gpu.alloc(KB)];
    head.keep(0, a);
    blocks.keep(0, b);
    gpu.alloc(KB);
    expect([blocks.take(0), head.take(0)]).toEqual([b, undefined]);
  });

  test("goes back at the end", () => {
    const pinned = pinnedOf("newest");
    pinned.keep(0, gpu.alloc(KB));
    pinned.end();
    expect([gpu.liveBytes, gpu.reservedBytes]).toEqual([0, 0]);
    gpu.trim();
    expect(gpu.allocatedBytes).toBe(0);
  });
});
