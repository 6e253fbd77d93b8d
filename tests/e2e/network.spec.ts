import type { Page } from "@playwright/test";
import { copyPair } from "./files";
import { heading, loadFolders, mainAction, measure, toShape, write } from "./flows";
import { expect, launch, open, test } from "./studio";

/** Every address the page or its workers ask for. */
function requestsOf(page: Page): string[] {
  const urls: string[] = [];
  page.context().on("request", (request) => urls.push(request.url()));
  return urls;
}

test("no request leaves the origin, and the page's own rules forbid one that would", async ({ profile, folder, baseURL }) => {
  const context = await launch(profile, [], { baseURL: baseURL! });
  const page = context.pages()[0]!;
  const urls = requestsOf(page);
  await open(page);
  const { base, tuned } = copyPair(folder, "qwen2-tiny-f32");
  await loadFolders(page, [base, tuned]);
  await toShape(page);
  await measure(page);
  await mainAction(page).click();
  await write(page, "One download per file");
  expect(urls.length).toBeGreaterThan(3);
  expect(urls.filter((url) => !url.startsWith(`${baseURL}/`) && !url.startsWith(`blob:${baseURL}/`) && !url.startsWith("data:"))).toEqual([]);

  // 127.0.0.1 is the same machine and another origin.
  const foreign = baseURL!.replace("localhost", "127.0.0.1");
  const refused = await page.evaluate((url) => fetch(url, { mode: "no-cors" }).then(() => "reached", (error: unknown) => String(error)), foreign);
  expect(refused).toContain("Failed to fetch");
  const inWorker = await page.workers()[0]!.evaluate((url) => fetch(url, { mode: "no-cors" }).then(() => "reached", (error: unknown) => String(error)), foreign);
  expect(inWorker).toContain("Failed to fetch");
  await context.close();
});

test("without WebGPU the page loads, checks, says what to do, and merges without a Fisher", async ({ profile, folder, baseURL }) => {
  const context = await launch(profile, ["--disable-features=WebGPU,WebGPUService", "--disable-gpu", "--disable-unsafe-webgpu", "--disable-blink-features=WebGPU"], { baseURL: baseURL!, ignoreDefaultArgs: ["--enable-unsafe-webgpu", "--enable-unsafe-swiftshader"] });
  const page = context.pages()[0]!;
  await page.goto("/");
  const none = await page.evaluate(() => navigator.gpu === undefined || navigator.gpu.requestAdapter().then((a) => a === null));
  expect(none, "this browser has no adapter").toBe(true);
  await open(page);
  await expect(page.getByRole("button", { name: "No WebGPU" })).toBeVisible();
  await expect(page.getByText("Load, Check and methods without Fisher still work.")).toBeVisible();
  await page.getByRole("button", { name: "No WebGPU" }).click();
  await expect(page.getByRole("dialog")).toContainText(/WebGPU/);
  await page.keyboard.press("Escape");
  const { base, tuned } = copyPair(folder, "qwen2-tiny-f32");
  await loadFolders(page, [base, tuned]);
  await toShape(page);
  await expect(mainAction(page)).toBeDisabled();
  await expect(page.locator(".actionbar")).toContainText(/GPU/);
  await page.getByRole("combobox", { name: "Method", exact: true }).selectOption({ label: "TIES" });
  await measure(page);
  await mainAction(page).click();
  await write(page, "One download per file");
  await expect(heading(page, "Written and verified")).toBeVisible();
  await context.close();
});
