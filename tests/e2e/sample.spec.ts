import { statSync } from "node:fs";
import { join } from "node:path";
import { expectNoViolation } from "./axe";
import { download, heading, mainAction, panel, write } from "./flows";
import { expect, open, test } from "./studio";

test("the sample pair on one click: evaluated in under three minutes, on disk in one more minute at most; a reload keeps models, recipe and pass", async ({ studio, folder }) => {
  test.setTimeout(300_000);
  const main = studio.locator("main");
  const line = studio.getByRole("region", { name: "Sample run" });
  const atWork = line.locator("[aria-current=step]");
  const started = performance.now();
  await studio.getByRole("button", { name: "Try with the sample pair" }).click();
  await expect(heading(studio, "Measuring which layers matter")).toBeVisible({ timeout: 60_000 });
  await expect(atWork).toContainText("Fisher");
  await expect(heading(studio, "Try it before it exists")).toBeVisible({ timeout: 60_000 });
  const measured = performance.now();
  await expect(atWork).toContainText(/^Base.*\d of 60/);
  await expectNoViolation(studio, "Evaluate, while the sample runs");
  const rows = panel(studio, "By model").locator("tbody tr");
  await expect(main).toContainText("The sample ran in", { timeout: 180_000 });
  const evaluated = performance.now();
  expect((evaluated - started) / 1000).toBeLessThan(180);
  await expect(rows).toHaveCount(3);
  await expect(main.locator("svg [data-point]")).toHaveCount(3);
  await expect(main).toContainText("of 300: 30 easy, 30 hard");
  const tokens = (await rows.locator("td:nth-child(3)").allTextContents()).map(Number) as [number, number, number];
  const change = Math.round(100 * (tokens[2] / tokens[1] - 1));
  await expect(main.locator(".banner", { hasText: "the merge takes" })).toContainText(`${Math.abs(change)}% ${change < 0 ? "fewer" : "more"} tokens`);
  await expectNoViolation(studio, "Evaluate, after the sample run");

  const again = performance.now();
  await main.getByRole("button", { name: "save this merge" }).click();
  await write(studio, "One download per file");
  const files = await download(studio, folder);
  const seconds = (measured - started + performance.now() - again) / 1000;
  console.log(`sample pair: ${((measured - started) / 1000).toFixed(1)} s to the charts, ${((evaluated - started) / 1000).toFixed(1)} s to accuracy and length of three models on 60 problems; without them ${seconds.toFixed(1)} s to ${files.length} files on disk`);
  expect(seconds).toBeLessThan(60);
  for (const name of ["model.safetensors", "config.json", "tokenizer.json", "recipe.json", "README.md"]) expect(statSync(join(folder, name)).size, name).toBeGreaterThan(0);

  await studio.getByRole("button", { name: "Shape", exact: true }).click();
  const gate = studio.getByRole("textbox", { name: "Gate factor" });
  await gate.fill("0.55");
  await gate.press("Enter");
  await studio.getByRole("button", { name: "Show α as table" }).click();
  const table = studio.getByRole("region", { name: "All layers", exact: true });
  await expect(table.locator("tbody tr").first().locator("td").nth(2)).not.toHaveText("–");
  await studio.waitForTimeout(300);
  const before = await table.innerText();

  await open(studio);
  await studio.getByRole("button", { name: "Shape", exact: true }).click();
  await expect(heading(studio, "How much each layer takes")).toBeVisible({ timeout: 10_000 });
  await expect(gate).toHaveValue("0.55");
  await expect(mainAction(studio)).toHaveText("Save");
  await studio.getByRole("button", { name: "Show α as table" }).click();
  await expect(table).toHaveText(before, { useInnerText: true });

  // Once more, from the palette: Escape ends it where it is.
  await studio.keyboard.press("Control+k");
  await studio.getByRole("combobox", { name: "Command" }).fill("try with the sample");
  await studio.keyboard.press("Enter");
  await expect(atWork).toContainText(/^Base.*\d of 60/, { timeout: 60_000 });
  const asked = performance.now();
  await studio.keyboard.press("Escape");
  await expect(main).toContainText("The sample run was stopped.");
  await expect(mainAction(studio)).toHaveText(/^Evaluate/);
  const stopped = performance.now() - asked;
  console.log(`answering stopped in ${stopped.toFixed(0)} ms`);
  expect(stopped).toBeLessThan(2000);
  await studio.getByRole("button", { name: "Shape", exact: true }).click();
  await expect(gate).toHaveValue("0.70");
});
