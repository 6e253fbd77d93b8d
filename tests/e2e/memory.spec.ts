/**
 * Peak memory of the tab from ingest to verified files, against the plan's forecast. In CI a 300 MB pair in a GPU budget of
 * 64 MiB; `npm run bench:memory -- --shape 1.5b` measures the size people have and writes the figures as JSON.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "@playwright/test";
import { makeCheckpoint } from "../support/makeCheckpoint.mjs";
import type { Forecast } from "../../src/engine/api";
import { loadFolders, mainAction, terminalMerge, toShape, write } from "./flows";
import { MemoryWatch } from "./memoryWatch";
import { expect, test } from "./studio";

const MIB = 1024 ** 2;
const shape = (process.env.MEMORY_SHAPE ?? "300mb") as "300mb" | "1.5b";
const small = shape === "300mb";
const budget = Number(process.env.MEMORY_GPU_MIB ?? (small ? 64 : 1024));
const limit = (small ? 3 : 30) * 60_000;
const METHODS = [{ id: "task-arithmetic", label: "Task arithmetic", measures: false }, { id: "ties", label: "TIES", measures: true }];

async function setGpuBudget(page: Page, mebibytes: number): Promise<void> {
  await page.locator(".badge:not(.network)").click();
  const field = page.getByRole("combobox", { name: "GPU budget" });
  await field.selectOption(String(mebibytes * MIB));
  await expect(field).toHaveValue(String(mebibytes * MIB));
  await page.keyboard.press("Escape");
  await expect(field).toBeHidden();
}

test(`the tab grows by no more than 1.2 times the forecast (${shape} pair, ${budget} MiB GPU budget)`, async ({ studio, folder, profile }) => {
  test.setTimeout(4 * limit);
  const base = join(folder, "a-base");
  const tuned = join(folder, "b-partner");
  makeCheckpoint({ out: base, shape, side: "base" });
  makeCheckpoint({ out: tuned, shape, side: "partner" });

  const rows: Record<string, number | string>[] = [];
  const watch = new MemoryWatch(profile);
  const note = (phase: string, since: number, extra: Record<string, number> = {}): void => void rows.push({ phase, seconds: (Date.now() - since) / 1000, ...watch.take(), ...extra });
  try {
    let at = Date.now();
    await loadFolders(studio, [base, tuned], limit);
    note("ingest", at);
    await toShape(studio);
    await setGpuBudget(studio, budget);
    for (const { id, label, measures } of METHODS) {
      const plan = await terminalMerge(["--base", base, "--model", tuned, "--method", id, "--plan", "--tab", "--gpu-budget", `${budget}MiB`]);
      const forecast = JSON.parse(plan.stdout) as Forecast;
      expect(forecast.fits, plan.stdout).toBe(true);
      await studio.getByRole("combobox", { name: "Method", exact: true }).selectOption({ label });
      watch.take();
      at = Date.now();
      if (measures) await mainAction(studio).filter({ hasText: /^Measure/ }).click();
      const save = mainAction(studio).and(studio.locator(":enabled")).filter({ hasText: /^Save$/ });
      await expect(save).toBeVisible({ timeout: limit });
      await save.click();
      await write(studio, "One download per file", limit);
      const peaks = watch.take();
      const forecastBytes = forecast.gpuBytes + forecast.hostBytes;
      rows.push({ phase: id, seconds: (Date.now() - at) / 1000, ...peaks, forecastBytes, ratio: peaks.together / forecastBytes });
      expect(peaks.together / forecastBytes, `growth of renderer and GPU process over the forecast, ${id}`).toBeLessThan(1.2);
      await studio.getByRole("button", { name: "Shape", exact: true }).click();
    }
  } finally {
    watch.end();
    console.table(rows);
    if (process.env.MEMORY_JSON) writeFileSync(process.env.MEMORY_JSON, `${JSON.stringify({ shape, budgetMiB: budget, rows }, undefined, 1)}\n`);
  }
});
