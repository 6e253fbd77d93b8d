/** What a person does on the page, step by step; every function ends when the page shows the result. */
import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Locator, Page } from "@playwright/test";
import { dropPaths, expect, ROOT } from "./studio";

export const panel = (page: Page, name: string): Locator => page.locator("main").getByRole("region", { name, exact: true });
export const mainAction = (page: Page): Locator => page.locator("[data-main-action]");
export const heading = (page: Page, name: string | RegExp): Locator => page.getByRole("heading", { level: 1, name });

/** Beside the run that goes on to the evaluation: the sample pair, measured, and no further. */
export const sampleButton = (page: Page): Locator => page.getByRole("button", { name: "Only load and measure" });

/** From the first screen to Shape of the sample pair. */
export async function loadSample(page: Page): Promise<void> {
  await sampleButton(page).click();
  await expect(heading(page, "How much each layer takes")).toBeVisible({ timeout: 90_000 });
}

/** Drops folders and waits until each is stored and verified. */
export async function loadFolders(page: Page, folders: string[], timeout = 20_000): Promise<void> {
  await dropPaths(page, folders);
  for (const folder of folders) await expect(panel(page, folder.split("/").at(-1)!).getByText("Stored and verified")).toBeVisible({ timeout });
}

/**
 * Writes files into a folder of the origin's own file system and lets the folder dialog answer with it: a real
 * FileSystemDirectoryHandle, because the dialog itself cannot be opened without a screen.
 */
export async function dialogWith(page: Page, paths: string[]): Promise<void> {
  const files = paths.flatMap((path) => readdirSync(path).map((name) => ({ path: `${path.split("/").at(-1)}/${name}`, data: readFileSync(join(path, name)).toString("base64") })));
  await page.evaluate(async (entries) => {
    const picked = await (await navigator.storage.getDirectory()).getDirectoryHandle("picked", { create: true });
    for (const { path, data } of entries) {
      const [directory, name] = path.split("/") as [string, string];
      const handle = await (await picked.getDirectoryHandle(directory, { create: true })).getFileHandle(name, { create: true });
      const stream = await handle.createWritable();
      await stream.write(Uint8Array.from(atob(data), (c) => c.charCodeAt(0)));
      await stream.close();
    }
    Object.assign(window, { showDirectoryPicker: async () => picked });
  }, files);
}

/** From a ready pair to Shape, through Check. */
export async function toShape(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Continue to Check" }).click();
  await expect(heading(page, /can be merged/)).toBeVisible();
  await page.getByRole("button", { name: "Continue to Shape" }).click();
  await expect(page.getByRole("combobox", { name: "Method", exact: true })).toBeVisible();
}

/** Replaces the recipe by pasted text, as "Load a recipe" of the recipe dialog does. */
export async function pasteRecipe(page: Page, recipe: unknown): Promise<void> {
  await page.getByRole("button", { name: "Recipe", exact: true }).click();
  const dialog = page.getByRole("dialog", { name: "Recipe" });
  await dialog.getByRole("button", { name: "Load a recipe" }).click();
  await dialog.getByRole("textbox").fill(JSON.stringify(recipe));
  await dialog.getByRole("button", { name: "Use this recipe" }).click();
  await expect(dialog).toBeHidden();
}

/** The recipe that the dialog shows. */
export async function shownRecipe(page: Page): Promise<Record<string, unknown>> {
  await page.getByRole("button", { name: "Recipe", exact: true }).click();
  const dialog = page.getByRole("dialog", { name: "Recipe" });
  const text = await dialog.getByRole("region", { name: "recipe.json" }).innerText();
  await dialog.getByRole("button", { name: "Close" }).click();
  return JSON.parse(text) as Record<string, unknown>;
}

export async function measure(page: Page): Promise<void> {
  await mainAction(page).filter({ hasText: /^Measure/ }).click();
  await expect(heading(page, "How much each layer takes")).toBeVisible({ timeout: 60_000 });
  await expect(mainAction(page)).toHaveText("Save");
}

/** Opens Save, chooses where, and writes. */
export async function write(page: Page, where: "Into a folder" | "One download per file" | "As one .zip", timeout = 60_000): Promise<void> {
  await expect(heading(page, "Save the merged model")).toBeVisible();
  await page.getByRole("radio", { name: where }).check();
  await expect(mainAction(page)).toBeEnabled();
  await mainAction(page).click();
  await expect(heading(page, "Written and verified")).toBeVisible({ timeout });
}

/** Presses one button of the downloads panel after the other; the files end up in `into`. */
export async function download(page: Page, into: string): Promise<string[]> {
  mkdirSync(into, { recursive: true });
  const buttons = page.getByRole("region", { name: "Downloads" }).locator(".downloads button");
  const names: string[] = [];
  for (let i = 0; i < (await buttons.count()); i++) {
    const [file] = await Promise.all([page.waitForEvent("download"), buttons.nth(i).click()]);
    names.push(file.suggestedFilename());
    await file.saveAs(join(into, file.suggestedFilename()));
  }
  return names;
}

export interface Terminal {
  code: number;
  stdout: string;
  stderr: string;
}

/** The same engine in Node on the software adapter. */
export async function terminalMerge(args: string[]): Promise<Terminal> {
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, ["src/cli/run.mjs", "merge", ...args], { cwd: ROOT, env: { ...process.env, TRIBUTARY_SOFTWARE_GPU: "1" }, timeout: 100_000 });
    return { code: 0, stdout, stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as Terminal;
    return { code, stdout, stderr };
  }
}
