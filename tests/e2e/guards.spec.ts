import type { Page } from "@playwright/test";
import { bigModel, copyPair } from "./files";
import { heading, loadFolders, mainAction, panel, toShape } from "./flows";
import { dropPaths, expect, open, test } from "./studio";

/** Stands in for the screen's wake lock, which a browser without a screen refuses, and counts. */
async function watchWakeLock(page: Page): Promise<() => Promise<{ asked: number; held: number }>> {
  await page.addInitScript(() => {
    const count = { asked: 0, held: 0 };
    Object.assign(window, { wake: count });
    const request = async (): Promise<unknown> => {
      count.asked++;
      count.held++;
      let open = true;
      return {
        release: async () => {
          if (open) count.held--;
          open = false;
        },
      };
    };
    Object.defineProperty(navigator, "wakeLock", { value: { request } });
  });
  return () => page.evaluate(() => ({ ...(window as unknown as { wake: { asked: number; held: number } }).wake }));
}

/** Whether the page would ask before it is left. */
const asksBeforeLeaving = (page: Page): Promise<boolean> => page.evaluate(() => !window.dispatchEvent(new Event("beforeunload", { cancelable: true })));

async function startLongPass(page: Page, folder: string): Promise<void> {
  const { base, tuned } = copyPair(folder, "qwen2-tiny-f32");
  await loadFolders(page, [base, tuned]);
  await toShape(page);
  for (const [name, value] of [["Random inputs", "64"], ["Length", "256"]] as const) {
    await page.getByRole("textbox", { name }).fill(value);
    await page.getByRole("textbox", { name }).press("Enter");
  }
  await mainAction(page).click();
  await expect(page.getByRole("region", { name: "Fisher pass" })).toBeVisible();
}

test("while a job runs the screen stays on and leaving is asked about; both end with it, and the screen may sleep in a pause", async ({ studio, folder }) => {
  const wake = await watchWakeLock(studio);
  await open(studio);
  expect(await asksBeforeLeaving(studio)).toBe(false);
  await dropPaths(studio, [bigModel(folder, "big", 1500)]);
  const box = panel(studio, "big");
  await expect(studio.getByRole("complementary", { name: "Checkpoints" })).toContainText("big");
  await expect.poll(async () => (await wake()).held).toBe(1);
  expect(await asksBeforeLeaving(studio)).toBe(true);

  // The browser takes the lock when the tab is hidden; it is asked for again when it comes back.
  const before = (await wake()).asked;
  await studio.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
  await expect.poll(wake).toEqual({ asked: before + 1, held: 1 });

  await box.getByRole("button", { name: "Pause", exact: true }).click();
  await expect(box.getByRole("button", { name: "Continue", exact: true })).toBeVisible();
  await expect.poll(async () => (await wake()).held, "a paused job needs no screen").toBe(0);
  expect(await asksBeforeLeaving(studio), "a paused job would still be lost").toBe(true);
  await box.getByRole("button", { name: "Continue", exact: true }).click();
  await expect.poll(async () => (await wake()).held).toBe(1);
  await box.getByRole("button", { name: "Cancel" }).click();
  await expect(box.getByText(/Unfinished/)).toBeVisible();
  await expect.poll(async () => (await wake()).held).toBe(0);
  expect(await asksBeforeLeaving(studio)).toBe(false);
});

test("a job goes on while the page is frozen", async ({ studio, folder }) => {
  await dropPaths(studio, [bigModel(folder, "big", 1500)]);
  const box = panel(studio, "big");
  const done = (): Promise<number> => box.getByRole("progressbar").getAttribute("aria-valuenow").then(Number);
  await expect(studio.getByRole("complementary", { name: "Checkpoints" })).toContainText("big");
  const session = await studio.context().newCDPSession(studio);
  const before = await done();
  await session.send("Page.setWebLifecycleState", { state: "frozen" });
  await new Promise((resolve) => setTimeout(resolve, 3000));
  await session.send("Page.setWebLifecycleState", { state: "active" });
  await expect.poll(done, { timeout: 30_000 }).toBeGreaterThan(before);
  await box.getByRole("button", { name: "Cancel" }).click();
  await expect(box.getByText(/Unfinished/)).toBeVisible();
});

test("a second tab that asks for the same pass is told that another tab is at it, and can have it afterwards", async ({ studio, folder }) => {
  await startLongPass(studio, folder);
  const locks = await studio.evaluate(async () => (await navigator.locks.query()).held!.map((lock) => lock.name!));
  expect(locks.filter((name) => name.startsWith("job:"))).toHaveLength(1);
  expect(locks.filter((name) => name.startsWith("pass:"))).toHaveLength(1);

  const other = await studio.context().newPage();
  await open(other);
  await toShape(other);
  await expect(mainAction(other)).toHaveText(/^Measure/);
  await mainAction(other).click();
  const card = other.getByRole("alert", { name: "Busy in another tab" });
  await expect(card).toBeVisible();
  await expect(card).toContainText("Another tab");
  await expect(studio.getByRole("region", { name: "Fisher pass" }), "the first goes on").toBeVisible();
  await studio.getByRole("region", { name: "Fisher pass" }).getByRole("button", { name: "Cancel" }).click();
  await expect(heading(studio, "Measure which layers matter")).toBeVisible();
  await mainAction(other).click();
  await expect(other.getByRole("region", { name: "Fisher pass" })).toBeVisible();
  await other.getByRole("region", { name: "Fisher pass" }).getByRole("button", { name: "Cancel" }).click();
  await expect(heading(other, "Measure which layers matter")).toBeVisible();
  await other.close();
});

test("a copy that is done before the next announcement leaves no percent behind", async ({ studio, folder }) => {
  const { base } = copyPair(folder, "qwen2-tiny-f32");
  await loadFolders(studio, [base]);
  const announced = studio.locator("p.vh[role=status]");
  await expect(announced).toHaveText(["tiny-base is stored."]);
});
