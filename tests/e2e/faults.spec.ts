import { cpSync, readFileSync, rmSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "@playwright/test";
import { bigModel, copyPair, headerOf, modelFolder, readHeader } from "./files";
import { heading, loadFolders, mainAction, panel } from "./flows";
import { dropPaths, expect, open, test } from "./studio";
import { tinyRecipe } from "../support/recipes";

/** Drops a folder that cannot be read and expects its card; then removes it from the list. */
async function expectCard(page: Page, path: string, title: string | RegExp, ...texts: (string | RegExp)[]): Promise<void> {
  await dropPaths(page, [path]);
  const card = page.getByRole("alert", { name: title });
  await expect(card, path).toBeVisible();
  for (const text of texts) await expect(card, path).toContainText(text);
  await expect(panel(page, "tiny-base").getByText("Stored and verified"), "the good model stays").toBeVisible();
  await card.getByRole("button", { name: "Dismiss" }).click();
  const remove = page.getByRole("button", { name: `Remove ${path.split("/").at(-1)}`, exact: true });
  if (await remove.isVisible()) await remove.click();
  await expect(card).toBeHidden();
}

const UNREADABLE = "The safetensors file cannot be read";

const modelDatabases = (page: Page): Promise<number> => page.evaluate(async () => (await indexedDB.databases()).filter((d) => d.name!.startsWith("studio-model-")).length);

test("folders that are no models get their sentence, and the other model stays", async ({ studio, folder }) => {
  const { base, tuned } = copyPair(folder, "qwen2-tiny-f32");
  await loadFolders(studio, [base]);
  const good = readFileSync(join(tuned, "model.safetensors"));
  const variant = (name: string, change: (path: string) => void): string => {
    const path = join(folder, name);
    cpSync(tuned, path, { recursive: true });
    change(path);
    return path;
  };
  const weights = (name: string, bytes: Buffer): string => modelFolder(folder, name, base, { "model.safetensors": bytes });
  const entry = (name: string, begin: number, end: number): string => `"${name}":{"dtype":"F32","shape":[${(end - begin) / 4}],"data_offsets":[${begin},${end}]}`;

  await expectCard(studio, variant("cut-short", (p) => truncateSync(join(p, "model.safetensors"), good.length - 1000)), UNREADABLE, 'tensor "lm_head.weight" ends at byte 692864 but the file has 691864', "Copy or download the file again.");
  await expectCard(studio, weights("no-header", Buffer.from("hello")), UNREADABLE, "the file has 5 bytes, a header alone needs 8");
  await expectCard(studio, weights("bad-json", headerOf('{"a":{"dtype":"F32",}')), UNREADABLE, "the header is no valid JSON: trailing comma at line 1 column 21");
  await expectCard(studio, weights("huge-header", Buffer.concat([Buffer.from([255, 255, 255, 255, 255, 255, 0, 0]), Buffer.alloc(64)])), UNREADABLE, "the header claims 281474976710655 bytes, at most 100,000,000 are allowed");
  await expectCard(studio, weights("twice", Buffer.concat([headerOf(`{${entry("a", 0, 8)},${entry("a", 0, 8)}}`), Buffer.alloc(8)])), UNREADABLE, 'tensor "a" is listed twice');
  await expectCard(studio, weights("gap", Buffer.concat([headerOf(`{${entry("a", 0, 8)},${entry("b", 16, 24)}}`), Buffer.alloc(24)])), UNREADABLE, 'tensor "b" lies at bytes 16 to 24 of the data, expected it to begin at 8');
  await expectCard(
    studio,
    variant("shard-missing", (p) => {
      rmSync(join(p, "model.safetensors"));
      writeFileSync(join(p, "model-00001-of-00002.safetensors"), Buffer.concat([headerOf(`{${entry("a", 0, 8)}}`), Buffer.alloc(8)]));
      writeFileSync(join(p, "model.safetensors.index.json"), JSON.stringify({ metadata: { total_size: 16 }, weight_map: { a: "model-00001-of-00002.safetensors", b: "model-00002-of-00002.safetensors" } }));
    }),
    "The folder cannot be read",
    "model.safetensors.index.json names model-00002-of-00002.safetensors, which is not in the folder",
  );
  await expectCard(studio, variant("no-weights", (p) => rmSync(join(p, "model.safetensors"))), "No safetensors weights", "config.json", "Drop a model folder that holds safetensors weights.");
  await expectCard(studio, variant("pickled", (p) => { rmSync(join(p, "model.safetensors")); writeFileSync(join(p, "pytorch_model.bin"), "x"); }), "The folder cannot be read", "the weights are in pytorch_model.bin, a PyTorch pickle", "safe_serialization=True");
  await expectCard(studio, variant("config-broken", (p) => writeFileSync(join(p, "config.json"), "{ nope")), "config.json is malformed", "expected a key in double quotes at line 1 column 3");
  await expectCard(studio, variant("config-missing", (p) => rmSync(join(p, "config.json"))), "The folder cannot be read", "there is no config.json in it");
  expect(await modelDatabases(studio), "nothing of them is stored").toBe(1);

  await loadFolders(studio, [tuned]);
  await expect(studio.getByText("Stored and checked: nothing blocks the merge.")).toBeVisible();
});

test("pairs that do not fit are blocked with a reason and a way out", async ({ studio, folder }) => {
  const { base, tuned } = copyPair(folder, "qwen2-tiny-f32");
  const { base: other } = copyPair(join(folder, "other"), "llama-tiny-bf16");
  cpSync(other, join(folder, "z-llama"), { recursive: true });
  await loadFolders(studio, [base, join(folder, "z-llama")]);
  await studio.getByRole("button", { name: "Continue to Check" }).click();
  await expect(heading(studio, "These two cannot be merged")).toBeVisible();
  await expect(studio.getByRole("row", { name: /^Architecture/ })).toContainText("Blocker");
  await expect(mainAction(studio)).toBeDisabled();
  await expect(studio.locator(".actionbar")).toContainText(/Continue is off because \d+ findings? blocks? the merge/);
  await expect(studio.getByRole("navigation", { name: "Steps" }).getByRole("button", { name: "Shape" })).toHaveCount(0);

  // The same family, another width: real headers with half the columns.
  await studio.getByRole("button", { name: "Replace the fine-tuned…" }).click();
  const narrow = join(folder, "narrow");
  cpSync(tuned, narrow, { recursive: true });
  const config = JSON.parse(readFileSync(join(narrow, "config.json"), "utf8")) as Record<string, unknown>;
  writeFileSync(join(narrow, "config.json"), JSON.stringify({ ...config, hidden_size: 32 }));
  const { header, bytes, dataStart } = readHeader(join(tuned, "model.safetensors"));
  let at = 0;
  const shapes = Object.fromEntries(Object.entries(header).filter(([name]) => name !== "__metadata__").map(([name, info]) => {
    const shape = info.shape.map((n) => (n === 64 ? 32 : n));
    const size = 4 * shape.reduce((a, b) => a * b, 1);
    return [name, { ...info, shape, data_offsets: [at, (at += size)] }];
  }));
  writeFileSync(join(narrow, "model.safetensors"), Buffer.concat([headerOf(JSON.stringify({ __metadata__: { format: "pt" }, ...shapes })), bytes.subarray(dataStart, dataStart + at)]));
  await loadFolders(studio, [narrow]);
  await studio.getByRole("button", { name: "Continue to Check" }).click();
  await expect(heading(studio, "These two cannot be merged")).toBeVisible();
  await expect(studio.getByRole("row", { name: "Width hidden_size 64 32 Blocker" })).toBeVisible();

  await studio.getByRole("button", { name: "Replace the fine-tuned…" }).click();
  await loadFolders(studio, [tuned]);
  await studio.getByRole("button", { name: "Continue to Check" }).click();
  await expect(heading(studio, "These two can be merged")).toBeVisible();
});

test("a quantised model is said to be one", async ({ studio, folder }) => {
  const { base, tuned } = copyPair(folder, "qwen2-tiny-f32");
  const config = JSON.parse(readFileSync(join(tuned, "config.json"), "utf8")) as Record<string, unknown>;
  writeFileSync(join(tuned, "config.json"), JSON.stringify({ ...config, quantization_config: { quant_method: "gptq", bits: 4 } }));
  await dropPaths(studio, [base, tuned]);
  await expect(panel(studio, "tiny-base").getByText("Stored and verified")).toBeVisible();
  // The folder is refused on Load already, so the check cannot be opened.
  await expect(studio.locator("main").getByText(/gptq|quanti[sz]ed/i).first()).toBeVisible();
  await expect(studio.getByRole("button", { name: "Continue to Check" })).toBeDisabled();
});

test("a linked file that changes on disk stops the work with a sentence", async ({ studio, folder, baseURL }) => {
  const names = ["a-linked", "b-tuned"];
  const [, changing] = names.map((name) => bigModel(folder, name, 200)) as [string, string];
  const session = await studio.context().newCDPSession(studio);
  await session.send("Storage.overrideQuotaForOrigin", { origin: baseURL!, quotaSize: 20e6 });
  for (const name of names) {
    await dropPaths(studio, [join(folder, name)]);
    await studio.getByRole("alert", { name: "Not enough storage" }).getByRole("button", { name: "Link in place, no copy" }).click();
    await expect(panel(studio, name).getByText("Linked in place")).toBeVisible({ timeout: 30_000 });
    await expect(studio.getByRole("alert")).toHaveCount(0);
  }
  await session.send("Storage.overrideQuotaForOrigin", { origin: baseURL! });
  await studio.getByRole("button", { name: "Continue to Check" }).click();
  await expect(heading(studio, "These two can be merged")).toBeVisible();
  await studio.getByRole("button", { name: "Continue to Shape" }).click();
  await studio.getByRole("combobox", { name: "Method", exact: true }).selectOption({ label: "Linear" });
  await expect(mainAction(studio)).toHaveText("Save");
  await mainAction(studio).click();
  await expect(mainAction(studio)).toBeEnabled();
  const file = join(changing, "model.safetensors");
  utimesSync(file, new Date(), new Date(Date.now() + 60_000));
  await studio.getByRole("radio", { name: "One download per file" }).check();
  await mainAction(studio).click();
  const card = studio.getByRole("alert", { name: "A file changed on disk" });
  await expect(card).toBeVisible({ timeout: 30_000 });
  await expect(card).toContainText("b-tuned/model.safetensors");
  await expect(card).toContainText("drop the folder again", { ignoreCase: true });
  const left = await studio.evaluate(async () => {
    const stages = await (await navigator.storage.getDirectory()).getDirectoryHandle("stages", { create: true });
    const names: string[] = [];
    for await (const name of stages.keys()) names.push(name);
    return names;
  });
  expect(left).toEqual([]);
});

test("files that are not recipes, and recipes of models that are not here, are refused", async ({ studio, folder }) => {
  await open(studio);
  writeFileSync(join(folder, "notes.json"), '{"a": 1}');
  await dropPaths(studio, [join(folder, "notes.json")]);
  await expect(studio.getByRole("alert", { name: "This file is not a recipe" })).toContainText("notes.json");
  await studio.getByRole("button", { name: "Dismiss" }).click();
  writeFileSync(join(folder, "recipe.json"), JSON.stringify(tinyRecipe({ method: "linear", params: {} })));
  await dropPaths(studio, [join(folder, "recipe.json")]);
  await expect(studio.getByRole("alert", { name: "Models of this recipe are not here" })).toContainText("Not stored: base, tuned.");
});
