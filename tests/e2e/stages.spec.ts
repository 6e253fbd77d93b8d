import { cpSync } from "node:fs";
import { join } from "node:path";
import { contents } from "./files";
import { download, loadFolders, mainAction, measure, terminalMerge, toShape, write } from "./flows";
import { expect, ROOT, test } from "./studio";

test("ACM-TIES of the sample pair: chosen as one, said in two stages, and the same files as in the terminal", async ({ studio, folder }) => {
  const [base, tuned] = ["base", "long-cot"].map((name) => join(folder, `calculator-${name}`)) as [string, string];
  cpSync(join(ROOT, "public/samples/base"), base, { recursive: true });
  cpSync(join(ROOT, "public/samples/long-cot"), tuned, { recursive: true });
  await loadFolders(studio, [base, tuned]);
  await toShape(studio);
  await studio.getByRole("combobox", { name: "Method", exact: true }).selectOption({ label: "ACM-TIES" });
  const stages = studio.getByRole("region", { name: "After the merge" });
  await expect(stages).toContainText("TIES of calculator-long-cot, then ACM against calculator-base.");
  await measure(studio);
  await expect(stages).toContainText(/Tensors keep 0\.\d{3} of their change on average, from 0\.\d{3} \(.+\) to 0\.\d{3} \(.+\)\./);
  await expect(studio.getByRole("complementary", { name: "Checkpoints" })).toContainText("TIES, then ACM");
  await mainAction(studio).click();
  await write(studio, "One download per file");
  await download(studio, join(folder, "tab"));

  const terminal = await terminalMerge(["--base", base, "--model", tuned, "--method", "acm-ties", "--out", join(folder, "terminal")]);
  expect(terminal.stderr).not.toMatch(/Error/);
  expect(terminal.code).toBe(0);
  // The names differ and the header tells them: the tensors behind it do not.
  const weights = (name: string): Buffer => contents(join(folder, name)).get("model.safetensors")!;
  const tensors = (file: Buffer): Buffer => file.subarray(8 + Number(file.readBigUInt64LE(0)));
  expect(tensors(weights("tab")).length).toBeGreaterThan(900_000);
  expect(tensors(weights("tab")).equals(tensors(weights("terminal"))), "the same bytes").toBe(true);
});
