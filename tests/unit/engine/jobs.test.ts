import { expect, test } from "vitest";
import { Jobs } from "../../../src/engine/jobs";
import { StudioError } from "../../../src/core/errors";

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
