import { loadSample, mainAction, panel } from "./flows";
import { expect, test } from "./studio";

const TEXT = "47+7+3+7=?\n<think>\n47+7=54\n54+3=57\n57+7=64\n</think>\nanswer=64";

test("a sweep makes each merge once and lends its recipe; a probe tells a wrecked merge", async ({ studio }) => {
  test.slow();
  await loadSample(studio);
  const stop = studio.locator("main").getByRole("button", { name: "Cancel" });
  if (await stop.isVisible()) await stop.click();
  await studio.getByRole("combobox", { name: "Method" }).selectOption({ label: "Task arithmetic" });
  await expect(mainAction(studio)).toHaveText("Save", { timeout: 60_000 });
  await studio.getByRole("button", { name: "Try", exact: true }).click();
  await studio.locator("main").getByRole("button", { name: "Evaluate", exact: true }).first().click();

  const sweep = panel(studio, "Sweep");
  const values = sweep.getByRole("textbox", { name: "Values across" });
  await values.fill("9");
  await values.press("Enter");
  await expect(sweep.getByRole("alert")).toHaveText("Every number from -2 to 3.");
  await values.fill("0.5, 1, -2");
  await values.press("Enter");
  await sweep.getByRole("textbox", { name: "How many" }).fill("2");
  await studio.locator("main").getByRole("textbox", { name: "Max tokens" }).fill("24");
  await sweep.getByRole("button", { name: "Sweep", exact: true }).click();
  await expect(sweep).toContainText("3 of 3 cells, 3 merges made, 0 repeated", { timeout: 90_000 });
  const cells = sweep.getByRole("button", { name: /Adopt this recipe/ });
  await expect(cells).toHaveCount(3);
  await cells.nth(0).focus();
  await studio.keyboard.press("ArrowRight");
  await studio.keyboard.press("ArrowRight");
  await expect(cells.nth(2)).toBeFocused();
  await studio.keyboard.press("Enter");
  await expect(cells.nth(2)).toHaveAttribute("aria-pressed", "true");
  await expect(cells.nth(0)).toHaveAttribute("aria-pressed", "false");

  // The sweep is a row of the history that brings the grid back; the recipe is the one it went out from.
  await studio.getByRole("button", { name: "Run history" }).click();
  const row = studio.getByRole("article", { name: /^Task arithmetic, sweep/ });
  await expect(row).toContainText(/λ 0\.50, 1\.00, −2.*Best \d+\.\d% · \d+\.\d tokens at λ .*3 of 3 cells on 2 problems, greedy/);
  await row.getByRole("button", { name: "Restore" }).click();
  await expect(cells.nth(2)).toHaveAttribute("aria-pressed", "false");
  await expect(cells).toHaveCount(3);
  await cells.nth(2).click();
  await expect(cells.nth(2)).toHaveAttribute("aria-pressed", "true");

  await studio.getByRole("navigation", { name: "Try" }).getByRole("button", { name: "Probe" }).click();
  const probe = panel(studio, "Quick probe");
  await probe.getByRole("textbox", { name: "Text to probe" }).fill(TEXT);
  await probe.getByRole("button", { name: "Probe", exact: true }).click();
  await expect(probe.getByRole("row")).toHaveCount(4, { timeout: 60_000 });
  await studio.getByRole("navigation", { name: "Try" }).getByRole("button", { name: "Evaluate" }).click();
  await expect(studio.getByRole("button", { name: "Show the probe" })).toBeVisible();
  await expect(studio.getByText("This merge looks broken.")).toBeVisible();
  await cells.nth(0).click();
  await expect(studio.getByText("This merge looks broken.")).toBeHidden();
});
