import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { BrowserContext, Page } from "@playwright/test";
import { contents } from "./files";
import { download, heading, mainAction, sampleButton } from "./flows";
import { kill, killPoints, reached } from "./kill";
import { expect, launch, open, test } from "./studio";

const SEED = Number(process.env.KILL_SEED ?? 20261122);
const SLOW = { timeout: 120_000 };

/** From whatever the page shows after it was opened to written files, as a person would go on. */
async function goOn(page: Page): Promise<void> {
  const again = page.getByRole("button", { name: "Continue writing" });
  const sample = sampleButton(page);
  const check = page.getByRole("button", { name: "Continue to Check" });
  const over = page.getByRole("button", { name: "Start over" });
  // What the last visit chose is shown until the engine has said what is there.
  const situation = async (): Promise<string> => {
    if (await again.isVisible()) return "writing";
    if (await sample.isVisible()) return "nothing";
    if ((await check.isVisible()) && (await check.isEnabled())) return "loaded";
    return (await over.isVisible()) ? "half" : "";
  };
  let [was, is] = ["", ""];
  while (is === "" || is !== was) {
    was = is;
    await page.waitForTimeout(400);
    is = await situation();
  }
  if (is === "half") await over.click();
  if (is === "writing") await again.click();
  else {
    if (is === "loaded") {
      await check.click();
      await page.getByRole("button", { name: "Continue to Shape" }).click();
      await expect(mainAction(page)).toHaveText(/^(Measure.*|Save)$/);
      if ((await mainAction(page).innerText()) !== "Save") await mainAction(page).click();
    } else await sample.click();
    await expect(heading(page, "How much each layer takes")).toBeVisible(SLOW);
    await expect(mainAction(page)).toHaveText("Save", SLOW);
    await mainAction(page).click();
    await page.getByRole("radio", { name: "One download per file" }).check();
    await expect(mainAction(page)).toBeEnabled();
    await mainAction(page).click();
  }
  await expect(heading(page, "Written and verified")).toBeVisible(SLOW);
}

const hashes = (folder: string): Record<string, string> => Object.fromEntries([...contents(folder)].map(([name, bytes]) => [name, createHash("sha256").update(bytes).digest("hex")]));

test("the sample job, killed at ten points from copy to verification, goes on each time and ends in the files of an uninterrupted one", async ({ profile, folder, baseURL }) => {
  test.setTimeout(900_000);
  const visit = async (where: string): Promise<{ context: BrowserContext; page: Page }> => {
    const context = await launch(where, [], { ...(baseURL ? { baseURL } : {}) });
    const page = context.pages()[0]!;
    page.on("dialog", (dialog) => void dialog.accept().catch(() => undefined));
    await open(page);
    return { context, page };
  };

  const plain = join(folder, "plain-profile");
  mkdirSync(plain);
  const whole = await visit(plain);
  await goOn(whole.page);
  await download(whole.page, join(folder, "whole"));
  await whole.context.close();

  const points = killPoints(SEED, { ingest: 2, measure: 4, export: 4 });
  console.log(`kill points, seed ${SEED}: ${points.map((p) => `${p.kind} ${p.fraction} ${p.how}`).join(", ")}`);
  // Share of an export that was told of when it was killed; at 1 it had ended, and left nothing to go on with.
  const cutOff: number[] = [];
  for (const point of points) {
    const { context, page } = await visit(profile);
    // A kill so early that nothing was flushed yet leaves nothing to offer; the export then begins again.
    const last = cutOff.at(-1) ?? 0;
    if (last > 0.3 && last < 1) await expect(page.getByText(/\d of .* written\. What is written is kept/), "the page offers to go on").toBeVisible();
    const stop = reached(page, point);
    const going = goOn(page).then(() => "finished", async (error: Error) => `stopped: ${error.message}\n${await page.locator("main").innerText().catch(() => "")}`);
    const told = await Promise.race([stop, going]);
    expect(told, `${point.kind} ${point.fraction}`).toBeGreaterThanOrEqual(point.fraction);
    await kill(context, page, profile, point.how);
    await going;
    if (point.kind === "export") cutOff.push(told as number);
  }
  expect(cutOff.filter((told) => told < 1).length, "exports that were cut off in the middle").toBeGreaterThanOrEqual(2);
  const last = await visit(profile);
  await goOn(last.page);
  await download(last.page, join(folder, "continued"));
  await expect(last.page.getByText("Unfinished work.")).toHaveCount(0);
  await last.context.close();
  expect(hashes(join(folder, "continued"))).toEqual(hashes(join(folder, "whole")));
});
