import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { chromium, test as base, type BrowserContext, type Page } from "@playwright/test";
// @ts-expect-error plain JavaScript, run before packages exist
import { findChromium } from "../../src/cli/setup.mjs";

export const fixtures = resolve(import.meta.dirname, "../fixtures");
export const ROOT = resolve(import.meta.dirname, "../..");

/** Flags of every test browser: WebGPU on, and none of the background traffic of a browser. */
const ARGS = ["--enable-unsafe-webgpu", "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

/** A browser with a profile on disk: an off-the-record context keeps IndexedDB by reference and OPFS in memory. */
export async function launch(profile: string, extra: string[] = [], options: Parameters<typeof chromium.launchPersistentContext>[1] = {}): Promise<BrowserContext> {
  const executablePath = findChromium();
  return chromium.launchPersistentContext(profile, { ...(executablePath ? { executablePath } : {}), headless: true, args: [...ARGS, ...extra], viewport: { width: 1440, height: 900 }, ...options });
}

async function temporary(kind: string, use: (path: string) => Promise<void>): Promise<void> {
  const path = mkdtempSync(join(tmpdir(), `tributary-${kind}-`));
  await use(path);
  rmSync(path, { recursive: true, force: true, maxRetries: 5 });
}

export const test = base.extend<{ profile: string; folder: string; studio: Page }>({
  // eslint-disable-next-line no-empty-pattern
  profile: async ({}, use) => temporary("profile", use),
  // Models to drop lie beside the profile: a browser never hands out its own profile's folders.
  // eslint-disable-next-line no-empty-pattern
  folder: async ({}, use) => temporary("models", use),
  studio: async ({ profile, baseURL }, use) => {
    const context = await launch(profile, [], { ...(baseURL ? { baseURL } : {}) });
    const page = context.pages()[0] ?? (await context.newPage());
    const faults: string[] = [];
    page.on("pageerror", (error) => faults.push(error.message));
    await open(page);
    await use(page);
    await context.close();
    base.expect(faults, "uncaught errors on the page").toEqual([]);
  },
});
export { expect } from "@playwright/test";

/**
 * Drops real paths (folders too) on the page, as a hand would: a trusted event through the DevTools protocol. At the left
 * edge, where nothing moves: a drop on something else than the last dragover was over is none.
 */
export async function dropPaths(page: Page, paths: string[], at = { x: 6, y: 450 }): Promise<void> {
  const session = await page.context().newCDPSession(page);
  const data = { items: [], files: paths, dragOperationsMask: 1 };
  for (const type of ["dragEnter", "dragOver", "drop"] as const) await session.send("Input.dispatchDragEvent", { type, ...at, data });
  await session.detach();
}

/** Loads the page and waits until it listens: a drop before that would go to the browser. */
export async function open(page: Page): Promise<void> {
  await page.goto("/");
  await page.getByRole("heading", { level: 1 }).waitFor();
  await page.locator(".badge:not(.network)").waitFor(); // the worker has answered
}
