import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readFolder } from "../../../src/cli/nodeFiles";
import type { Checkpoint } from "../../../src/core/tensors";
import { openCheckpoint } from "../../../src/formats/checkpoint";
import { bench, recipeFor } from "../../support/engineBench";
import { makeCheckpoint } from "../../support/makeCheckpoint.mjs";
import { nodeEntry, wrappedGpu } from "../../support/wrappedGpu";

let folder: string;
const models: Record<string, Checkpoint> = {};
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "default-limits-"));
  for (const [id, side] of [["base", "base"], ["finetuned", "partner"]] as const) {
    makeCheckpoint({ out: join(folder, id), shape: "tiny", side });
    models[id] = await openCheckpoint(id, (await readFolder(join(folder, id))).files);
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

interface Seen {
  asked: (GPUDeviceDescriptor | undefined)[];
  limits: GPUSupportedLimits[];
  largestBinding: number;
  mostStorage: number;
  bindings: number;
}

/** An entry point that notes what devices are asked for and what is bound on them. */
async function noted(): Promise<{ gpu: GPU; seen: Seen }> {
  const inner = await nodeEntry();
  const seen: Seen = { asked: [], limits: [], largestBinding: 0, mostStorage: 0, bindings: 0 };
  const watch = (device: GPUDevice): GPUDevice => {
    seen.limits.push(device.limits);
    const bind = device.createBindGroup.bind(device);
    device.createBindGroup = (descriptor) => {
      for (const { resource } of descriptor.entries) {
        const { buffer, size = buffer.size } = resource as GPUBufferBinding;
        seen.largestBinding = Math.max(seen.largestBinding, size);
        seen.bindings++;
      }
      return bind(descriptor);
    };
    const layout = device.createBindGroupLayout.bind(device);
    device.createBindGroupLayout = (descriptor) => {
      seen.mostStorage = Math.max(seen.mostStorage, [...descriptor.entries].filter((entry) => entry.buffer?.type?.endsWith("storage")).length);
      return layout(descriptor);
    };
    return device;
  };
  const gpu = wrappedGpu(inner, async (request, descriptor) => {
    seen.asked.push(descriptor);
    return watch(await request());
  });
  return { gpu, seen };
}

test("a pass and a merge run on a device that was asked for no limit and no feature, and bind within the defaults", async () => {
  const { gpu, seen } = await noted();
  const made = bench(gpu, models);
  const recipe = recipeFor("fim-ties", { N: 2, len: 6 });
  const { losses, kernels } = await made.measure(recipe);
  expect(losses.every(Number.isFinite)).toBe(true);
  expect((await made.merge(recipe)).report.checks.map((check) => check.verdict)).not.toContain("fail");

  expect(seen.asked.length).toBeGreaterThan(0);
  for (const descriptor of seen.asked) expect([descriptor?.requiredLimits, descriptor?.requiredFeatures]).toEqual([undefined, undefined]);
  for (const limits of seen.limits) {
    expect(limits.maxStorageBufferBindingSize).toBe(2 ** 27);
    expect(limits.maxComputeWorkgroupStorageSize).toBe(2 ** 14);
    expect(limits.maxComputeInvocationsPerWorkgroup).toBe(256);
  }
  expect(seen.bindings).toBeGreaterThan(100);
  expect(seen.largestBinding).toBeGreaterThan(0);
  expect(seen.largestBinding).toBeLessThanOrEqual(2 ** 27);
  expect(seen.mostStorage).toBeLessThanOrEqual(8);

  // How it ran is in the recipe that lies beside the model, and running that again finds the same pass.
  const written = JSON.parse(new TextDecoder().decode(made.output().files.get("recipe.json"))) as typeof recipe;
  expect(written.kernels).toEqual({ adapter: kernels!.adapter, forms: kernels!.forms, panelBytes: 2 ** 27 });
  const passes = [...made.passes.keys()].filter((key) => key.startsWith("pass/"));
  const replay = { ...recipe, kernels: written.kernels! };
  expect((await made.shape(replay)).needsPass).toBe(false);
  await made.measure(replay);
  expect([...made.passes.keys()].filter((key) => key.startsWith("pass/"))).toEqual(passes);
  // Another form is another pass.
  expect((await made.shape({ ...recipe, kernels: { ...written.kernels!, forms: { ...written.kernels!.forms, gemm_nt: { "few rows": "32x32/8x8", "many rows": "32x32/8x8" } } } })).needsPass).toBe(true);
}, 300_000);
