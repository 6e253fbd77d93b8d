import { bigModel } from "./files";
import { heading, loadFolders, mainAction, pasteRecipe, shownRecipe, toShape } from "./flows";
import { expect, test } from "./studio";

test("a disk that is full in the middle of writing: the numbers, what is written is kept, and it goes on when there is space", async ({ studio, folder, baseURL }) => {
  const session = await studio.context().newCDPSession(studio);
  await loadFolders(studio, [bigModel(folder, "a-base", 30), bigModel(folder, "b-tuned", 30)]);
  await toShape(studio);
  await studio.getByRole("combobox", { name: "Method", exact: true }).selectOption({ label: "Linear" });
  await expect(mainAction(studio)).toHaveText("Save");
  const recipe = await shownRecipe(studio);
  // Two tensors of 3.75 MB in each of four files.
  await pasteRecipe(studio, { ...recipe, output: { ...(recipe.output as object), maxShardBytes: 8_000_000 } });
  await expect(mainAction(studio)).toHaveText("Save");
  await mainAction(studio).click();
  await studio.getByRole("radio", { name: "One download per file" }).check();
  await expect(mainAction(studio)).toBeEnabled();
  const used = await studio.evaluate(async () => (await navigator.storage.estimate()).usage!);
  await session.send("Storage.overrideQuotaForOrigin", { origin: baseURL!, quotaSize: used + 12e6 });
  await mainAction(studio).click();

  const card = studio.getByRole("alert", { name: "Not enough storage" });
  await expect(card).toBeVisible({ timeout: 60_000 });
  await expect(card).toContainText("7.5 MB of 30 MB written");
  await expect(card).toContainText("22.5 MB free");
  await expect(card).toContainText(/[34]\.\d+ MB free/);
  await expect(card.getByRole("button", { name: "Discard what is written" })).toBeVisible();
  await expect(heading(studio, "Save the merged model")).toBeVisible();
  await session.send("Storage.overrideQuotaForOrigin", { origin: baseURL! });
  await card.getByRole("button", { name: "Continue writing" }).click();
  await expect(heading(studio, "Written and verified")).toBeVisible({ timeout: 90_000 });
  await expect(studio.getByRole("alert")).toHaveCount(0);
  await expect(studio.getByText("Unfinished work.")).toHaveCount(0);
});
