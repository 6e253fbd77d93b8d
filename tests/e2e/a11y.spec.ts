import { cpSync } from "node:fs";
import { join } from "node:path";
import { expectNoViolation } from "./axe";
import { bigModel, copyPair } from "./files";
import { heading, loadFolders, mainAction, panel } from "./flows";
import { dropPaths, expect, test } from "./studio";

test("axe finds nothing on Load and in the drawers", async ({ studio, folder }) => {
  test.slow();
  await expectNoViolation(studio, "Load, empty");
  const { base, tuned } = copyPair(folder, "qwen2-tiny-f32");
  const big = bigModel(folder, "a-big", 1200);
  await dropPaths(studio, [big]);
  await expect(studio.getByRole("complementary", { name: "Checkpoints" })).toContainText("a-big");
  await panel(studio, "a-big").getByRole("button", { name: "Cancel" }).click();
  await expect(studio.getByText(/Unfinished, \d+ of 18 chunks/).first()).toBeVisible();
  await expectNoViolation(studio, "Load, a cancelled copy");
  await dropPaths(studio, [join(base, "config.json")]);
  await expect(studio.getByRole("alert")).toBeVisible();
  await expectNoViolation(studio, "Load, error card");
  await studio.getByRole("button", { name: "Dismiss" }).click();
  const over = studio.getByRole("button", { name: "Start over" });
  if (await over.isVisible()) await over.click();
  await loadFolders(studio, [base, tuned]);
  await expectNoViolation(studio, "Load, ready");
  for (const [open, title] of [[() => studio.getByRole("button", { name: "Storage", exact: true }).click(), "Storage"], [() => studio.locator(".badge:not(.network)").click(), /GPU/], [() => studio.getByRole("button", { name: /^\d+ requests?$/ }).click(), "Network"], [() => studio.getByRole("button", { name: "Run history" }).click(), /history/i], [() => studio.keyboard.press("?"), "Keyboard"], [() => studio.keyboard.press("Control+k"), "Command palette"]] as const) {
    await open();
    await expect(studio.getByRole("dialog", { name: title })).toBeVisible();
    await expectNoViolation(studio, `drawer ${String(title)}`);
    await studio.keyboard.press("Escape");
    await expect(studio.getByRole("dialog")).toHaveCount(0);
  }
  await studio.keyboard.press("Control+k");
  await studio.getByRole("combobox", { name: "Command" }).fill("methods");
  await studio.keyboard.press("Enter");
  await expect(studio.getByRole("dialog", { name: "Methods" })).toBeVisible();
  await studio.getByText(/^\d+ settings$/).first().click();
  await expectNoViolation(studio, "Methods");
  await studio.keyboard.press("Escape");
});

test("axe finds nothing while a folder is read", async ({ studio, folder }) => {
  await studio.workers()[0]!.evaluate(() => {
    // The copy waits at its second chunk, so that the page can be looked at.
    const put = IDBObjectStore.prototype.put;
    IDBObjectStore.prototype.put = function (value: unknown, at?: IDBValidKey) {
      if (at !== "c/0001/000001") return put.call(this, value, at);
      for (const event of ["oncomplete", "onabort", "onerror"]) Object.defineProperty(this.transaction, event, { set: () => undefined });
      const request = this.get(at);
      this.transaction.abort();
      return request as IDBRequest<IDBValidKey>;
    };
  });
  const { tuned } = copyPair(folder, "qwen2-tiny-f32");
  await dropPaths(studio, [bigModel(folder, "a-big", 200), tuned]);
  await expect(panel(studio, "a-big").getByRole("progressbar")).toBeVisible();
  await expect(panel(studio, "tiny-tuned").getByText("Waiting")).toBeVisible();
  await expectNoViolation(studio, "Load, reading");
});

test("axe finds nothing on a blocked Check", async ({ studio, folder }) => {
  const { base } = copyPair(folder, "qwen2-tiny-f32");
  const { base: other } = copyPair(join(folder, "other"), "llama-tiny-bf16");
  cpSync(other, join(folder, "z-llama"), { recursive: true });
  await loadFolders(studio, [base, join(folder, "z-llama")]);
  await studio.getByRole("button", { name: "Continue to Check" }).click();
  await expect(heading(studio, "These two cannot be merged")).toBeVisible();
  await expectNoViolation(studio, "Check, blocked");
});

