import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test, vi } from "vitest";
import { main } from "../../../src/cli/merge";
import { memoryFile } from "../../../src/core/files";
import type { Checkpoint } from "../../../src/core/tensors";
import { openCheckpoint } from "../../../src/formats/checkpoint";
import { bench, recipeFor, tensorBytesOf } from "../../support/engineBench";
import { randomModel, TINY } from "../../support/tinyModel";

const work = mkdtempSync(join(tmpdir(), "merge-choices-"));
afterAll(() => {
  vi.restoreAllMocks();
  rmSync(work, { recursive: true, force: true });
});

const stored = async (name: string, { files }: Checkpoint): Promise<string> => {
  const folder = join(work, name);
  mkdirSync(folder);
  for (const file of files) writeFileSync(join(folder, file.path), await file.read(0, file.size));
  return folder;
};

test("the terminal takes the vocabulary and single rows, and says what the result has", async () => {
  const [base, finetuned] = [(await randomModel({ ...TINY.qwen2Tied, tie_word_embeddings: false }, "F32", 1)).checkpoint, (await randomModel({ ...TINY.qwen2Tied, vocab_size: 47 }, "F32", 2)).checkpoint];
  const said: string[] = [];
  vi.spyOn(process.stderr, "write").mockImplementation((text) => said.push(String(text)) > 0);
  vi.spyOn(console, "log").mockImplementation(() => undefined);
  vi.spyOn(console, "error").mockImplementation((...parts: unknown[]) => void said.push(parts.join(" ")));
  const models = ["--base", await stored("base", base), "--model", await stored("tuned", finetuned), "--method", "task-arithmetic", "--set", "lambda=0.5"];
  const out = join(work, "out");
  expect(await main([...models, "--set", "vocabulary=base", "--rows", "3=base,4=base", "--rows", "9=finetuned", "--out", out]), said.join("")).toBe(0);
  const rows = { 3: "base", 4: "base", 9: "finetuned" } as const;
  const want = await bench(undefined, { base, finetuned }).merge(recipeFor("task-arithmetic", { lambda: 0.5 }, { reconciliation: { vocabulary: "base", rows } }));
  const got = await openCheckpoint("out", readdirSync(out).map((name) => memoryFile(name, new Uint8Array(readFileSync(join(out, name))))));
  expect(await tensorBytesOf(got)).toEqual(await tensorBytesOf(want.checkpoint));
  expect(said.join("")).toMatch(/[\d,]+ parameters in the result, 53 token rows\./);
  expect(JSON.parse(readFileSync(join(out, "recipe.json"), "utf8"))).toMatchObject({ reconciliation: { vocabulary: "base", rows } });

  expect(await main([...models, "--rows", "50=base", "--out", join(work, "never")])).toBe(1);
  expect(said.at(-1)).toContain("reconciliation.rows.50 chooses a row, but only the ids from 0 to 46 have one in every model.");
  expect(readdirSync(work)).not.toContain("never");
});
