import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "@playwright/test";
import { largestDifference, readSafetensors, readShards } from "../support/readSafetensors";
import { readZip } from "../support/readZip";
import { contents, copyPair, copySample } from "./files";
import { download, heading, loadFolders, mainAction, measure, panel, pasteRecipe, shownRecipe, terminalMerge, toShape, write } from "./flows";
import { ownFiles } from "./stored";
import { expect, fixtures, open, test } from "./studio";

const qwen = join(fixtures, "qwen2-tiny-f32");
const json = (path: string): unknown => JSON.parse(readFileSync(path, "utf8"));
const reference = json(join(qwen, "reference.json")) as { layers_N4_L16: { block_2d: { alpha: number[]; fisher_mean: number[] } } };

/** One folder of the page's own file system under the name the picker would give it. */
async function stubPicker(page: Page): Promise<void> {
  await page.evaluate(() => {
    Object.assign(window, { showDirectoryPicker: async () => (await navigator.storage.getDirectory()).getDirectoryHandle("picked", { create: true }) });
  });
}

async function pickedFiles(page: Page, folder: string): Promise<Map<string, Buffer>> {
  const files = await page.evaluate(async (name) => {
    const picked = await (await navigator.storage.getDirectory()).getDirectoryHandle("picked");
    const out: [string, string][] = [];
    for await (const handle of (await picked.getDirectoryHandle(name)).values()) {
      const bytes = new Uint8Array(await (await (handle as FileSystemFileHandle).getFile()).arrayBuffer());
      let text = "";
      for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
      out.push([handle.name, btoa(text)]);
    }
    return out;
  }, folder);
  return new Map(files.sort().map(([name, text]) => [name, Buffer.from(text, "base64")]));
}

/** Byte for byte, with the name of the file and the first place that differs. */
function expectSameFiles(actual: Map<string, Buffer>, wanted: Map<string, Buffer>): void {
  expect([...actual.keys()].sort()).toEqual([...wanted.keys()].sort());
  for (const [name, bytes] of wanted) {
    const found = actual.get(name)!;
    const at = found.equals(bytes) ? -1 : found.findIndex((byte, i) => byte !== bytes[i]);
    expect(at < 0 ? "" : `${name} differs at byte ${at}: "${found.subarray(at - 40, at + 40).toString()}" and "${bytes.subarray(at - 40, at + 40).toString()}"`).toBe("");
    expect(found.length, name).toBe(bytes.length);
  }
}

