import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { copySample } from "./files";
import { download, heading, loadFolders, mainAction, measure, terminalMerge, toShape, write } from "./flows";
import { expect, open, test } from "./studio";

test("Fisher averaging keeps the whole Fisher over a reload; the terminal writes the same bytes", async ({ studio, folder }) => {
  const { base, tuned } = copySample(folder);
  await loadFolders(studio, [base, tuned]);
  await toShape(studio);
  await studio.getByRole("combobox", { name: "Method", exact: true }).selectOption("fisher-average");
  await expect(studio.getByText("Normalize the Fishers")).toBeVisible();
  await measure(studio);
  await expect(studio.getByText(/The Fisher is the sequence-level one/)).toBeVisible();

  await open(studio);
  await studio.getByRole("button", { name: "Shape", exact: true }).click();
  await expect(heading(studio, "How much each layer takes")).toBeVisible({ timeout: 10_000 });
  await expect(mainAction(studio)).toHaveText("Save");
  await mainAction(studio).click();
  await write(studio, "One download per file");
  const saved = join(folder, "saved");
  await download(studio, saved);

  const out = join(folder, "terminal");
  const terminal = await terminalMerge(["--recipe", join(saved, "recipe.json"), "--base", base, "--model", tuned, "--out", out]);
  expect(terminal.code, terminal.stderr).toBe(0);
  const bytes = (directory: string): Buffer => readFileSync(join(directory, "model.safetensors"));
  expect(readdirSync(out)).toContain("model.safetensors");
  expect(bytes(out).equals(bytes(saved))).toBe(true);
  for (const model of [base, tuned]) expect(bytes(saved).equals(bytes(model))).toBe(false);
});
