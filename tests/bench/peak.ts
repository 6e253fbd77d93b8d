import type { Gpu } from "../../src/gpu/gpu";
import { defineKernel } from "../../src/gpu/kernel";
import wgsl from "./peak.wgsl?raw";

const GROUP = 64;
/** Multiply-adds of one step of one invocation, see the shader. */
const PER_STEP = 32;

const fma = defineKernel({
  name: "bench/peak",
  wgsl,
  inputs: [],
  outputs: ["out"],
  params: { steps: "u32", scale: "f32", offset: "f32" },
  workgroups: () => 1024,
});

/** GFLOP/s of independent multiply-adds in registers: the most that any kernel of f32 could reach here. Best of three. */
export async function measurePeak(gpu: Gpu): Promise<number> {
  const threads = 1024 * GROUP;
  const out = gpu.alloc(4 * threads);
  const timed = async (steps: number): Promise<number> => {
    await gpu.sync();
    const start = performance.now();
    gpu.run(fma, { out }, { steps, scale: 0.999, offset: 0.001 });
    await gpu.sync();
    return performance.now() - start;
  };
  // Compiles; then as many steps as take about 20 ms on hardware, 0.2 s on a software adapter.
  await timed(1);
  const target = gpu.software ? 200 : 20;
  let steps = 4;
  for (let ms = await timed(steps); ms < target && steps < 1 << 16; ms = await timed(steps)) steps *= 2;
  let best = Infinity;
  for (let i = 0; i < 3; i++) best = Math.min(best, await timed(steps));
  gpu.release(out);
  return (2 * PER_STEP * threads * steps) / best / 1e6;
}
