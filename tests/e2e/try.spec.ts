import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Locator, Page } from "@playwright/test";
import { expectNoViolation } from "./axe";
import { copyPair } from "./files";
import { heading, loadFolders, loadSample, mainAction } from "./flows";
import { expect, ROOT, test } from "./studio";

const main = (page: Page): Locator => page.locator("main");
const column = (page: Page, name: string): Locator => main(page).locator(".col").filter({ hasText: name });
const problem = JSON.parse(readFileSync(join(ROOT, "public/samples/problems.jsonl"), "utf8").split("\n")[0]!) as { prompt: string; answer: string };

/** Loads the sample pair and merges it by task arithmetic, which needs no pass. */
async function openTry(page: Page): Promise<void> {
  await loadSample(page);
  const stop = page.locator("main").getByRole("button", { name: "Cancel" });
  if (await stop.isVisible()) await stop.click();
  await page.getByRole("combobox", { name: "Method" }).selectOption({ label: "Task arithmetic" });
  await expect(mainAction(page)).toHaveText("Save", { timeout: 60_000 });
  await page.getByRole("button", { name: "Try", exact: true }).click();
  await expect(heading(page, "Try it before it exists")).toBeVisible();
}

test("the sample pair answers side by side, is evaluated, and can be stopped", async ({ studio, folder }) => {
  test.slow();
  await openTry(studio);
  await expect(main(studio)).toContainText("none, raw prompt");
  await main(studio).getByRole("button", { name: /^Stop ids 0 generation_config\.json/ }).click();
  await expect(main(studio).locator(".stops")).toContainText("calculator-base, calculator-long-cot, Task arithmetic: generation_config.json");

  // By keyboard: a suggestion, then Ctrl Enter from the prompt.
  await main(studio).getByRole("button", { name: problem.prompt.trim(), exact: true }).click();
  const prompt = main(studio).getByRole("textbox", { name: "Prompt" });
  await expect(prompt).toHaveValue(problem.prompt);
  await prompt.press("Control+Enter");
  const columns = ["calculator-base", "calculator-long-cot", "Task arithmetic"].map((name) => column(studio, name));
  for (const col of columns) {
    await expect(col.locator("footer")).toContainText(/stop end of text id 0/, { timeout: 60_000 });
    await expect(col.locator("footer")).toContainText(/speed [\d.]+ tok\/s/);
  }
  await expect(columns[1]!.locator(".out")).toContainText(`answer=${problem.answer}`);
  await expect(columns[1]!.locator(".out")).toContainText("<think>");
  await expect(main(studio).locator(".note-line").first()).toContainText(/part ways at token \d+|where merged and fine-tuned part ways, at token \d+|gave the same \d+ tokens/);
  await expect(studio.locator(".actionbar")).toContainText(/Preview made from recipe \w{4}…\w{4}: 74 tensors merged in [\d.]+ s, 972 kB on the GPU\./);
  await expectNoViolation(studio, "Compare, answered");
  await main(studio).getByRole("button", { name: "Prompts" }).click();
  await expect(main(studio).getByRole("list", { name: "Earlier prompts" }).getByRole("listitem")).toHaveCount(1);
  await main(studio).getByRole("button", { name: "Prompts" }).click();

  await main(studio).getByRole("button", { name: "Evaluate", exact: true }).first().click();
  const bad = join(folder, "bad.jsonl");
  writeFileSync(bad, '{"prompt":"1+1=?","answer":"2"}\n{"prompt":"1+1=?"}\n');
  await studio.getByLabel("Problem file").setInputFiles(bad);
  await expect(studio.getByRole("alert").filter({ hasText: "bad.jsonl, line 2" })).toBeVisible();
  await studio.getByRole("button", { name: "Dismiss" }).click();
  const count = main(studio).getByRole("textbox", { name: "Problems" });
  await expect(count).toHaveValue("60");
  await count.fill("6");
  await mainAction(studio).click();
  const rows = main(studio).getByRole("region", { name: "Results by model" }).locator("tbody tr");
  await expect(rows).toHaveCount(3, { timeout: 90_000 });
  await expect(rows.nth(1)).toContainText("100.0%");
  await expect(main(studio).locator("svg [data-point]")).toHaveCount(3);
  const base = Number((await rows.nth(0).locator("td.num").nth(1).textContent())!);
  const tuned = Number((await rows.nth(1).locator("td.num").nth(1).textContent())!);
  expect(tuned).toBeGreaterThan(2 * base);
  await main(studio).getByRole("button", { name: `Answers to ${problem.prompt.trim()}` }).click();
  await expect(main(studio).locator(".responses")).toContainText("<think>");
  await expectNoViolation(studio, "Evaluate, done");
  await main(studio).getByRole("button", { name: "Show Accuracy and length as table" }).click();
  await expect(main(studio).getByRole("region", { name: "Accuracy and length, all points" }).locator("tbody tr")).toHaveCount(3);

  // More problems: stopped at once; what is finished stays, nothing is half kept.
  await count.fill("200");
  await mainAction(studio).click();
  await expect(studio.locator(".actionbar")).toContainText(/calculator-base: \d+ of 200/, { timeout: 30_000 });
  const asked = Date.now();
  await studio.keyboard.press("Escape");
  await expect(mainAction(studio)).toHaveText(/Evaluate/, { timeout: 10_000 });
  expect(Date.now() - asked).toBeLessThan(5000);
  await expect(main(studio)).toContainText("Nothing is evaluated on these problems yet");
  await count.fill("6");
  await expect(rows).toHaveCount(3);
  await studio.keyboard.press("Tab");
  await studio.getByRole("button", { name: "Run history" }).click();
  await expect(studio.getByRole("dialog", { name: /history/i })).toContainText(/\d+\.\d% · \d+\.\d tokens on 6 problems, greedy/);
});

test("a pair that cannot be asked says why in its columns, and there are no problems to take", async ({ studio, folder }) => {
  const { base, tuned } = copyPair(folder, "qwen2-tiny-f32");
  await loadFolders(studio, [base, tuned]);
  await studio.getByRole("button", { name: "Continue to Check" }).click();
  await expect(heading(studio, "These two can be merged")).toBeVisible();
  await studio.getByRole("button", { name: "Try", exact: true }).click();
  await main(studio).getByRole("textbox", { name: "Prompt" }).fill("1+1=");
  await mainAction(studio).click();
  await expect(main(studio).locator(".col .fault").first()).toContainText(/tokenizer/i, { timeout: 20_000 });
  await expect(column(studio, "tiny-base").locator("footer")).toContainText("tokens –");
  await expectNoViolation(studio, "Compare, refused");
  await main(studio).getByRole("navigation", { name: "Try" }).getByRole("button", { name: "Evaluate" }).click();
  await expect(main(studio)).toContainText("Problems with known answers");
  await expect(main(studio).getByRole("button", { name: /sample/i })).toHaveCount(0);
  await expectNoViolation(studio, "Evaluate, no problems");
});
