import type { Page } from "@playwright/test";
import { copyPair } from "./files";
import { dialogWith, heading, loadFolders, panel } from "./flows";
import { dropPaths, expect, open, test } from "./studio";

/** Both cards say what the folders are. */
async function expectCards(page: Page, names = ["tiny-base", "tiny-tuned"]): Promise<void> {
  const cards = page.getByRole("complementary", { name: "Checkpoints" }).getByRole("article");
  for (const [i, name] of names.entries()) {
    await expect(panel(page, name).getByText("Stored and verified")).toBeVisible();
    await expect(panel(page, name)).toContainText("tensors39");
    await expect(cards.nth(i)).toContainText(["Base", "Fine-tuned"][i]!);
    await expect(cards.nth(i)).toContainText(`Ready${name}`);
    await expect(cards.nth(i)).toContainText("Qwen2 · 3 layers");
    await expect(cards.nth(i)).toContainText("parameters172 k");
    await expect(cards.nth(i)).toContainText("context256");
  }
  await expect(page.getByText("Stored and checked: nothing blocks the merge.")).toBeVisible();
}

test("two folders dropped at once take base and fine-tuned; the same folders dropped again are recognised", async ({ studio, folder }) => {
  const { base, tuned } = copyPair(folder, "qwen2-tiny-f32");
  await dropPaths(studio, [base, tuned]);
  await expectCards(studio);

  await studio.getByRole("button", { name: "Storage", exact: true }).click();
  const drawer = studio.getByRole("dialog", { name: "Storage" });
  const items = drawer.locator(".item");
  await expect(items).toHaveCount(2);
  await expect(items.first()).toContainText("tiny-base");
  await expect(items.first()).toContainText("copied, verified");
  await expect(items.first()).toContainText("694 kB");
  await drawer.getByRole("button", { name: "Close" }).click();

  await dropPaths(studio, [tuned, base]);
  await studio.waitForTimeout(500);
  await expectCards(studio);
  await studio.getByRole("button", { name: "Storage", exact: true }).click();
  await expect(items).toHaveCount(2);

  await drawer.getByRole("button", { name: "Delete tiny-tuned" }).click();
  await expect(drawer).toContainText("This model is in use; the pair is released. Delete the copy and free 694 kB?");
  await drawer.getByRole("button", { name: "Delete", exact: true }).click();
  await expect(items).toHaveCount(1);
  await drawer.getByRole("button", { name: "Close" }).click();
  await expect(heading(studio, "One more checkpoint")).toBeVisible();
  const databases = await studio.evaluate(async () => (await indexedDB.databases()).map((d) => d.name).filter((name) => name!.startsWith("studio-model-")));
  expect(databases).toHaveLength(1);
});

test("the directory input takes a folder where there is no folder dialog", async ({ studio, folder }) => {
  const { base, tuned } = copyPair(folder, "qwen2-tiny-f32");
  await studio.addInitScript(() => Reflect.deleteProperty(window, "showDirectoryPicker"));
  await open(studio);
  for (const [button, path] of [["Choose folders…", base], ["Choose a folder…", tuned]] as const) {
    const [chooser] = await Promise.all([studio.waitForEvent("filechooser"), studio.getByRole("button", { name: button }).click()]);
    await chooser.setFiles(path);
    await expect(panel(studio, path.split("/").at(-1)!).getByText("Stored and verified")).toBeVisible();
  }
  await expectCards(studio);
});

test("the folder dialog hands over a folder that holds both models", async ({ studio, folder }) => {
  const { base, tuned } = copyPair(folder, "qwen2-tiny-f32");
  await dialogWith(studio, [base, tuned]);
  await studio.getByRole("button", { name: "Choose folders…" }).click();
  await expectCards(studio);
});

test("a closed folder dialog changes nothing", async ({ studio }) => {
  await studio.evaluate(() => Object.assign(window, { showDirectoryPicker: async () => Promise.reject(new DOMException("closed", "AbortError")) }));
  await studio.getByRole("button", { name: "Choose folders…" }).click();
  await studio.waitForTimeout(300);
  await expect(studio.getByRole("button", { name: "Try with the sample pair" })).toBeVisible();
  await expect(studio.locator(".finding")).toHaveCount(0);
});

test("roles can be swapped, and stored models are there after a reload", async ({ studio, folder }) => {
  const { base, tuned } = copyPair(folder, "qwen2-tiny-f32");
  await loadFolders(studio, [base, tuned]);
  await studio.getByRole("button", { name: "Swap roles" }).click();
  await expectCards(studio, ["tiny-tuned", "tiny-base"]);
  await open(studio);
  await expectCards(studio, ["tiny-tuned", "tiny-base"]);
});
