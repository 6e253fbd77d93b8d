import type { Page } from "@playwright/test";
import { bigModel, copyPair } from "./files";
import { heading, loadFolders, mainAction, panel, toShape } from "./flows";
import { holdReads, keys, stored } from "./stored";
import { dropPaths, expect, open, test } from "./studio";

async function deleteFrom(page: Page, name: string): Promise<void> {
  await page.getByRole("button", { name: "Storage", exact: true }).click();
  const drawer = page.getByRole("dialog", { name: "Storage" });
  await drawer.getByRole("button", { name: `Delete ${name}` }).click();
  await drawer.getByRole("button", { name: "Delete", exact: true }).click();
  await drawer.getByRole("button", { name: "Close" }).click();
}
const busy = (page: Page) => page.getByRole("alert", { name: "Busy in another tab" });

test("a model that a merge of another tab reads cannot be deleted, and can afterwards", async ({ studio, folder }) => {
  const { base, tuned } = copyPair(folder, "qwen2-tiny-f32");
  await loadFolders(studio, [base, tuned]);
  await toShape(studio);
  const goOn = await holdReads(studio, 0, 0);
  await mainAction(studio).filter({ hasText: /^Measure/ }).click();
  await expect(studio.getByRole("progressbar").first()).toBeVisible();

  const second = await studio.context().newPage();
  await open(second);
  await deleteFrom(second, "tiny-tuned");
  await expect(busy(second)).toContainText("tiny-tuned");
  await expect(busy(second)).toContainText("Wait for the other tab, or close it.");
  // What is read by both is not in anybody's way: the second tab can check the pair meanwhile.
  expect((await stored(second, "tiny-tuned")).entry).toMatchObject({ state: "ready" });

  await goOn();
  await expect(heading(studio, "How much each layer takes")).toBeVisible({ timeout: 60_000 });
  await busy(second).getByRole("button", { name: "Dismiss" }).click();
  await deleteFrom(second, "tiny-tuned");
  await expect(busy(second)).toHaveCount(0);
  await expect.poll(async () => (await stored(second, "tiny-tuned")).entry).toBeUndefined();
});

test("a folder that another tab copies is busy, and is there when that tab is closed", async ({ studio, folder }) => {
  const big = bigModel(folder, "big", 330);
  const first = await studio.context().newPage();
  await open(first);
  await holdReads(first, 16e6, 1);
  await dropPaths(first, [big]);
  await expect.poll(async () => (await stored(first, "big")).keys, { timeout: 30_000 }).toEqual(keys(0, 3));

  await open(studio);
  await dropPaths(studio, [big]);
  await expect(busy(studio)).toContainText("big");
  expect((await stored(studio, "big")).keys).toEqual(keys(0, 3));

  await first.close({ runBeforeUnload: false });
  await busy(studio).getByRole("button", { name: "Try again" }).click();
  await expect(panel(studio, "big").getByText("Stored and verified")).toBeVisible({ timeout: 60_000 });
});
