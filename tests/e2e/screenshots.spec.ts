/** Not a test: pictures of every step in light, dark and at 390 px, for eyes. SCREENSHOTS=1 npx playwright test -c tests/e2e/playwright.config.ts screenshots */
import { cpSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "@playwright/test";
import { bigModel, copyPair } from "./files";
import { heading, loadFolders, mainAction, panel, sampleButton, write } from "./flows";
import { dropPaths, expect, open, ROOT, test } from "./studio";

const into = join(ROOT, "test-results/screenshots");

async function shoot(page: Page, name: string): Promise<void> {
  mkdirSync(into, { recursive: true });
  for (const [suffix, width, height, colorScheme] of [["light", 1440, 900, "light"], ["dark", 1440, 900, "dark"], ["390", 390, 844, "light"], ["390-dark", 390, 844, "dark"]] as const) {
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme });
    await page.waitForTimeout(250);
    await page.screenshot({ path: join(into, `${name}-${suffix}.png`) });
  }
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.emulateMedia({ colorScheme: "light" });
}

test("every step", async ({ studio, folder }) => {
  test.slow();
  await shoot(studio, "load-empty");
  await dropPaths(studio, [bigModel(folder, "a-big", 3000)]);
  await expect(studio.getByRole("complementary", { name: "Checkpoints" })).toContainText("a-big");
  await shoot(studio, "load-reading");
  await panel(studio, "a-big").getByRole("button", { name: "Cancel" }).click({ timeout: 60_000 }).catch(() => undefined);
  await studio.getByRole("button", { name: "Start over" }).click();
  const { base } = copyPair(folder, "qwen2-tiny-f32");
  const { base: other } = copyPair(join(folder, "other"), "llama-tiny-bf16");
  cpSync(other, join(folder, "z-llama"), { recursive: true });
  await loadFolders(studio, [base, join(folder, "z-llama")]);
  await studio.keyboard.press("2");
  await expect(heading(studio, "These two cannot be merged")).toBeVisible();
  await shoot(studio, "check-blocked");
  await studio.keyboard.press("1");
  await studio.getByRole("button", { name: "Start over" }).click();
  await open(studio);
  await sampleButton(studio).click();
  await expect(heading(studio, "Measuring which layers matter")).toBeVisible();
  await shoot(studio, "shape-running");
  await expect(heading(studio, "How much each layer takes")).toBeVisible({ timeout: 60_000 });
  await shoot(studio, "shape");
  await studio.getByRole("button", { name: "Show α as table" }).click();
  await studio.getByRole("button", { name: "By tensor kind" }).click();
  await shoot(studio, "shape-detail");
  for (const [key, name] of [["1", "load-ready"], ["2", "check"], ["4", "try"], ["5", "save"]] as const) {
    await studio.keyboard.press(key);
    await studio.waitForTimeout(500);
    await shoot(studio, name);
  }
  await expect(mainAction(studio)).toBeEnabled();
  await write(studio, "One download per file");
  await shoot(studio, "save-done");
  for (const [button, name] of [["Storage", "drawer-storage"], ["Run history", "drawer-history"], ["Keyboard shortcuts", "drawer-keys"]] as const) {
    await studio.getByRole("button", { name: button, exact: true }).click();
    await shoot(studio, name);
    await studio.keyboard.press("Escape");
  }
});
