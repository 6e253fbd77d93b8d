import { renameSync, utimesSync } from "node:fs";
import { bigModel } from "./files";
import { heading, panel } from "./flows";
import { holdAt, keys, stored, watchPuts } from "./stored";
import { dropPaths, expect, launch, open, test } from "./studio";

const CHUNKS = 5; // of 64 MiB

test("a copy cut off by a reload, then by a crash, goes on with the first missing chunk and ends in the hash of an uninterrupted one", async ({ profile, folder, baseURL }) => {
  const big = bigModel(folder, "big", 330);
  let context = await launch(profile, [], { ...(baseURL ? { baseURL } : {}) });
  let page = context.pages()[0]!;
  await open(page);
  await holdAt(page, 2);
  await dropPaths(page, [big]);
  await expect.poll(async () => (await stored(page, "big")).keys, { timeout: 30_000 }).toEqual(keys(0, 2));
  page.on("dialog", (dialog) => void dialog.accept()); // "leave the page?"
  await open(page);

  await expect(page.getByText(`big, 2 of ${CHUNKS} chunks copied. Drop the folder again to continue.`)).toBeVisible();
  expect((await stored(page, "big")).entry).toMatchObject({ state: "ingesting", chunksDone: 2 });

  await holdAt(page, 4);
  await dropPaths(page, [big]);
  await expect.poll(async () => (await stored(page, "big")).keys, { timeout: 30_000 }).toEqual(keys(0, 4));
  await page.waitForTimeout(200);
  const crashed = page.waitForEvent("crash");
  const session = await context.newCDPSession(page);
  void session.send("Page.crash").catch(() => undefined);
  await crashed;
  await context.close();

  context = await launch(profile, [], { ...(baseURL ? { baseURL } : {}) });
  page = context.pages()[0]!;
  await open(page);
  await expect(page.getByText(`big, 4 of ${CHUNKS} chunks copied. Drop the folder again to continue.`)).toBeVisible();
  const puts = await watchPuts(page);
  await dropPaths(page, [big]);
  await expect(panel(page, "big").getByText("Stored and verified")).toBeVisible({ timeout: 60_000 });
  expect(await puts(), "only what was missing is written").toEqual(keys(4, 5));
  const whole = await stored(page, "big");
  expect(whole.keys).toEqual(keys(0, 5));
  expect(whole.hashes.every((x) => typeof x === "string" && x.length === 32)).toBe(true);
  expect(new Set(whole.hashes).size, "no two chunks are equal").toBe(CHUNKS);

  await page.getByRole("button", { name: "Start over" }).click();
    renameSync(big, `${big}-again`);
  await dropPaths(page, [`${big}-again`]);
  await expect(panel(page, "big-again").getByText("Stored and verified")).toBeVisible({ timeout: 60_000 });
  const fresh = await stored(page, "big-again");
  expect(fresh.entry?.hash).toMatch(/^[0-9a-f]{32}$/);
  expect(whole.entry?.hash).toBe(fresh.entry?.hash);
  await context.close();
});

test("a folder that does not fit is refused with the numbers before the first byte, and fits after space is granted", async ({ studio, folder, baseURL }) => {
  const big = bigModel(folder, "big", 200);
  const session = await studio.context().newCDPSession(studio);
  await session.send("Storage.overrideQuotaForOrigin", { origin: baseURL!, quotaSize: 150e6 });
  await dropPaths(studio, [big]);
  const card = studio.getByRole("alert", { name: "Not enough storage" });
  await expect(card).toBeVisible();
  await expect(card).toContainText("Copying big");
  await expect(card).toContainText(/1\d\d MB free/);
  await expect(card).toContainText("267 MB free"); // the folder and 64 MiB to work in
  await expect(card).toContainText("Delete a stored model");
  const left = await studio.evaluate(async () => {
    const root = await navigator.storage.getDirectory();
    const entries: string[] = [];
    for await (const name of root.keys()) entries.push(name);
    return { databases: (await indexedDB.databases()).map((d) => d.name).filter((n) => n!.startsWith("studio-model-")), entries: entries.filter((n) => n !== "stages") };
  });
  expect(left).toEqual({ databases: [], entries: [] });
  await session.send("Storage.overrideQuotaForOrigin", { origin: baseURL! });
  await studio.getByRole("button", { name: "Read again" }).or(studio.getByRole("button", { name: "Try with the sample pair" })).first().waitFor();
  await dropPaths(studio, [big]);
  await expect(panel(studio, "big").getByText("Stored and verified")).toBeVisible({ timeout: 60_000 });
});

test("a copy is refused after the source has changed; versions are never mixed", async ({ studio, folder }) => {
  const big = bigModel(folder, "big", 200);
  await holdAt(studio, 1);
  await dropPaths(studio, [big]);
  await expect.poll(async () => (await stored(studio, "big")).keys, { timeout: 30_000 }).toEqual(keys(0, 1));
  studio.on("dialog", (dialog) => void dialog.accept());
  await open(studio);
  utimesSync(`${big}/model.safetensors`, new Date(), new Date(Date.now() + 5000));
  await dropPaths(studio, [big]);
  const card = studio.getByRole("alert", { name: "A file changed on disk" });
  await expect(card).toBeVisible();
  await expect(card).toContainText("big/model.safetensors");
  await expect(card).toContainText("the unfinished copy is of");
  expect((await stored(studio, "big")).keys).toEqual(keys(0, 1));
  await expect(heading(studio, /.+/)).toBeVisible();
});
