import { statSync } from "node:fs";
import { join } from "node:path";
import { download, heading, mainAction, sampleButton, write } from "./flows";
import { expect, open, test } from "./studio";

test("the sample pair, from the first click to files on disk, in under a minute; a reload keeps models, recipe and pass", async ({ studio, folder }) => {
  const started = performance.now();
  await sampleButton(studio).click();
  await expect(heading(studio, "How much each layer takes")).toBeVisible({ timeout: 60_000 });
  await expect(mainAction(studio)).toHaveText("Save");
  const measured = performance.now();
  await mainAction(studio).click();
  await write(studio, "One download per file");
  const files = await download(studio, folder);
  const seconds = (performance.now() - started) / 1000;
  console.log(`sample pair: ${((measured - started) / 1000).toFixed(1)} s to the charts, ${seconds.toFixed(1)} s to ${files.length} files on disk`);
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
});
