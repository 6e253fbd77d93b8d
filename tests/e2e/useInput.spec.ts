import { expect, open, test } from "./studio";
import { heading, loadSample, mainAction, panel, toShape, write } from "./flows";
import { ownFiles } from "./stored";

const bytesOf = (files: Record<string, number>): number => Object.values(files).reduce((sum, n) => sum + n, 0);

test("a finished export becomes an input where it lies, merges again, outlives a reload, and is deleted with its files", async ({ studio }) => {
  test.setTimeout(180_000);
  await loadSample(studio);
  await mainAction(studio).filter({ hasText: "Save" }).click();
  await write(studio, "One download per file");
  const before = await ownFiles(studio);
  const downloads = studio.getByRole("region", { name: "Downloads" });
  await downloads.getByRole("button", { name: "Use as input" }).click();
  await expect(downloads.getByText("In the library")).toBeVisible();
  await expect(downloads).toContainText("kept in this browser as a model; deleted with it");
  expect(await ownFiles(studio), "not one byte was copied").toEqual(before);
  expect(await studio.evaluate(async () => (await indexedDB.databases()).filter((d) => d.name!.startsWith("studio-model-")).length), "only the sample pair has chunks").toBe(2);

  await mainAction(studio).filter({ hasText: "New merge" }).click();
  await studio.getByRole("button", { name: "Start over" }).click();
  const stored = panel(studio, "Stored in this browser");
  await expect(stored).toContainText("result of a merge, verified");
  expect(await ownFiles(studio), "a new merge leaves what has become a model").toEqual(before);
  await open(studio);
  expect(await ownFiles(studio), "so does a reload").toEqual(before);
  const name = (await stored.locator(".item", { hasText: "result of a merge" }).locator("b").innerText()).trim();
  await stored.getByRole("button", { name: `Use ${name} as base` }).click();
  await panel(studio, "Stored in this browser").getByRole("button", { name: "Use calculator-long-cot as fine-tuned" }).click();
  await expect(panel(studio, name)).toContainText("Result of a merge:");
  await toShape(studio);
  await studio.getByRole("combobox", { name: "Method", exact: true }).selectOption({ label: "Linear" });
  await expect(mainAction(studio)).toHaveText("Save");
  await mainAction(studio).click();
  await write(studio, "One download per file");
  await expect(studio.getByText("A second computation on the CPU gave the same bytes as were written.")).toBeVisible();
  expect(bytesOf(await ownFiles(studio)), "two results, no third copy").toBeLessThan(bytesOf(before) * 2.2);

  await studio.getByRole("button", { name: "Storage", exact: true }).click();
  const drawer = studio.getByRole("dialog", { name: "Storage" });
  await drawer.getByRole("button", { name: `Delete ${name}`, exact: true }).click();
  await expect(drawer).toContainText("Delete the result and free");
  await drawer.getByRole("button", { name: "Delete", exact: true }).click();
  await expect(drawer.getByRole("button", { name: `Delete ${name}`, exact: true })).toHaveCount(0);
  const left = await ownFiles(studio);
  for (const path of Object.keys(before)) if (path.startsWith("stages/")) expect(left, path).not.toHaveProperty([path]);
  await drawer.getByRole("button", { name: "Close" }).click();
  await expect(heading(studio, /.+/)).toBeVisible();
});
