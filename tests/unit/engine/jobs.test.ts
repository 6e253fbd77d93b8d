import { expect, test } from "vitest";
import { alone, Jobs } from "../../../src/engine/jobs";
import { StudioError } from "../../../src/core/errors";
import { whileRunning } from "../../../src/core/pause";
import { localLocks } from "../../../src/store/locks";

const never = (signal: AbortSignal) => new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(new Error("the read was aborted"))));

test("a cancelled job rejects with cancelled, whatever it threw", async () => {
  const jobs = new Jobs();
  const job = jobs.run("a", never);
  jobs.cancel("a");
  await expect(job).rejects.toMatchObject({ code: "cancelled" });
});

test("an id is free again after its job, and busy before", async () => {
  const jobs = new Jobs();
  const job = jobs.run("a", never);
  await expect(jobs.run("a", async () => 1)).rejects.toMatchObject({ code: "busy" });
  expect(await jobs.run("b", async () => 2)).toBe(2);
  jobs.cancel("a");
  await job.catch(() => undefined);
  expect(await jobs.run("a", async () => 3)).toBe(3);
});

test("a failure keeps its code, an unknown one becomes internal; cancelling a stranger does nothing", async () => {
  const jobs = new Jobs();
  await expect(jobs.run("a", async () => { throw new StudioError("bad-file", "x"); })).rejects.toMatchObject({ code: "bad-file" });
  await expect(jobs.run("a", async () => { throw new TypeError("y"); })).rejects.toMatchObject({ code: "internal", message: "y" });
  jobs.cancel("nobody");
});

test("under a lock one works at a time; the other is told, and the lock is free after a failure", async () => {
  const locks = localLocks();
  let finish: (value: number) => void = () => undefined;
  const first = alone(locks, "pass:1", () => new Promise<number>((resolve) => (finish = resolve)));
  await expect(alone(locks, "pass:1", async () => 2)).rejects.toMatchObject({ code: "busy", details: { title: "Busy in another tab" } });
  expect(await alone(locks, "pass:2", async () => 3)).toBe(3);
  await Promise.resolve();
  finish(1);
  expect(await first).toBe(1);
  await expect(alone(locks, "pass:1", async () => Promise.reject(new Error("x")))).rejects.toThrow("x");
  expect(await alone(locks, "pass:1", async () => 4)).toBe(4);
  expect(await alone(undefined, "pass:1", async () => 5)).toBe(5);
});

test("a paused job waits where it looks for a cancel, and goes on", async () => {
  const jobs = new Jobs();
  const steps: number[] = [];
  const job = jobs.run("a", async (signal) => {
    for (let i = 0; i < 3; i++) {
      await whileRunning(signal);
      steps.push(i);
      if (i === 0) jobs.pause("a");
    }
  });
  await new Promise((resolve) => setTimeout(resolve, 10));
  expect(steps).toEqual([0]);
  jobs.resume("a");
  await job;
  expect(steps).toEqual([0, 1, 2]);
  jobs.pause("a");
  jobs.resume("a");
});
