import AxeBuilder from "@axe-core/playwright";
import { copyPair } from "./files";
import { loadFolders, mainAction, panel, shownRecipe, toShape } from "./flows";
import { expect, test } from "./studio";

/** Numbers that differ between tensors: set in the form, drawn beside α, undone; and tensors left to the base. */
test("a number over depth and by tensor, and tensors left to the base", async ({ studio, folder }) => {
  const { base, tuned } = copyPair(folder, "qwen2-tiny-f32");
  await loadFolders(studio, [base, tuned]);
  await toShape(studio);
  await studio.getByRole("combobox", { name: "Method", exact: true }).selectOption("task-arithmetic");
  const side = studio.getByRole("complementary", { name: "Method" });
  const curve = side.getByRole("button", { name: "Scale λ: differ by layer or tensor" });
  await curve.focus();
  await studio.keyboard.press("Enter");
  const editor = side.getByRole("region", { name: "Scale λ, by layer or tensor" });
  await expect(editor.getByRole("combobox", { name: "Scale λ, form" })).toBeFocused();

  await editor.getByRole("combobox").selectOption({ label: "Over depth" });
  const numbers = editor.getByRole("textbox", { name: "Scale λ, numbers over depth" });
  await numbers.fill("0.2, 9");
  await expect(editor.getByRole("alert")).toHaveText("9: Between −2 and 3.");
  await numbers.fill("0.2, 0.8");
  await expect(editor).toContainText("2 numbers from the first layer to the last");
  const chart = panel(studio, "Scale λ");
  await expect(chart.getByRole("img", { name: "Scale λ per layer: every tensor from 0.2 to 0.8." })).toBeVisible();
  await expect(panel(studio, "α").getByRole("img")).toHaveAccessibleName(/0\.200.*0\.800/);
  await chart.getByRole("button", { name: "Show Scale λ as table" }).click();
  await expect(chart.getByRole("row").nth(2)).toHaveText(/1\s*0\.5/);

  await editor.getByRole("combobox").selectOption({ label: "Per layer" });
  await editor.getByRole("textbox", { name: "Layer 1" }).fill("0.9");
  await editor.getByRole("combobox").selectOption({ label: "By tensor" });
  await editor.getByRole("textbox", { name: "Scale λ, rule 2, numbers over depth" }).fill("1, 0.5");
  await expect(chart.locator("thead")).toContainText("attention, norms");
  expect(await shownRecipe(studio)).toMatchObject({ vary: { lambda: [{ filter: "self_attn", value: 0.2 }, { filter: "mlp", value: [1, 0.5] }, { value: 0.2 }] } });
  const found = (await new AxeBuilder({ page: studio }).analyze()).violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(" ")).join(", ")}`);
  expect(found).toEqual([]);

  await studio.getByText("Tensors", { exact: false }).filter({ hasText: "are merged" }).click();
  const leave = side.getByRole("textbox", { name: /^Leave to the base/ });
  await leave.fill("norm");
  await expect(side).toContainText("norm fits no tensor.");
  await leave.fill("*norm*, lm_head*");
  await expect(side).toContainText("stay the base’s");
  expect(await shownRecipe(studio)).toMatchObject({ tensors: { exclude: ["*norm*", "lm_head*"] } });

  await side.getByRole("button", { name: "Undo" }).click();
  await expect(side).toContainText("are merged");
  await side.getByRole("button", { name: "Redo" }).click();
  await expect(side).toContainText("stay the base’s");
  await side.getByRole("button", { name: "Reset Scale λ to one number" }).click();
  await expect(chart).toHaveCount(0);
  expect(await shownRecipe(studio)).not.toHaveProperty("vary");
  await expect(mainAction(studio)).toBeEnabled();
});
