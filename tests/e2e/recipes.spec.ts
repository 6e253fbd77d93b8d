import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { copyPair } from "./files";
import { loadFolders, mainAction, panel, shownRecipe } from "./flows";
import { dropPaths, expect, test } from "./studio";

test("a dropped mergekit file and a dropped recipe.json restore the form, and Save writes the file for mergekit", async ({ studio, folder }) => {
  const { base, tuned } = copyPair(folder, "llama-tiny-bf16");
  await loadFolders(studio, [base, tuned]);
  const yaml = join(folder, "merge.yaml");
  writeFileSync(yaml, "merge_method: task_arithmetic\nbase_model: lab/Tiny-Base\nmodels:\n  - model: lab/tiny-tuned\n    parameters: {weight: [0.2, 0.9]}\nparameters: {int8_mask: true, lambada: 0.5}\nseed: 3\ndtype: bfloat16\n");
  await dropPaths(studio, [yaml]);
  const findings = studio.getByRole("status", { name: "4 findings in merge.yaml" });
  await expect(findings.getByRole("listitem")).toContainText(["int8_mask", "did you mean \"lambda\"", "\"seed\" is no key", "float32"]);
  await expect(findings).toContainText("parameters.lambada, line 6, column 31");
  await expect(studio.getByRole("combobox", { name: "Method", exact: true })).toContainText("Task arithmetic");
  const recipe = await shownRecipe(studio);
  expect(recipe).toMatchObject({ method: "task-arithmetic", base: { name: "lab/Tiny-Base" }, models: [{ name: "lab/tiny-tuned", weight: [0.2, 0.9] }], params: { lambda: 1 }, reconciliation: { context: "base" }, output: { dtype: "BF16" } });

  await expect(mainAction(studio)).toHaveText("Save");
  await mainAction(studio).click();
  const mergekit = panel(studio, "For mergekit");
  await expect(mergekit).toContainText("the same merge");
  const [file] = await Promise.all([studio.waitForEvent("download"), mergekit.getByRole("button", { name: "Download YAML" }).click()]);
  await file.saveAs(join(folder, "out.yaml"));
  expect(readFileSync(join(folder, "out.yaml"), "utf8")).toContain("weight: [0.2, 0.9]");

  writeFileSync(join(folder, "recipe.json"), JSON.stringify({ ...recipe, method: "ties", params: { density: 0.35 }, tensors: { exclude: ["*norm*"] } }));
  await dropPaths(studio, [join(folder, "recipe.json")]);
  await expect(studio.getByText("Restored from recipe.json.")).toBeVisible();
  await expect(studio.getByRole("combobox", { name: "Method", exact: true })).toContainText("TIES");
  await expect(studio.getByRole("textbox", { name: "Kept after trim" })).toHaveValue("0.35");
  expect(await shownRecipe(studio)).toMatchObject({ tensors: { exclude: ["*norm*"] } });

  writeFileSync(yaml, "merge_method: task_arithmetic\nbase_model: tiny-base\nmodels:\n  - {model: tiny-tuned, parameters: {weight: heavy}}\n");
  await dropPaths(studio, [yaml]);
  await expect(studio.getByRole("alert", { name: "The YAML cannot be used" })).toContainText("models[0].parameters.weight, line 4 column 46");
});