test("FIM-TIES of two dropped folders gives the golden tensors, in every way of saving and in the terminal", async ({ studio, folder }) => {
  const { base, tuned } = copyPair(folder, "qwen2-tiny-f32");
  await stubPicker(studio);
  await loadFolders(studio, [base, tuned]);
  await studio.getByRole("button", { name: "Continue to Check" }).click();
  await expect(heading(studio, "These two can be merged")).toBeVisible();
  await expect(studio.getByRole("row", { name: "Layers num_hidden_layers 3 3 Match one α per block, 3 in all" })).toBeVisible();
  await expect(studio.getByRole("row", { name: "Tensors name and shape 39 39 Match 39 pair up" })).toBeVisible();
  await studio.getByRole("button", { name: "Continue to Shape" }).click();

  const defaults = await shownRecipe(studio);
  expect(defaults).toMatchObject({ version: 1, method: "fim-ties", params: { r: "auto", gateFactor: 0.7, calib: "frobenius", outsideT: "median" } });
  const tokens = (json(join(qwen, "tokens.json")) as { fisher_N4_L16: number[][] }).fisher_N4_L16;
  await pasteRecipe(studio, { ...defaults, params: { ...(defaults.params as object), r: 0.2, calib: "off", outsideT: "base" }, tokens });
  await measure(studio);

  await studio.getByRole("button", { name: "Show α as table" }).click();
  const rows = studio.getByRole("region", { name: "All layers", exact: true }).locator("tbody tr");
  const { alpha } = reference.layers_N4_L16.block_2d;
  await expect(rows).toHaveCount(alpha.length);
  const shown = await rows.evaluateAll((all) => all.map((row) => [...row.children].map((cell) => cell.textContent)));
  expect(shown.map((cells) => cells[1])).toEqual(alpha.map((a) => a.toFixed(3)));
  expect(shown.map((cells) => cells[2]), "gate α").toEqual(alpha.map((a) => (0.7 * a).toFixed(3)));
  expect(shown.map((cells) => cells[3]), "F").toEqual(reference.layers_N4_L16.block_2d.fisher_mean.map((f) => f.toExponential(2).replace("-", "−")));

  await mainAction(studio).click();
  await write(studio, "One download per file");
  await expect(studio.getByText(/^([0-9]+) of \1 tiles equal, byte for byte\.$/)).toBeVisible();
  const saved = join(folder, "saved");
  expect((await download(studio, saved)).sort()).toEqual(["README.md", "config.json", "model.safetensors", "recipe.json"]);

  const merged = readShards(saved);
  const golden = readSafetensors(join(qwen, "merged_fim_ties_r02.safetensors"));
  const theta0 = readSafetensors(join(qwen, "base/model.safetensors"));
  expect([...merged.keys()].sort()).toEqual([...theta0.keys()].sort());
  for (const [name, tensor] of golden) expect(largestDifference(merged.get(name)!, tensor), name).toBeLessThan(1e-6);
  for (const [name, tensor] of theta0) if (!golden.has(name)) expect(largestDifference(merged.get(name)!, tensor), `${name}, outside the blocks`).toBe(0);
  expect([...golden].some(([name, tensor]) => largestDifference(tensor, theta0.get(name)!) > 1e-3), "the golden tensors are not the base").toBe(true);

  const files = contents(saved);
  await studio.getByRole("button", { name: "Write again" }).click();
  await write(studio, "Into a folder");
  expectSameFiles(await pickedFiles(studio, "tiny-base-fim-ties"), files);
  await studio.getByRole("button", { name: "Write again" }).click();
  await write(studio, "As one .zip");
  const stages = async (): Promise<string[]> => Object.keys(await ownFiles(studio)).filter((path) => path.startsWith("stages/")).map((path) => path.split("/")[2]!);
  // A tab that closes before the download loses nothing; the files that were downloaded before are gone.
  await open(studio);
  await expect(studio.getByText(/^Merged model\. tiny-base-fim-ties, written and verified on .*, not downloaded yet\./)).toBeVisible();
  expect(await stages()).toEqual(["tiny-base-fim-ties.zip"]);
  await studio.getByRole("button", { name: "Download tiny-base-fim-ties" }).click();
  await expect(heading(studio, "Written and verified")).toBeVisible();
  expect(await download(studio, join(folder, "zipped"))).toEqual(["tiny-base-fim-ties.zip"]);
  const zip = readZip(readFileSync(join(folder, "zipped/tiny-base-fim-ties.zip")));
  expectSameFiles(new Map([...zip].map(([path, bytes]) => [path.replace(/^tiny-base-fim-ties\//, ""), bytes])), files);
  await open(studio);
  await studio.getByRole("button", { name: "Delete tiny-base-fim-ties" }).click();
  await expect(studio.getByText("Delete tiny-base-fim-ties? Frees")).toBeVisible();
  await studio.getByRole("button", { name: "Delete", exact: true }).click();
  await expect(studio.getByText("Merged model.")).toHaveCount(0);
  expect(await stages()).toEqual([]);

  const out = join(folder, "terminal");
  const terminal = await terminalMerge(["--recipe", join(saved, "recipe.json"), "--base", base, "--model", tuned, "--out", out]);
  expect(terminal.stderr.includes("Error") ? terminal.stderr : "").toBe("");
  expect(terminal.code, terminal.stderr).toBe(0);
  expectSameFiles(contents(out), files);
});

test("bfloat16 with random inputs, norm calibration and the defaults: the terminal writes the same bytes", async ({ studio, folder }) => {
  const { base, tuned } = copyPair(folder, "llama-tiny-bf16");
  await loadFolders(studio, [base, tuned]);
  await toShape(studio);
  await measure(studio);
  await expect(studio.getByText(/Norm calibration \(frobenius\)/)).toBeVisible();
  await mainAction(studio).click();
  await write(studio, "One download per file");
  const saved = join(folder, "saved");
  await download(studio, saved);
  const out = join(folder, "terminal");
  const terminal = await terminalMerge(["--recipe", join(saved, "recipe.json"), "--base", base, "--model", tuned, "--out", out]);
  expect(terminal.code, terminal.stderr).toBe(0);
  expectSameFiles(contents(out), contents(saved));
  const written = readFileSync(join(saved, "model.safetensors"));
  expect(written.equals(readFileSync(join(base, "model.safetensors")))).toBe(false);
});

test("TIES without a Fisher, as float32 in shards of 1 MiB with tokenizer files: the terminal writes the same bytes", async ({ studio, folder }) => {
  const { base, tuned } = copySample(folder);
  await loadFolders(studio, [base, tuned]);
  await toShape(studio);
  await studio.getByRole("combobox", { name: "Method", exact: true }).selectOption({ label: "TIES" });
  await expect(studio.getByText("Kept after trim")).toBeVisible();
  const recipe = await shownRecipe(studio);
  await pasteRecipe(studio, { ...recipe, output: { ...(recipe.output as object), dtype: "F32", maxShardBytes: 1 << 20 } });
  await studio.getByRole("button", { name: /^(Measure the change|Save)$/ }).last().click();
  if (!(await heading(studio, "Save the merged model").isVisible())) {
    await expect(mainAction(studio)).toHaveText("Save");
    await mainAction(studio).click();
  }
  await expect(panel(studio, "What will be written").getByText("model-00002-of-00002.safetensors")).toBeVisible();
  await write(studio, "One download per file");
  const saved = join(folder, "saved");
  const names = await download(studio, saved);
  expect(names).toEqual(expect.arrayContaining(["model-00001-of-00002.safetensors", "model.safetensors.index.json", "tokenizer.json", "generation_config.json"]));
  const merged = readShards(saved);
  const index = json(join(saved, "model.safetensors.index.json")) as { metadata: { total_size: number }; weight_map: Record<string, string> };
  expect(Object.keys(index.weight_map).sort()).toEqual([...merged.keys()].sort());
  expect(index.metadata.total_size).toBe([...merged.values()].reduce((sum, t) => sum + 4 * t.data.length, 0));
  const out = join(folder, "terminal");
  const terminal = await terminalMerge(["--recipe", join(saved, "recipe.json"), "--base", base, "--model", tuned, "--out", out]);
  expect(terminal.code, terminal.stderr).toBe(0);
  expectSameFiles(contents(out), contents(saved));
});

test("DARE-TIES, whose masks are drawn, and SLERP, whose angles are measured: the terminal writes the same bytes", async ({ studio, folder }) => {
  const { base, tuned } = copyPair(folder, "llama-tiny-bf16");
  await loadFolders(studio, [base, tuned]);
  await toShape(studio);
  const defaults = await shownRecipe(studio);
  for (const [method, params] of [["dare_ties", { density: 0.6, rescale: "l1-match", seed: 7 }], ["slerp", { t: 0.3 }]] as const) {
    await pasteRecipe(studio, { ...defaults, method, params });
    await measure(studio);
    await mainAction(studio).click();
    await write(studio, "One download per file");
    const [saved, out] = [join(folder, method), join(folder, `${method}-terminal`)];
    await download(studio, saved);
    const terminal = await terminalMerge(["--recipe", join(saved, "recipe.json"), "--base", base, "--model", tuned, "--out", out]);
    expect(terminal.code, terminal.stderr).toBe(0);
    expectSameFiles(contents(out), contents(saved));
    await studio.getByRole("button", { name: "Shape", exact: true }).click();
  }
  expect(readFileSync(join(folder, "slerp", "model.safetensors")).equals(readFileSync(join(folder, "dare_ties", "model.safetensors")))).toBe(false);
});

test("the terminal refuses a recipe made with another model, and leaves nothing behind", async ({ folder }) => {
  const { base, tuned } = copyPair(folder, "qwen2-tiny-f32");
  const recipe = { version: 1, method: "linear", base: { name: "tiny-base", hash: "0".repeat(32) }, models: [{ name: "tiny-tuned" }], params: {}, reconciliation: { tied: "untie", context: "max", tokenizer: "base", chatTemplate: "base", generationConfig: "base", clashRows: "mix" }, output: { dtype: "base", maxShardBytes: 5e9, name: "x" } };
  mkdirSync(join(folder, "recipes"));
  writeFileSync(join(folder, "recipes/recipe.json"), JSON.stringify(recipe));
  const out = join(folder, "out");
  const { code, stderr } = await terminalMerge(["--recipe", join(folder, "recipes/recipe.json"), "--base", base, "--model", tuned, "--out", out]);
  expect(code).toBe(1);
  expect(stderr).toContain('The recipe was made with another "tiny-base"');
  expect(() => contents(out)).toThrow();
});
