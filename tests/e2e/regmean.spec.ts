import { join } from "node:path";
import { copySample, tensorsOf } from "./files";
import { download, loadFolders, mainAction, measure, terminalMerge, toShape, write } from "./flows";
import { expect, test } from "./studio";

test("RegMean of the sample pair on built-in prompts: the same tensors in the tab and in the terminal", async ({ studio, folder }) => {
  const { base, tuned } = copySample(folder);
  await loadFolders(studio, [base, tuned]);
  await toShape(studio);
  await studio.getByRole("combobox", { name: "Method", exact: true }).selectOption({ label: "RegMean" });
  await expect(studio.getByText(/every linear layer fitted to the outputs/)).toBeVisible();
  await measure(studio);
  await mainAction(studio).click();
  await write(studio, "One download per file");
  await download(studio, join(folder, "tab"));

  const terminal = await terminalMerge(["--base", base, "--model", tuned, "--method", "regmean", "--out", join(folder, "terminal")]);
  expect(terminal.stderr).not.toMatch(/Error/);
  expect(terminal.code).toBe(0);
  const tab = tensorsOf(join(folder, "tab"));
  expect(tab.length).toBeGreaterThan(900_000);
  expect(tab.equals(tensorsOf(join(folder, "terminal"))), "the same bytes").toBe(true);
});
