import { writeFileSync } from "node:fs";
import { join } from "node:path";
import AxeBuilder from "@axe-core/playwright";
import { loadSample } from "./flows";
import { dropPaths, expect, test } from "./studio";

test("calibration text is shown where a stage needs it, counted in the model's tokens, and taken from a drop or a paste", async ({ studio, folder }) => {
  await loadSample(studio);
  const group = studio.getByRole("region", { name: "Calibration text" });
  await expect(group).toHaveCount(0);
  await studio.getByRole("combobox", { name: "Add a stage after the merge" }).selectOption("aim");
  // The sample's tokenizer knows digits, a few signs and line ends alone: two line ends and a question mark are in every prompt.
  await expect(group).toContainText(/\d+ tokens in 100 texts: 3 to \d+ each, half of them up to \d+\./);

  const lines = ["47+7+3+7=?", "12+3*4=?", "71*4+7-1=?", "9-5=?"];
  writeFileSync(join(folder, "sums.jsonl"), lines.map((prompt, i) => JSON.stringify({ prompt, answer: `answer=${i}4` })).join("\n"));
  await dropPaths(studio, [join(folder, "sums.jsonl")]);
  await expect(group).toContainText("sums.jsonl, field prompt");
  // One token for each digit and sign.
  await expect(group).toContainText(`${lines.join("").length} tokens in 4 texts: 5 to 10 each`);
  await expect(group).toContainText("There are only 4 texts; all are used where 100 were asked for.");
  await group.getByRole("combobox", { name: "Field of the file" }).selectOption("answer");
  await expect(group).toContainText("16 tokens in 4 texts: 4 to 4 each"); // "answer" is one token
  await group.getByRole("textbox", { name: "Texts", exact: true }).fill("2");
  await expect(group).toContainText("8 tokens in 2 texts");

  await group.getByRole("combobox", { name: "Source of the calibration text" }).selectOption("paste");
  await studio.keyboard.type("1+2=?\n3+4-5=?");
  await group.getByRole("button", { name: "Use this text" }).click();
  await expect(group).toContainText("Pasted text");
  await expect(group).toContainText("12 tokens in 2 texts: 5 to 7 each");
  await group.getByText("The first of them").click();
  await expect(group.getByRole("listitem")).toHaveCount(2);
  for (const colorScheme of ["light", "dark"] as const) {
    await studio.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    const { violations } = await new AxeBuilder({ page: studio }).include('[aria-label="Calibration text"]').analyze();
    expect.soft(violations.map((v) => `${v.id}: ${v.nodes[0]?.html}`), colorScheme).toEqual([]);
  }

  await group.getByRole("combobox", { name: "Source of the calibration text" }).selectOption("builtin");
  await expect(group).not.toContainText("Pasted text");
  await studio.getByRole("button", { name: "Remove AIM" }).click();
  await expect(group).toHaveCount(0);
});