test("axe finds nothing from Check to the written files", async ({ studio, folder }) => {
  test.slow();
  const { base, tuned } = copyPair(folder, "qwen2-tiny-f32");
  await loadFolders(studio, [base, tuned]);
  await studio.getByRole("button", { name: "Continue to Check" }).click();
  await expect(heading(studio, "These two can be merged")).toBeVisible();
  await expectNoViolation(studio, "Check, ok");
  await studio.getByRole("button", { name: "Continue to Shape" }).click();
  await expect(mainAction(studio)).toHaveText("Measure layers");
  await expectNoViolation(studio, "Shape, before the pass");
  await studio.getByText("All options").click();
  await expectNoViolation(studio, "Shape, all options");
  const inputs = studio.getByRole("textbox", { name: "Random inputs" });
  await inputs.fill("64");
  await inputs.press("Enter");
  const length = studio.getByRole("textbox", { name: "Length" });
  await length.fill("256");
  await length.press("Enter");
  await mainAction(studio).click();
  await expect(studio.getByRole("progressbar", { name: "Fisher pass" })).toBeVisible();
  await expectNoViolation(studio, "Shape, measuring");
  await studio.locator("main").getByRole("button", { name: /^(Cancel|Stop)/ }).click();
  await inputs.fill("2");
  await inputs.press("Enter");
  await length.fill("16");
  await length.press("Enter");
  await mainAction(studio).click();
  await expect(heading(studio, "How much each layer takes")).toBeVisible({ timeout: 60_000 });
  await expect(mainAction(studio)).toHaveText("Save");
  await expectNoViolation(studio, "Shape, measured");
  for (const name of ["α", "F", "Kept"]) await studio.getByRole("button", { name: `Show ${name} as table` }).click();
  await expectNoViolation(studio, "Shape, tables");
  await studio.getByRole("button", { name: "By tensor kind" }).click();
  await expectNoViolation(studio, "Shape, by tensor kind");
  await studio.getByRole("button", { name: "Recipe", exact: true }).click();
  await expectNoViolation(studio, "Shape, recipe");
  await studio.keyboard.press("Escape");
  await studio.keyboard.press("4");
  await expect(heading(studio, "Try")).toBeVisible();
  await expectNoViolation(studio, "Try");
  await studio.keyboard.press("5");
  await expect(mainAction(studio)).toBeEnabled();
  await expectNoViolation(studio, "Save, plan");
  await studio.getByRole("radio", { name: "One download per file" }).check();
  await mainAction(studio).click();
  await expect(heading(studio, "Written and verified")).toBeVisible({ timeout: 60_000 });
  await expectNoViolation(studio, "Save, written");
});

test("the whole flow by keyboard", async ({ studio, folder }) => {
  const press = (key: string): Promise<void> => studio.keyboard.press(key);
  /** Tab until the focus is on it; fails when it cannot be reached. */
  const tabTo = async (name: RegExp): Promise<void> => {
    for (let i = 0; i < 80; i++) {
      await press("Tab");
      if (name.test(await studio.evaluate(() => document.activeElement?.getAttribute("aria-label") ?? document.activeElement?.textContent ?? ""))) return;
    }
    throw new Error(`Tab does not reach ${name}`);
  };
  const { base, tuned } = copyPair(folder, "qwen2-tiny-f32");
  await press("Tab");
  await expect(studio.getByRole("link", { name: "Skip to the step" })).toBeFocused();
  await studio.evaluate(() => Reflect.deleteProperty(window, "showDirectoryPicker"));
  for (const path of [base, tuned]) {
    const [chooser] = await Promise.all([studio.waitForEvent("filechooser"), press("Control+Enter").then(async () => {
      if (path === tuned) await tabTo(/^Choose a folder…$/).then(() => press("Enter"));
    })]);
    await chooser.setFiles(path);
    await expect(panel(studio, path.split("/").at(-1)!).getByText("Stored and verified")).toBeVisible();
  }
  await press("2");
  await expect(heading(studio, "These two can be merged")).toBeVisible();
  await press("Control+Enter");
  await expect(mainAction(studio)).toHaveText("Measure layers");
  await press("Control+Enter");
  await expect(heading(studio, "How much each layer takes")).toBeVisible({ timeout: 60_000 });

  await tabTo(/^Show α as table$/);
  await tabTo(/^α per layer, layer$/);
  const readout = studio.getByRole("region", { name: "Values of the layer under the cursor" });
  await expect(readout).toContainText("layer0");
  await press("ArrowRight");
  await expect(readout).toContainText("layer1");
  await press("End");
  await expect(readout).toContainText("layer2");
  await press("Home");
  await expect(readout).toContainText("layer0");
  await press("t");
  await expect(studio.getByRole("region", { name: "All layers", exact: true })).toBeVisible();
  await press("t");
  await expect(studio.getByRole("region", { name: "All layers", exact: true })).toHaveCount(0);
  await press("h");
  await expect(studio.getByRole("dialog", { name: /history/i })).toBeVisible();
  await press("Escape");
  await press("Control+k");
  await studio.keyboard.type("go to save");
  await press("Enter");
  await expect(heading(studio, "Save the merged model")).toBeVisible();
  await studio.getByRole("radio", { checked: true }).focus();
  await press("ArrowDown");
  await expect(studio.getByRole("radio", { name: "As one .zip" })).toBeChecked();
  await press("ArrowUp");
  await expect(studio.getByRole("radio", { name: "One download per file" })).toBeChecked();
  await expect(mainAction(studio)).toBeEnabled();
  await press("Control+Enter");
  await expect(heading(studio, "Written and verified")).toBeVisible({ timeout: 60_000 });
  await press("1");
  await expect(heading(studio, "Your checkpoints")).toBeVisible();
});
