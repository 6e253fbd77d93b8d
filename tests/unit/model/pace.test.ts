import { expect, test } from "vitest";
import type { Gpu } from "../../../src/gpu/gpu";
import { afterUpload, orCancelled, Pace } from "../../../src/model/pace";

const never = new Promise<never>(() => undefined);
const fakeGpu = (wait: () => Promise<void>, change: Partial<Gpu> = {}): Gpu => ({ submitCost: 100, sync: wait, fence: () => wait, ...change }) as unknown as Gpu;

/** Fences that are passed when the test says so. */
function gates(): { fence: () => () => Promise<void>; pass(): void; open: number } {
  const waiting: (() => void)[] = [];
  const state = {
    open: 0,
    fence: () => {
      state.open++;
      const passed = new Promise<void>((resolve) => waiting.push(resolve));
      return () => passed;
    },
    pass: () => {
      state.open--;
      waiting.shift()!();
    },
  };
  return state;
}

test("two submits' worth of work are on their way, and the third waits for the first alone", async () => {
  const gpu = gates();
  const pace = new Pace(fakeGpu(() => never, { fence: gpu.fence }));
  let done = 0;
  const work = (async () => {
    for (; done < 8; done++) await pace.after(50);
  })();
  const turn = () => new Promise((resolve) => setTimeout(resolve, 0));
  await turn();
  expect([done, gpu.open]).toEqual([5, 3]);
  gpu.pass();
  await turn();
  expect([done, gpu.open]).toEqual([7, 3]);
  gpu.pass();
  await work;
});

test("uploads wait while more than 64 MiB are on their way, whoever makes them", async () => {
  const gates32 = gates();
  const gpu = fakeGpu(() => never, { fence: gates32.fence });
  for (let i = 0; i < 5; i++) await afterUpload(gpu, 16 * 1024 * 1024, undefined);
  expect(gates32.open).toBe(2);
  const stop = new AbortController();
  const third = afterUpload(gpu, 16 * 1024 * 1024, stop.signal);
  await expect(Promise.race([third, Promise.resolve("waits")])).resolves.toBe("waits");
  stop.abort();
  await expect(third).rejects.toMatchObject({ code: "cancelled" });
});

test("an abort ends a wait for the GPU at once", async () => {
  const stop = new AbortController();
  const pace = new Pace(fakeGpu(() => never), stop.signal);
  const waiting = pace.wait();
  stop.abort();
  await expect(waiting).rejects.toMatchObject({ code: "cancelled" });
  await expect(pace.after(1)).rejects.toMatchObject({ code: "cancelled" });
});

test("a fault of the GPU arrives, and one after the abort is not left unhandled", async () => {
  const fault = new Error("device lost");
  await expect(orCancelled(Promise.reject(fault), new AbortController().signal)).rejects.toBe(fault);
  const stop = new AbortController();
  stop.abort();
  await expect(orCancelled(Promise.reject(fault), stop.signal)).rejects.toMatchObject({ code: "cancelled" });
});
