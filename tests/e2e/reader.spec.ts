import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Worker } from "@playwright/test";
import type { StorageInfo } from "../../src/engine/api";
import { makeCheckpoint } from "../support/makeCheckpoint.mjs";
import { download, loadFolders, mainAction, terminalMerge, toShape, write } from "./flows";
import { expect, test } from "./studio";

/** Asks the engine what the page asks it, inside its own worker: the answer is looked for among what it posts. */
const storageOf = (engine: Worker): Promise<StorageInfo> =>
  engine.evaluate(
    () =>
      new Promise<StorageInfo>((resolve) => {
        const scope = self as unknown as { postMessage(message: unknown, ...rest: unknown[]): void };
        const id = -1;
        const post = scope.postMessage.bind(scope);
        scope.postMessage = (message, ...rest) => {
          const answer = message as { id?: number; value?: StorageInfo };
          if (answer.id !== id) return post(message, ...rest);
          scope.postMessage = post;
          resolve(answer.value!);
        };
        self.dispatchEvent(new MessageEvent("message", { data: { rpc: "call", id, method: "storage", args: [], callbacks: [] } }));
      }),
  );

test("models are read in a worker of their own, and the result is that of the terminal", async ({ studio, folder }) => {
  test.setTimeout(280_000);
  const [base, tuned] = ["base", "partner"].map((side) => join(folder, side)) as [string, string];
  // Without an output head in one of the two: tensors of 0.25 MB, and small ones.
  makeCheckpoint({ out: base, shape: "tiny", side: "base" });
  makeCheckpoint({ out: tuned, shape: "tiny", side: "partner" });
  await loadFolders(studio, [base, tuned], 60_000);
  await toShape(studio);
  await studio.getByRole("combobox", { name: "Method", exact: true }).selectOption({ label: "Task arithmetic" });
  const save = mainAction(studio).and(studio.locator(":enabled")).filter({ hasText: /^Save$/ });
  await expect(save).toBeVisible();

  const engine = (await Promise.all(studio.workers().map(async (worker) => ({ worker, name: await worker.evaluate(() => self.name) })))).find(({ name }) => name === "engine")!.worker;
  const before = (await storageOf(engine)).reader ?? { reads: 0, bytes: 0 };
  await save.click();
  await write(studio, "One download per file", 100_000);
  const { reads, bytes } = (await storageOf(engine)).reader!;
  // Every tensor above 64 KiB of both models, at least once: about nine tenths of them.
  expect(reads).toBeGreaterThan(before.reads);
  expect(bytes - before.bytes).toBeGreaterThan(1_500_000);

  const saved = join(folder, "saved");
  const out = join(folder, "terminal");
  await download(studio, saved);
  const merged = await terminalMerge(["--recipe", join(saved, "recipe.json"), "--base", base, "--model", tuned, "--out", out, "--quiet"]);
  expect(merged.code, merged.stderr).toBe(0);
  expect(readFileSync(join(saved, "model.safetensors")).equals(readFileSync(join(out, "model.safetensors")))).toBe(true);
});
