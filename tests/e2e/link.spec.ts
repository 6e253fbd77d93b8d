import { join } from "node:path";
import type { Page } from "@playwright/test";
import { copyPair } from "./files";
import { dialogWith, heading, mainAction, panel, toShape, write } from "./flows";
import { dropPaths, expect, open, test } from "./studio";

const chooseLink = (page: Page) => page.getByRole("radio", { name: /^Link, don’t copy/ }).check();
const modelDatabases = (page: Page): Promise<number> => page.evaluate(async () => (await indexedDB.databases()).filter((d) => d.name!.startsWith("studio-model-")).length);

test("linked folders are merged without a copy; after a reload they need permission, and the same folders dropped again open them", async ({ studio, folder }) => {
  const { base, tuned } = copyPair(folder, "qwen2-tiny-f32");
  await chooseLink(studio);
  await dropPaths(studio, [base, tuned]);
  for (const name of ["tiny-base", "tiny-tuned"]) {
    await expect(panel(studio, name).getByText("Linked in place")).toBeVisible();
    await expect(panel(studio, name)).toContainText("Linked: no copy; asks again after a reload");
  }
  expect(await modelDatabases(studio)).toBe(0);
  await toShape(studio);
  await studio.getByRole("combobox", { name: "Method", exact: true }).selectOption({ label: "Linear" });
  await expect(mainAction(studio)).toHaveText("Save");
  await mainAction(studio).click();
  await write(studio, "One download per file");

  await open(studio);
  await studio.getByRole("navigation", { name: "Steps" }).getByRole("button", { name: "Load" }).click();
  await expect(heading(studio, "Linked folders need your permission")).toBeVisible();
  for (const name of ["tiny-base", "tiny-tuned"]) {
    await expect(panel(studio, name).getByText("Needs your permission")).toBeVisible();
    await expect(panel(studio, name).getByRole("button", { name: `Allow access to ${name}` })).toBeEnabled();
  }
  await expect(studio.getByRole("button", { name: "Continue to Check" })).toBeDisabled();
  await dropPaths(studio, [base, tuned]);
  for (const name of ["tiny-base", "tiny-tuned"]) await expect(panel(studio, name).getByText("Linked in place")).toBeVisible();
  await expect(studio.getByText("Stored and checked: nothing blocks the merge.")).toBeVisible();
});

/**
 * Folders that the dialog hands over are real handles here, but of the origin's own file system, which never asks. Until the
 * page has asked, the worker is told "prompt" and gets no file, as after a reload with a folder of the disk; a browser without a
 * screen cannot show its question.
 */
async function pretendToAsk(page: Page): Promise<void> {
  let loads = 0;
  await page.route("**/engine.worker*.js", async (route) => {
    const response = await route.fetch();
    const first = loads++ === 0;
    const patch = `{
      let state = ${first ? '"granted"' : '"prompt"'};
      const channel = new BroadcastChannel("permission");
      channel.onmessage = ({ data }) => { if (data === "allow") { state = "granted"; channel.postMessage("allowed"); } };
      const getFile = FileSystemFileHandle.prototype.getFile;
      FileSystemHandle.prototype.queryPermission = async () => state;
      FileSystemFileHandle.prototype.getFile = async function () { if (state !== "granted") throw new DOMException("", "NotAllowedError"); return getFile.call(this); };
    }\n`;
    await route.fulfill({ response, body: patch + (await response.text()) });
  });
  await page.addInitScript(() => {
    Object.assign(FileSystemHandle.prototype, {
      requestPermission: () => new Promise((resolve) => {
        const channel = new BroadcastChannel("permission");
        channel.onmessage = () => resolve("granted");
        channel.postMessage("allow");
      }),
    });
  });
}

test("one click opens a linked model again, and a file that changed is named", async ({ studio, folder }) => {
  const { base, tuned } = copyPair(folder, "qwen2-tiny-f32");
  await pretendToAsk(studio);
  await open(studio);
  await dialogWith(studio, [base, tuned]);
  await chooseLink(studio);
  await studio.getByRole("button", { name: "Choose folders…" }).click();
  for (const name of ["tiny-base", "tiny-tuned"]) await expect(panel(studio, name).getByText("Linked in place")).toBeVisible();

  await open(studio);
  await expect(heading(studio, "Linked folders need your permission")).toBeVisible();
  await dialogWith(studio, [tuned]); // written anew: same bytes, later
  await studio.getByRole("button", { name: "Allow access to tiny-base" }).click();
  await expect(panel(studio, "tiny-base").getByText("Linked in place")).toBeVisible();
  await studio.getByRole("button", { name: "Allow access to tiny-tuned" }).click();
  const card = studio.getByRole("alert", { name: "A file changed on disk" });
  await expect(card).toContainText(/tiny-tuned\/\S+ ?it was modified on|tiny-tuned\//);
  await expect(card).toContainText("it was modified on");
  await expect(panel(studio, "tiny-tuned").getByText("Needs your permission")).toBeVisible();
});

test("a folder that the browser keeps to itself is named, with what to do", async ({ studio, profile }) => {
  await dropPaths(studio, [join(profile, "Default")]);
  await expect(studio.getByRole("alert").first()).toContainText(/Default/, { timeout: 40_000 });
  await expect(studio.getByRole("alert").first()).toContainText(/What to do/);
});
