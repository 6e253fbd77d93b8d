import AxeBuilder from "@axe-core/playwright";
import type { Locator, Page } from "@playwright/test";
import { bigModel, copyPair } from "./files";
import { heading, loadFolders, mainAction, panel, toShape } from "./flows";
import { dropPaths, expect, open, test } from "./studio";

/** By then a paused job takes no new work. */
const LIMIT_MS = 2000;
const pauseIn = (scope: Locator): Locator => scope.getByRole("button", { name: "Pause", exact: true });
const continueIn = (scope: Locator): Locator => scope.getByRole("button", { name: "Continue", exact: true });

/** What a running job shows, as one text. */
const shown = (scope: Locator): Promise<string> => scope.evaluate((box) => [...box.querySelectorAll(".stats, .strip, [role=progressbar], .phases")].map((part) => part.outerHTML).join("\n"));

/** Expects that nothing moves in `scope` for a while, after the time in which a pause takes effect. */
async function standsStill(page: Page, scope: Locator): Promise<void> {
  await page.waitForTimeout(LIMIT_MS);
  const before = await shown(scope);
  await page.waitForTimeout(1500);
  expect(await shown(scope)).toBe(before);
}

const jobLocks = (page: Page): Promise<string[]> => page.evaluate(async () => (await navigator.locks.query()).held!.map((lock) => lock.name!).filter((name) => name.startsWith("job:")));
const announced = (page: Page, text: RegExp): Locator => page.getByRole("status").filter({ hasText: text });

test("a copy waits and goes on, by keyboard; a reload in between finds it unfinished", async ({ studio, folder }) => {
  const big = bigModel(folder, "big", 1500);
  await dropPaths(studio, [big]);
  const box = panel(studio, "big");
  await expect(box.locator(".strip i.stored, .strip i.ok").first()).toBeVisible({ timeout: 30_000 });
  await pauseIn(box).focus();
  await studio.keyboard.press("Enter");
  await expect(continueIn(box)).toBeFocused();
  await expect(announced(studio, /^Paused at \d+%$/)).toHaveCount(1);
  await expect(studio).toHaveTitle(/^Paused at \d+ % · Load/);
  await standsStill(studio, box);
  expect(await jobLocks(studio), "its lock is held").toHaveLength(1);
  await studio.keyboard.press("Enter");
  await expect(pauseIn(box)).toBeFocused();
  await expect(studio).toHaveTitle(/^\d+ % · Load/);
  const stored = await box.locator(".strip i.ok").count();
  await expect.poll(() => box.locator(".strip i.ok").count(), { timeout: 30_000 }).toBeGreaterThan(stored);
  await pauseIn(box).click();
  await expect(continueIn(box)).toBeVisible();
  await studio.waitForTimeout(LIMIT_MS);
  studio.on("dialog", (dialog) => void dialog.accept());
  await open(studio);
  await expect(studio.getByText(/big, \d+ of 23 chunks copied\. Drop the folder again to continue\./)).toBeVisible();
});

test("a Fisher pass waits, goes on, and is cancelled while it waits", async ({ studio, folder }) => {
  test.slow();
  const { base, tuned } = copyPair(folder, "qwen2-tiny-f32");
  await loadFolders(studio, [base, tuned]);
  await toShape(studio);
  for (const [name, value] of [["Random inputs", "64"], ["Length", "256"]] as const) {
    await studio.getByRole("textbox", { name }).fill(value);
    await studio.getByRole("textbox", { name }).press("Enter");
  }
  await mainAction(studio).click();
  const block = studio.getByRole("region", { name: "Fisher pass" });
  await expect(block.locator(".strip i.stored").first()).toBeVisible({ timeout: 120_000 });
  await pauseIn(block).click();
  await expect(announced(studio, /^Fisher pass: paused at \d+%$/)).toHaveCount(1);
  await expect(studio.locator(".actionbar")).toContainText("Paused.");
  expect((await new AxeBuilder({ page: studio }).analyze()).violations).toEqual([]);
  await standsStill(studio, block);
  const before = await shown(block);
  await continueIn(block).click();
  await expect.poll(() => shown(block), { timeout: 120_000 }).not.toBe(before);
  await expect(studio.locator(".actionbar")).not.toContainText("Paused.");
  await pauseIn(block).click();
  await expect(continueIn(block)).toBeVisible();
  const started = performance.now();
  await block.getByRole("button", { name: "Cancel" }).click();
  await expect(heading(studio, "Measure which layers matter")).toBeVisible();
  expect(performance.now() - started).toBeLessThan(LIMIT_MS);
  await expect(studio.getByRole("alert")).toHaveCount(0);
  expect(await jobLocks(studio)).toEqual([]);
});

test("writing waits and goes on to files that pass their check", async ({ studio, folder }) => {
  await loadFolders(studio, [bigModel(folder, "a-base", 500), bigModel(folder, "b-tuned", 500)]);
  await toShape(studio);
  await studio.getByRole("combobox", { name: "Method", exact: true }).selectOption({ label: "Linear" });
  await expect(mainAction(studio)).toHaveText("Save");
  await mainAction(studio).click();
  await studio.getByRole("radio", { name: "One download per file" }).check();
  await expect(mainAction(studio)).toBeEnabled();
  await mainAction(studio).click();
  const block = studio.getByRole("region", { name: "Writing and checking" });
  await pauseIn(block).click();
  await expect(continueIn(block)).toBeVisible();
  await standsStill(studio, block);
  await continueIn(block).click();
  await expect(heading(studio, "Written and verified")).toBeVisible({ timeout: 90_000 });
});
