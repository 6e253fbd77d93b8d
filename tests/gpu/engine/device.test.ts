import { afterEach, describe, expect, test } from "vitest";
import { Gpu, MAX_BINDING_BYTES } from "../../../src/gpu/gpu";
import { defineKernel } from "../../../src/gpu/kernel";
import { linearForward } from "../../../src/kernels/nn/gemm";
import { weighPanel, finishWeigh } from "../../../src/kernels/stats/weigh";
import { trimPanels } from "../../../src/kernels/stats/select";
import { randomFloats } from "../../support/compare";
import { watchedGpu } from "../../support/engineBench";
import { testGpu } from "../../support/gpu";

describe("buffers", () => {
  test("odd sizes go up and come back, at any offset that is a multiple of 4", async () => {
    const gpu = await testGpu();
    for (const bytes of [1, 2, 3, 4, 5, 255, 257, 4099]) {
      const data = Uint8Array.from({ length: bytes }, (_, i) => (i * 37 + 11) & 255);
      const buffer = gpu.upload(data);
      expect(await gpu.read(buffer, bytes), `${bytes} bytes`).toEqual(data);
      if (bytes > 8) expect(await gpu.read(buffer, bytes - 8, 8)).toEqual(data.subarray(8));
      gpu.release(buffer);
    }
  });

  test("a view into a larger array uploads its own bytes, the rest of the last word is 0", async () => {
    const gpu = await testGpu();
    const whole = Uint8Array.from({ length: 32 }, (_, i) => i + 1);
    const buffer = gpu.upload(whole.subarray(5, 12));
    expect([...(await gpu.read(buffer, 8))]).toEqual([6, 7, 8, 9, 10, 11, 12, 0]);
    gpu.release(buffer);
  });

  test("a buffer given back is found again by size class, and never shared", async () => {
    const gpu = await testGpu();
    const [a, b] = [gpu.alloc(1000), gpu.alloc(1000)];
    expect(a).not.toBe(b);
    gpu.release(a);
    expect(gpu.alloc(1010)).toBe(a);
    expect(gpu.alloc(1010)).not.toBe(b);
    for (const bytes of [1, 256, 257, 2048, 2049, 100_000, 1_000_001]) {
      const buffer = gpu.alloc(bytes);
      expect(buffer.size).toBeGreaterThanOrEqual(bytes);
      expect(buffer.size).toBeLessThanOrEqual(Math.max(512, bytes * 1.125 + 256));
      expect(buffer.size % 4).toBe(0);
      gpu.release(buffer);
    }
    expect(() => gpu.alloc(MAX_BINDING_BYTES + 4)).toThrow(expect.objectContaining({ code: "gpu-limit" }));
  });

  test("writes, copies and clears take their place between kernel calls", async () => {
    const gpu = await testGpu();
    const buffer = gpu.upload(Uint32Array.of(1, 2, 3, 4));
    const other = gpu.alloc(16);
    gpu.copy(buffer, 0, other, 0, 16);
    gpu.write(buffer, 4, Uint32Array.of(9));
    gpu.copy(buffer, 4, other, 12, 4);
    gpu.clear(buffer, 8);
    expect([...new Uint32Array((await gpu.read(other, 16)).buffer)]).toEqual([1, 2, 3, 9]);
    expect([...new Uint32Array((await gpu.read(buffer, 16)).buffer)]).toEqual([0, 0, 3, 4]);
    gpu.release(buffer, other);
  });

  test("trim destroys what nobody holds, and counts it", async () => {
    const watched = await watchedGpu("apart");
    const gpu = await Gpu.create(watched.gpu);
    const held = gpu.alloc(5000);
    const free = gpu.alloc(6000);
    gpu.release(free);
    await gpu.read(held, 100);
    gpu.trim();
    expect(gpu.allocatedBytes).toBe(held.size);
    expect(watched.liveBuffers().map((b) => b.size).filter((size) => size === held.size)).toHaveLength(1);
    expect(gpu.peakBytes).toBeGreaterThanOrEqual(held.size + free.size);
    gpu.destroy();
  });
});

