import { join } from "node:path";
import { copySample, tensorsOf } from "./files";
import { download, loadFolders, mainAction, measure, terminalMerge, toShape, write } from "./flows";
import { expect, test } from "./studio";

test("ACM-TIES of the sample pair: chosen as one, said in two stages, and the same files as in the terminal", async ({ studio, folder }) => {
  const { base, tuned } = copySample(folder);
  await loadFolders(studio, [base, tuned]);
  await toShape(studio);
  await studio.getByRole("combobox", { name: "Method", exact: true }).selectOption({ label: "ACM-TIES" });
  const stages = studio.getByRole("region", { name: "After the merge" });
  await expect(stages).toContainText("TIES of b-tuned, then ACM against a-base.");
  await measure(studio);
  await expect(stages).toContainText(/Tensors keep 0\.\d{3} of their change on average, from 0\.\d{3} \(.+\) to 0\.\d{3} \(.+\)\./);
  await expect(studio.getByRole("complementary", { name: "Checkpoints" })).toContainText("TIES, then ACM");
  await mainAction(studio).click();
  await write(studio, "One download per file");
  await download(studio, join(folder, "tab"));

  const terminal = await terminalMerge(["--base", base, "--model", tuned, "--method", "acm-ties", "--out", join(folder, "terminal")]);
  expect(terminal.stderr).not.toMatch(/Error/);
  expect(terminal.code).toBe(0);
  const tab = tensorsOf(join(folder, "tab"));
  expect(tab.length).toBeGreaterThan(900_000);
  expect(tab.equals(tensorsOf(join(folder, "terminal"))), "the same bytes").toBe(true);
});
