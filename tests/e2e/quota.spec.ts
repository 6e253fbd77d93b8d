import { join } from "node:path";
import type { CDPSession, Page } from "@playwright/test";
import { bigModel, copyPair } from "./files";
import { loadFolders, panel } from "./flows";
import { keys, stored, watchPuts } from "./stored";
import { dropPaths, expect, test } from "./studio";

const card = (page: Page) => page.getByRole("alert", { name: "Not enough storage" });
const usage = (page: Page): Promise<number> => page.evaluate(async () => (await navigator.storage.estimate()).usage!);

/**
 * Drops a folder of five chunks under a quota of three, which the question before the copy does not find: its first answer is taken for
 * yes. `small` is copied before, under the quota too: a browser remembers for a while how much room its databases have.
 */
async function runOut(page: Page, origin: string, path: string, small: string): Promise<CDPSession> {
  const session = await page.context().newCDPSession(page);
  await session.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: Math.round((await usage(page)) + 230e6) });
  await loadFolders(page, [small]);
  await page.workers()[0]!.evaluate(() => {
    const handles = (globalThis as unknown as { FileSystemSyncAccessHandle: { prototype: { truncate(size: number): void } } }).FileSystemSyncAccessHandle.prototype;
    const { truncate } = handles;
    handles.truncate = () => {
      handles.truncate = truncate;
    };
  });
  await dropPaths(page, [path]);
  await expect(card(page)).toBeVisible({ timeout: 30_000 });
  return session;
}

test("a quota that ends in the middle keeps what is copied, says the numbers, and the retry writes only what is missing", async ({ studio, folder, baseURL }) => {
  const { base } = copyPair(folder, "qwen2-tiny-f32");
  const big = bigModel(folder, "big", 330);
  const session = await runOut(studio, baseURL!, big, base);
  const kept = await stored(studio, "big");
  expect(kept.keys).toEqual(keys(0, 3));
  expect(kept.entry).toMatchObject({ state: "ingesting" });
  const missing = 330e6 - 3 * 64 * 1024 * 1024;
  await expect(card(studio)).toContainText("Copying big/model.safetensors");
  await expect(card(studio)).toContainText(`${Number((missing / 1e6).toPrecision(3))} MB free`); // Expected
  await expect(card(studio)).toContainText(/\b(1|2)?\d(\.\d+)? MB free/); // Found
  await expect(card(studio)).toContainText("3 of 5 chunks are stored and kept");
  await expect(panel(studio, "big")).toContainText("No room");
  await expect(studio.getByText("Stored and verified")).toHaveCount(1);
  await expect(card(studio).getByRole("button", { name: "Link in place, no copy" })).toBeVisible();
  await expect(card(studio).getByRole("button", { name: "Delete tiny-base, 694 kB" })).toBeVisible();

  // No more room: the retry is refused with the numbers again, and nothing is lost by it.
  await card(studio).getByRole("button", { name: "Try again" }).click();
  await expect(card(studio)).toContainText("Copying big");
  expect((await stored(studio, "big")).keys).toEqual(kept.keys);

  await session.send("Storage.overrideQuotaForOrigin", { origin: baseURL! });
  const puts = await watchPuts(studio);
  await card(studio).getByRole("button", { name: "Try again" }).click();
  await expect(panel(studio, "big").getByText("Stored and verified")).toBeVisible({ timeout: 60_000 });
  await expect(card(studio)).toHaveCount(0);
  expect(await puts(), "only the chunks that were missing").toEqual(keys(3, 5));
  expect((await stored(studio, "big")).entry).toMatchObject({ state: "ready", chunksDone: 5 });
});

test("where there is no room the folder is linked instead, and the chunks give their space back", async ({ studio, folder, baseURL }) => {
  const { base } = copyPair(folder, "qwen2-tiny-f32");
  const big = bigModel(folder, "big", 330);
  await runOut(studio, baseURL!, big, base);
  await card(studio).getByRole("button", { name: "Link in place, no copy" }).click();
  await expect(panel(studio, "big").getByText("Linked in place")).toBeVisible({ timeout: 30_000 });
  await expect(panel(studio, "big")).toContainText("Linked: no copy; asks again after a reload");
  await expect(card(studio)).toHaveCount(0);
  const left = await stored(studio, "big");
  expect([left.keys, left.entry?.state]).toEqual([[], "ready"]);
  expect(await studio.evaluate(async () => (await indexedDB.databases()).filter((d) => d.name!.startsWith("studio-model-")).length), "only the small one's").toBe(1);
});

test("a deleted model makes the room that the copy needs", async ({ studio, folder, baseURL }) => {
  const other = bigModel(folder, "another", 200);
  await dropPaths(studio, [other]);
  await expect(panel(studio, "another").getByText("Stored and verified")).toBeVisible({ timeout: 30_000 });
  const big = bigModel(folder, "big", 200);
  const session = await studio.context().newCDPSession(studio);
  await session.send("Storage.overrideQuotaForOrigin", { origin: baseURL!, quotaSize: 420e6 });
  await dropPaths(studio, [big]);
  await expect(card(studio)).toContainText("267 MB free"); // the folder and 64 MiB to work in
  await card(studio).getByRole("button", { name: "Delete another, 200 MB" }).click();
  await expect(card(studio).getByRole("button", { name: /^Delete another/ })).toHaveCount(0);
  // The browser counts a deleted chunk as used until the last object that points at it is collected.
  await expect(async () => {
    if (await card(studio).isVisible()) await card(studio).getByRole("button", { name: "Try again" }).click();
    await expect(panel(studio, "big").getByText("Stored and verified")).toBeVisible({ timeout: 10_000 });
  }).toPass({ timeout: 80_000 });
});

test("folders that find no room are linked together", async ({ studio, folder, baseURL }) => {
  const paths = ["big-a", "big-b"].map((name) => bigModel(folder, name, 200));
  const session = await studio.context().newCDPSession(studio);
  await session.send("Storage.overrideQuotaForOrigin", { origin: baseURL!, quotaSize: 20e6 });
  await dropPaths(studio, paths);
  await expect(card(studio)).toHaveCount(2);
  await card(studio).first().getByRole("button", { name: "Link the rest, no copies" }).click();
  for (const path of paths) await expect(panel(studio, path.split("/").at(-1)!).getByText("Linked in place")).toBeVisible({ timeout: 30_000 });
  await expect(card(studio)).toHaveCount(0);
  await expect(studio.getByText("Two models are read where they lie.")).toBeVisible();
  const after = bigModel(join(folder, "later"), "big-c", 30);
  await dropPaths(studio, [after]);
  await expect(panel(studio, "big-c").getByText("Linked in place"), "the choice is remembered").toBeVisible();
});
