import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeEach, expect, test, vi } from "vitest";
import { main as evaluate } from "../../../src/cli/evaluate";
import { main as generate } from "../../../src/cli/generate";
import { createHash } from "node:crypto";

const sample = (path: string): string => fileURLToPath(new URL(`../../../public/samples/${path}`, import.meta.url));
const work = mkdtempSync(join(tmpdir(), "evaluate-test-"));
let said: string[] = [];
let errors: string[] = [];

beforeEach(() => {
  said = [];
  errors = [];
  vi.spyOn(console, "log").mockImplementation((...parts: unknown[]) => void said.push(parts.join(" ")));
  vi.spyOn(console, "error").mockImplementation((...parts: unknown[]) => void errors.push(parts.join(" ")));
  vi.stubEnv("INIT_CWD", work);
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});
afterAll(() => rmSync(work, { recursive: true, force: true }));

test("an evaluation in a terminal: a table, and a report with all that it was made from", async () => {
  // A byte order mark, line ends of Windows, a field that nobody knows, a number: of both problems the base gives an answer of 5 tokens.
  const text = '\ufeff{"prompt":"47+7+3+7=?\\n","answer":62,"x":1}\r\n\r\n{"prompt":"55*2*2=?\\n","answer":"none","tier":"hard"}\r\n';
  writeFileSync(join(work, "set.jsonl"), text);
  expect(await evaluate(["--base", sample("base"), "--model", sample("long-cot"), "--method", "task-arithmetic:lambda=0", "--problems", "set.jsonl", "--max-new-tokens", "8", "--report", "deep/r.json", "--csv", "t.csv", "--quiet"]), errors.join("\n")).toBe(0);
  const report = JSON.parse(readFileSync(join(work, "deep/r.json"), "utf8")) as { complete: boolean; problems: unknown; options: unknown; models: { label: string; weights?: string; recipe?: { base: { hash: string }; models: { hash: string }[] }; complete: boolean; stops: { id: number }[]; evaluation: { recipeHash?: string; items: { responses: { found: string; right: boolean; tokens: number }[] }[] } }[] };
  expect(report).toMatchObject({
    complete: true, options: { temperature: 0, maxNewTokens: 8, samples: 1 },
    problems: { file: "set.jsonl", sha256: createHash("sha256").update(text).digest("hex"), of: 2, count: 2, items: [{ prompt: "47+7+3+7=?\n", answer: "62" }, { prompt: "55*2*2=?\n", answer: "none", tier: "hard" }] },
  });
  const [base, tuned, merge] = report.models;
  expect(report.models.map((m) => [m.label, m.complete, m.stops.map((s) => s.id)])).toEqual([["base", true, [0]], ["fine-tuned", true, [0]], ["task-arithmetic:lambda=0", true, [0]]]);
  expect(base!.evaluation.items.map((i) => i.responses.map((r) => [r.right, r.tokens]))).toEqual([[[true, 5]], [[false, 5]]]);
  // With lambda 0 a merge is its base, and it names the weights that it is of.
  expect(merge!.evaluation.items).toEqual(base!.evaluation.items);
  expect([merge!.recipe!.base.hash, merge!.recipe!.models[0]!.hash]).toEqual([base!.weights, tuned!.weights]);
  expect(merge!.evaluation.recipeHash).toMatch(/^[0-9a-f]{16}$/);
  expect(said.map((line) => line.split(/ {2,}/).slice(0, 2).join(" "))).toEqual(["model accuracy", "base 50.0 %", "fine-tuned 0.0 %", "task-arithmetic:lambda=0 50.0 %"]);
  expect(readFileSync(join(work, "t.csv"), "utf8").split("\n").map((line) => line.split(",").slice(0, 5).join(" "))).toEqual(["name tier complete problems accuracy", "base  true 2 0.5", "base hard true 1 0", "fine-tuned  true 2 0", "fine-tuned hard true 1 0", "task-arithmetic:lambda=0  true 2 0.5", "task-arithmetic:lambda=0 hard true 1 0", ""]);
});

test.each([
  [["--problems", "set.jsonl"], /--base or --model are needed/],
  [["--base", sample("base"), "--problems", "set.jsonl", "--method", "ties"], /--base and --model are needed/],
  [["--base", sample("base"), "--problems", "none.jsonl"], /none\.jsonl: the file does not exist/],
  [["--base", sample("base"), "--problems", "set.jsonl", "--samples", "4"], /Give --temperature too/],
  [["--base", sample("base"), "--problems", "set.jsonl", "--report", "set.jsonl/r.json"], /r\.json: it cannot be written/],
])("%j is refused with one sentence before anything is opened", async (args, sentence) => {
  writeFileSync(join(work, "set.jsonl"), '{"prompt":"1+1=?\\n","answer":"2"}');
  expect(await evaluate(args)).toBe(1);
  expect(errors.join("\n")).toMatch(sentence);
});

test("generate takes one model", async () => {
  expect(await generate(["--model", "a", "--model", "b", "--prompt", "1"])).toBe(1);
  expect(errors.join("\n")).toMatch(/^One model answers/);
});
