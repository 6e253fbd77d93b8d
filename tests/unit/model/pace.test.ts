import { expect, test } from "vitest";
import type { Gpu } from "../../../src/gpu/gpu";
import { orCancelled, Pace } from "../../../src/model/pace";

const never = new Promise<never>(() => undefined);
const fakeGpu = (sync: () => Promise<void>): Gpu => ({ submitCost: 100, sync }) as unknown as Gpu;

test("the CPU waits once eight submits' worth of work is queued", async () => {
  let waits = 0;
  const pace = new Pace(fakeGpu(async () => void waits++));
  for (let i = 0; i < 20; i++) await pace.after(100);
  expect(waits).toBe(2);
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
