import { cpSync } from "node:fs";
import { join } from "node:path";
import { contents } from "./files";
import { download, loadFolders, mainAction, measure, terminalMerge, toShape, write } from "./flows";
import { expect, ROOT, test } from "./studio";

test("RegMean of the sample pair on built-in prompts: the same tensors in the tab and in the terminal", async ({ studio, folder }) => {
  const [base, tuned] = ["base", "long-cot"].map((name) => join(folder, `calculator-${name}`)) as [string, string];
  cpSync(join(ROOT, "public/samples/base"), base, { recursive: true });
  cpSync(join(ROOT, "public/samples/long-cot"), tuned, { recursive: true });
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
  // The names differ and the header tells them: the tensors behind it do not.
  const weights = (name: string): Buffer => contents(join(folder, name)).get("model.safetensors")!;
  const tensors = (file: Buffer): Buffer => file.subarray(8 + Number(file.readBigUInt64LE(0)));
  expect(tensors(weights("tab")).length).toBeGreaterThan(900_000);
  expect(tensors(weights("tab")).equals(tensors(weights("terminal"))), "the same bytes").toBe(true);
});