describe("calls", () => {
  let restore: (() => void) | undefined;
  afterEach(() => restore?.());

  test("cut into many dispatches, kernels give the same bits", async () => {
    const gpu = await testGpu();
    const [M, N, K] = [70, 333, 129];
    const x = gpu.upload(randomFloats(1, M * K));
    const W = gpu.upload(randomFloats(2, N * K));
    const tuned = gpu.upload(randomFloats(3, N * K));
    const F = gpu.upload(randomFloats(4, N * K).map((v) => v * v));
    const compute = async () => {
      const y = gpu.alloc(4 * M * N);
      linearForward(gpu, { x, weight: { name: "w", dtype: "F32", rows: N, cols: K, panels: [{ row0: 0, rows: N, buffer: W }] }, y, M });
      const { keys, partials } = weighPanel(gpu, { fisher: F, base: { buffer: W, dtype: "F32" }, tuned: { buffer: tuned, dtype: "F32" }, elements: N * K, key: "fisher" });
      const sums = await finishWeigh(gpu, [partials]);
      const { masks, kept, threshold } = await trimPanels(gpu, [{ keys, elements: N * K }], { rule: { kind: "exact", count: 5000 }, path: "gpu" });
      const out = { y: await gpu.readFloats(y, M * N), sums, words: masks[0]!.words, kept, threshold };
      gpu.release(y, keys, masks[0]!.buffer);
      return out;
    };
    const whole = await compute();
    const usual = gpu.submitCost;
    restore = () => (gpu.submitCost = usual);
    for (const submitCost of [usual / 1e4, 5e4, 1e3]) {
      gpu.submitCost = submitCost;
      expect(await compute(), `submits of ${submitCost}`).toEqual(whole);
    }
    gpu.release(x, W, tuned, F);
  });

  test("more calls than the uniform ring has slots", async () => {
    const gpu = await testGpu();
    const add = defineKernel({
      name: "test/add_at",
      wgsl: "@group(0) @binding(0) var<storage, read_write> out: array<u32>; struct Params { at: u32, value: u32 } @group(0) @binding(1) var<uniform> params: Params; @compute @workgroup_size(1) fn main() { out[params.at] += params.value; }",
      inputs: [], outputs: ["out"], params: { at: "u32", value: "u32" }, workgroups: () => 1,
    });
    const out = gpu.upload(new Uint32Array(7));
    for (let i = 0; i < 1500; i++) gpu.run(add, { out }, { at: i % 7, value: i });
    const want = Array.from({ length: 7 }, (_, at) => Array.from({ length: 1500 }, (_, i) => i).filter((i) => i % 7 === at).reduce((a, b) => a + b, 0));
    expect([...new Uint32Array((await gpu.read(out, 28)).buffer)]).toEqual(want);
    gpu.release(out);
    expect(() => gpu.run(add, {}, { at: 0, value: 0 })).toThrow(/without its buffer "out"/);
  });

  test("a refused command is a sentence, once", async () => {
    const watched = await watchedGpu("apart");
    const gpu = await Gpu.create(watched.gpu);
    const buffer = gpu.alloc(256);
    // Beyond the end of the buffer: the command buffer is invalid.
    gpu.copy(buffer, 0, buffer, 128, 4096);
    await expect(gpu.sync()).rejects.toMatchObject({ code: "gpu-limit", message: expect.stringContaining("refused a command") as string });
    await gpu.sync();
    gpu.destroy();
  });

  test("a destroyed device is gpu-lost at the next readback", async () => {
    const gpu = await Gpu.create((await watchedGpu("apart")).gpu);
    const buffer = gpu.alloc(256);
    gpu.destroy();
    await expect(gpu.read(buffer, 256)).rejects.toMatchObject({ code: "gpu-lost" });
  });

  test("without WebGPU there is a sentence", async () => {
    await expect(Gpu.create(undefined)).rejects.toMatchObject({ code: "gpu-unavailable" });
    await expect(Gpu.create({ requestAdapter: async () => null } as unknown as GPU)).rejects.toMatchObject({ code: "gpu-unavailable" });
  });
});
