import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import AxeBuilder from "@axe-core/playwright";
import { readSafetensors } from "../support/readSafetensors";
import { copyPair, headerOf, readHeader } from "./files";
import { download, heading, loadFolders, mainAction, panel, write } from "./flows";
import { expect, test } from "./studio";

const EMBEDDING = "model.embed_tokens.weight";

/** Writes a model again with so many rows of embedding and head, and more tensors of ones; F32. */
function reshape(folder: string, rows: number, more: Record<string, number[]> = {}): void {
  const path = join(folder, "model.safetensors");
  const { header, dataStart, bytes } = readHeader(path);
  const parts: Buffer[] = [];
  const out: Record<string, unknown> = { __metadata__: { format: "pt" } };
  let at = 0;
  const put = (name: string, shape: number[], data: Buffer): void => {
    out[name] = { dtype: "F32", shape, data_offsets: [at, (at += data.length)] };
    parts.push(data);
  };
  for (const [name, { shape, data_offsets }] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const data = bytes.subarray(dataStart + data_offsets[0], dataStart + data_offsets[1]);
    const token = name === EMBEDDING || name === "lm_head.weight";
    put(name, token ? [rows, shape[1]!] : shape, token ? data.subarray(0, 4 * rows * shape[1]!) : data);
  }
  for (const [name, shape] of Object.entries(more)) put(name, shape, Buffer.from(new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(1).buffer));
  writeFileSync(path, Buffer.concat([headerOf(JSON.stringify(out)), ...parts]));
  const config = join(folder, "config.json");
  writeFileSync(config, JSON.stringify({ ...(JSON.parse(readFileSync(config, "utf8")) as object), vocab_size: rows }));
}

function tokenizer(folder: string, tokens: number, added: Record<number, string>): void {
  const list = Object.entries(added).map(([id, content]) => ({ id: Number(id), content }));
  writeFileSync(join(folder, "tokenizer.json"), JSON.stringify({ model: { vocab: Object.fromEntries(Array.from({ length: tokens }, (_, i) => [`w${i}`, i])) }, added_tokens: list }));
  writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify({ tokenizer_class: "Qwen2Tokenizer", added_tokens_decoder: Object.fromEntries(list.map(({ id, content }) => [id, { content }])) }));
}

test("Check reconciles vocabularies, single rows and a vision tower, and the file follows", async ({ studio, folder }) => {
  const { base, tuned } = copyPair(folder, "qwen2-tiny-f32");
  reshape(base, 331, { "vision_tower.layers.0.attn.q_proj.weight": [4, 4], "vision_tower.layers.1.attn.q_proj.weight": [4, 4], "vision_tower.patch.weight": [4] });
  reshape(tuned, 320);
  tokenizer(base, 300, { 300: "<|im_start|>", 301: "<|im_end|>" });
  tokenizer(tuned, 300, { 300: "<think>", 301: "</think>", 302: "<extra>" });
  await loadFolders(studio, [base, tuned]);
  await mainAction(studio).click();
  await expect(heading(studio, "These two can be merged")).toBeVisible();

  const vocabulary = studio.getByRole("row", { name: /^Vocabulary/ });
  await expect(vocabulary).toContainText("331: 300 tokens, 2 added, 29 padding");
  await expect(vocabulary).toContainText("320: 300 tokens, 3 added, 17 padding");
  await expect(vocabulary).toContainText("Default: the rows of the model that gives the tokenizer");
  const result = studio.getByRole("row", { name: /^Result/ });
  await expect(result).toContainText("320 token rows");
  await vocabulary.getByRole("combobox", { name: "Vocabulary" }).selectOption("base");
  await expect(result).toContainText("331 token rows");
  await expect(vocabulary).toContainText("rows from 320 on are the base's own");

  const fold = studio.getByRole("button", { name: "Show the 2 ids" });
  await fold.focus();
  await studio.keyboard.press("Enter");
  const row = studio.getByRole("combobox", { name: "Embedding row of id 301" });
  await expect(row).toHaveValue("finetuned");
  await row.selectOption("base");
  await expect(row).toHaveValue("base");
  await studio.getByRole("button", { name: "Show the 3 tensors" }).click();
  await expect(studio.getByRole("region", { name: "only in the base, copied" })).toContainText("vision_tower.layers.1.attn.q_proj.weight");
  for (const colorScheme of ["light", "dark"] as const) {
    await studio.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    expect((await new AxeBuilder({ page: studio }).analyze()).violations.map((v) => v.id), colorScheme).toEqual([]);
  }
  await studio.setViewportSize({ width: 390, height: 844 });
  expect(await studio.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
  await studio.setViewportSize({ width: 1440, height: 900 });

  await studio.keyboard.press("5");
  await expect(mainAction(studio)).toBeEnabled();
  await write(studio, "One download per file");
  await download(studio, join(folder, "out"));
  const got = readSafetensors(join(folder, "out/model.safetensors"));
  const [a, b] = [base, tuned].map((path) => readSafetensors(join(path, "model.safetensors")));
  const rows = (file: typeof got, from: number, to: number): number[] => [...file.get(EMBEDDING)!.data.subarray(64 * from, 64 * to)];
  expect(got.get(EMBEDDING)!.shape).toEqual([331, 64]);
  expect(rows(got, 320, 331)).toEqual(rows(a!, 320, 331));
  expect(rows(got, 300, 301)).toEqual(rows(b!, 300, 301));
  expect(rows(got, 301, 302)).toEqual(rows(a!, 301, 302));
  expect([...got.get("vision_tower.patch.weight")!.data]).toEqual([1, 1, 1, 1]);
  expect(JSON.parse(readFileSync(join(folder, "out/config.json"), "utf8"))).toMatchObject({ vocab_size: 331 });
  expect(readFileSync(join(folder, "out/README.md"), "utf8")).toContain("vision_tower.layers.\\* (2 tensors)");
  await expect(panel(studio, "Downloads")).toBeVisible();
});
