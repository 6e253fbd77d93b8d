import type { Locator, Page } from "@playwright/test";
import { bigModel, copyPair } from "./files";
import { heading, loadFolders, mainAction, measure, panel, toShape, write } from "./flows";
import { dropPaths, expect, test } from "./studio";

const LIMIT_MS = 2000;

/** Presses Cancel and measures until `answered` is there. */
async function cancelWithin(press: () => Promise<void>, answered: Locator): Promise<void> {
  const started = performance.now();
  await press();
  await expect(answered.first()).toBeVisible();
  const ms = performance.now() - started;
  console.log(`cancelled in ${ms.toFixed(0)} ms`);
  expect(ms).toBeLessThan(LIMIT_MS);
}

const stages = (page: Page): Promise<string[]> => page.evaluate(async () => {
  const directory = await (await navigator.storage.getDirectory()).getDirectoryHandle("stages", { create: true });
  const names: string[] = [];
  for await (const name of directory.keys()) names.push(name);
  return names;
});

test("a copy stops within two seconds, can be continued, and can be thrown away", async ({ studio, folder }) => {
  const big = bigModel(folder, "big", 1500);
  await dropPaths(studio, [big]);
  const box = panel(studio, "big");
  await expect(box.locator(".strip i.stored, .strip i.ok").first()).toBeVisible({ timeout: 30_000 });
  await expect(studio.getByRole("complementary", { name: "Checkpoints" }), "the copy has its card").toContainText("big");
  await cancelWithin(() => box.getByRole("button", { name: "Cancel" }).click(), box.getByText(/Unfinished, \d+ of 23 chunks/));
  await expect(studio.getByRole("alert")).toHaveCount(0);
  await box.getByRole("button", { name: "Continue the copy" }).click();
  await expect(box.locator(".strip i.stored, .strip i.ok").first()).toBeVisible({ timeout: 30_000 });
  await box.getByRole("button", { name: "Cancel" }).click();
  await expect(box.getByText(/Unfinished/)).toBeVisible();
  await studio.getByRole("button", { name: "Storage", exact: true }).click();
  const drawer = studio.getByRole("dialog", { name: "Storage" });
  await expect(drawer.locator(".item")).toContainText("unfinished copy");
  await drawer.getByRole("button", { name: "Delete big" }).click();
  await drawer.getByRole("button", { name: "Delete", exact: true }).click();
  await expect(drawer.locator(".item")).toHaveCount(0);
  expect(await studio.evaluate(async () => (await indexedDB.databases()).filter((d) => d.name!.startsWith("studio-model-")).length)).toBe(0);
});

test("a Fisher pass stops within two seconds, and the next one finishes", async ({ studio, folder }) => {
  const { base, tuned } = copyPair(folder, "qwen2-tiny-f32");
  await loadFolders(studio, [base, tuned]);
  await toShape(studio);
  const inputs = studio.getByRole("textbox", { name: "Random inputs" });
  const length = studio.getByRole("textbox", { name: "Length" });
  await inputs.fill("64");
  await inputs.press("Enter");
  await length.fill("256");
  await length.press("Enter");
  await mainAction(studio).click();
  await expect(heading(studio, "Measuring which layers matter")).toBeVisible();
  await studio.waitForTimeout(1500);
  await expect(heading(studio, "Measuring which layers matter"), "the pass is long enough to be stopped").toBeVisible();
  await cancelWithin(() => studio.locator("main").getByRole("button", { name: /^(Cancel|Stop)/ }).click(), heading(studio, "Measure which layers matter"));
  await expect(studio.getByRole("alert")).toHaveCount(0);
  await inputs.fill("2");
  await inputs.press("Enter");
  await length.fill("16");
  await length.press("Enter");
  await measure(studio);
});

for (const where of ["One download per file", "Into a folder"] as const)
  test(`writing (${where}) stops within two seconds and leaves nothing half-written`, async ({ studio, folder }) => {
    await studio.evaluate(() => {
      Object.assign(window, { showDirectoryPicker: async () => (await navigator.storage.getDirectory()).getDirectoryHandle("picked", { create: true }) });
    });
    await loadFolders(studio, [bigModel(folder, "a-base", 500), bigModel(folder, "b-tuned", 500)]);
    await toShape(studio);
    await studio.getByRole("combobox", { name: "Method", exact: true }).selectOption({ label: "Linear" });
    await expect(mainAction(studio)).toHaveText("Save");
    await mainAction(studio).click();
    await studio.getByRole("radio", { name: where }).check();
    await expect(mainAction(studio)).toBeEnabled();
    await mainAction(studio).click();
    await expect(heading(studio, "Writing the merged model")).toBeVisible();
    await expect(studio.getByRole("progressbar", { name: "Writing and checking" })).toBeVisible();
    await studio.waitForTimeout(700);
    await cancelWithin(() => studio.locator("main").getByRole("button", { name: /^(Cancel|Stop)/ }).click(), heading(studio, "Save the merged model"));
    await expect(studio.getByRole("alert")).toHaveCount(0);
    await expect.poll(() => stages(studio)).toEqual([]);
    if (where === "Into a folder") {
      const left = await studio.evaluate(async () => {
        const names: string[] = [];
        for await (const name of (await (await navigator.storage.getDirectory()).getDirectoryHandle("picked")).keys()) names.push(name);
        return names;
      });
      expect(left).toEqual([]);
    }
    // The page goes on working: the same files can be written now.
    if (where === "One download per file") await write(studio, where);
  });
